//! Typed calls to other services, each with a deadline.
//!
//! A [`Client`] is a reference to a connection; it has no proxy, no cache and no match rule.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::message::Message;
use zbus::wire::{DynamicType, OwnedVariant, Type, Variant};
use zbus::{Connection, fdo};

use crate::common::error;
use crate::interface::{Method, Property, PropertyValue, ValueError};
use crate::mapper::{self, Owners, SubTree};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// The objects of one object manager: path, interface, property.
pub type ManagedObjects = BTreeMap<String, BTreeMap<String, BTreeMap<String, OwnedVariant>>>;

/// An object of a service.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ObjectAt {
    /// The service's well-known or unique name.
    pub service: String,
    /// The object's path.
    pub path: String,
}

impl ObjectAt {
    /// The object `path` of `service`.
    #[must_use]
    pub fn new(service: impl Into<String>, path: impl Into<String>) -> Self {
        Self { service: service.into(), path: path.into() }
    }
}

/// Why a call to a service gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service did not reply in time.
    #[error("{service} did not reply within {deadline:?}")]
    Deadline {
        /// The service that was called.
        service: String,
        /// The time limit of the call.
        deadline: Duration,
    },
    /// No such service is on the bus, or it left before it replied.
    #[error("{service} is not on the bus")]
    Gone {
        /// The service that was called.
        service: String,
    },
    /// The service, or the mapper, knows no such object, interface or property.
    #[error("not found: {what}")]
    NotFound {
        /// The object, interface or property.
        what: String,
    },
    /// The service refused.
    #[error("refused: {name}: {text}")]
    Refused {
        /// The D-Bus error's name.
        name: String,
        /// The text of the error.
        text: String,
    },
    /// The reply has another type or value than the interface defines.
    #[error("invalid reply: {0}")]
    InvalidReply(#[from] ValueError),
    /// The connection failed.
    #[error("the bus: {0}")]
    Bus(zbus::Error),
}

/// Calls services over one connection.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
    deadline: Duration,
}

impl Client {
    /// Calls over `connection`; each call ends after `deadline` at the latest.
    #[must_use]
    pub const fn new(connection: Connection, deadline: Duration) -> Self {
        Self { connection, deadline }
    }

    /// The connection that the calls go over.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Reads a property.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::InvalidReply`] when the value is not a `T`.
    pub async fn get<T: PropertyValue>(
        &self,
        object: &ObjectAt,
        property: Property<T>,
    ) -> Result<T, CallError> {
        let body = (property.interface, property.name);
        let value: OwnedVariant = self.ask(object, PROPERTIES, "Get", &body).await?;
        Ok(T::from_variant(value.into())?)
    }

    /// Writes a property.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn set<T: PropertyValue>(
        &self,
        object: &ObjectAt,
        property: Property<T>,
        value: T,
    ) -> Result<(), CallError> {
        let body = (property.interface, property.name, value.into_variant());
        self.ask(object, PROPERTIES, "Set", &body).await
    }

    /// Reads all properties of one interface.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn get_all(
        &self,
        object: &ObjectAt,
        interface: &str,
    ) -> Result<Properties, CallError> {
        Ok(Properties(self.ask(object, PROPERTIES, "GetAll", &(interface,)).await?))
    }

    /// Calls a method; `arguments` must have its input signature and `R` its output signature.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::InvalidReply`] when the reply is not an `R`.
    pub async fn call<B, R>(
        &self,
        object: &ObjectAt,
        method: Method,
        arguments: &B,
    ) -> Result<R, CallError>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        self.ask(object, method.interface, method.name, arguments).await
    }

    /// All objects below `object` with all their properties, in one call.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn managed_objects(&self, object: &ObjectAt) -> Result<ManagedObjects, CallError> {
        let objects: HashMap<
            zbus::wire::OwnedObjectPath,
            BTreeMap<String, BTreeMap<String, OwnedVariant>>,
        > = self.ask(object, OBJECT_MANAGER, "GetManagedObjects", &()).await?;
        Ok(objects.into_iter().map(|(path, object)| (path.to_string(), object)).collect())
    }

    /// Asks the mapper which services have `path` with any of `interfaces`.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::NotFound`] when none has.
    pub async fn object_owners(
        &self,
        path: &str,
        interfaces: &[&str],
    ) -> Result<Owners, CallError> {
        let mapper = ObjectAt::new(mapper::SERVICE, mapper::PATH);
        self.call(&mapper, mapper::GET_OBJECT, &(path, interfaces)).await
    }

    /// Asks the mapper for the objects below `root` that have any of `interfaces`.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::NotFound`] when `root` is unknown.
    pub async fn sub_tree(
        &self,
        root: &str,
        depth: i32,
        interfaces: &[&str],
    ) -> Result<SubTree, CallError> {
        let mapper = ObjectAt::new(mapper::SERVICE, mapper::PATH);
        self.call(&mapper, mapper::GET_SUB_TREE, &(root, depth, interfaces)).await
    }

    async fn ask<B, R>(
        &self,
        object: &ObjectAt,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Result<R, CallError>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        let call = self.connection.call_method(
            Some(object.service.as_str()),
            object.path.as_str(),
            Some(interface),
            member,
            body,
        );
        let reply: Message = match tokio::time::timeout(self.deadline, call).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(self.call_error(object, error)),
            Err(_) => return Err(self.late(object)),
        };
        let body = reply.body();
        body.deserialize().map_err(|_| {
            let want = R::SIGNATURE.to_string();
            CallError::InvalidReply(ValueError::Type { want, got: body.signature().to_string() })
        })
    }

    fn late(&self, object: &ObjectAt) -> CallError {
        CallError::Deadline { service: object.service.clone(), deadline: self.deadline }
    }

    fn call_error(&self, object: &ObjectAt, error: zbus::Error) -> CallError {
        let service = || object.service.clone();
        match error {
            zbus::Error::FDO(error) => match *error {
                fdo::Error::ServiceUnknown(_)
                | fdo::Error::NameHasNoOwner(_)
                | fdo::Error::NoReply(_)
                | fdo::Error::Disconnected(_) => CallError::Gone { service: service() },
                fdo::Error::UnknownObject(text)
                | fdo::Error::UnknownInterface(text)
                | fdo::Error::UnknownMethod(text)
                | fdo::Error::UnknownProperty(text) => CallError::NotFound { what: text },
                error => refusal(&error),
            },
            zbus::Error::MethodError(name, text, _) => match name.as_str() {
                error::RESOURCE_NOT_FOUND => CallError::NotFound { what: object.path.clone() },
                name => {
                    CallError::Refused { name: name.to_owned(), text: text.unwrap_or_default() }
                }
            },
            zbus::Error::InputOutput(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                self.late(object)
            }
            error => CallError::Bus(error),
        }
    }
}

/// A refusal under one of the bus's own error names.
fn refusal(error: &fdo::Error) -> CallError {
    use zbus::DBusError as _;
    CallError::Refused {
        name: error.name().to_string(),
        text: error.description().unwrap_or_default().to_owned(),
    }
}

/// The properties of one interface, as `GetAll` or `PropertiesChanged` gave them.
#[derive(Debug, Default)]
pub struct Properties(BTreeMap<String, OwnedVariant>);

impl Properties {
    /// The value of one of them.
    ///
    /// # Errors
    ///
    /// [`CallError::NotFound`] when it is not there, [`CallError::InvalidReply`] when it is not a `T`.
    pub fn get<T: PropertyValue>(&self, property: Property<T>) -> Result<T, CallError> {
        let value = self.0.get(property.name).ok_or_else(|| CallError::NotFound {
            what: format!("{}.{}", property.interface, property.name),
        })?;
        Ok(T::from_variant(Variant::clone(value))?)
    }

    /// The value of an optional property.
    ///
    /// # Errors
    ///
    /// [`CallError::InvalidReply`] when it is not a `T`.
    pub fn find<T: PropertyValue>(&self, property: Property<T>) -> Result<Option<T>, CallError> {
        match self.get(property) {
            Err(CallError::NotFound { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<BTreeMap<String, OwnedVariant>> for Properties {
    fn from(properties: BTreeMap<String, OwnedVariant>) -> Self {
        Self(properties)
    }
}
