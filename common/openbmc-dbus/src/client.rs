//! Typed calls to other services, each with a deadline.
//!
//! A [`Client`] is a reference to a connection; it has no proxy, no cache and no match rule.

mod error;

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::Connection;
use zbus::message::Message;
use zbus::wire::{DynamicType, OwnedVariant, Type, Variant};

pub use self::error::{CallError, FailedCall, Member};
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
        let member = Member::Get(property.interface, property.name);
        let value: OwnedVariant = self.ask(object, member, &body).await?;
        T::from_variant(value.into()).map_err(|error| CallError::invalid(object, member, &error))
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
        self.ask(object, Member::Set(property.interface, property.name), &body).await
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
        Ok(Properties(self.ask(object, Member::GetAll(interface), &(interface,)).await?))
    }

    /// Reads all properties of one interface, and makes a value of them.
    ///
    /// # Errors
    ///
    /// [`CallError`]; that of `read` gets the object.
    pub async fn read<T>(
        &self,
        object: &ObjectAt,
        interface: &str,
        read: impl FnOnce(&Properties) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let properties = self.get_all(object, interface).await?;
        read(&properties).map_err(|error| error.of_object(object))
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
        self.ask(object, method.into(), arguments).await
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
        > = self.ask(object, Member::Method(OBJECT_MANAGER, "GetManagedObjects"), &()).await?;
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
        let owners = self.call(&mapper, mapper::GET_OBJECT, &(path, interfaces)).await;
        owners.map_err(|error: CallError| error.of_wanted(path))
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
        let tree = self.call(&mapper, mapper::GET_SUB_TREE, &(root, depth, interfaces)).await;
        tree.map_err(|error: CallError| error.of_wanted(root))
    }

    /// Every call, and what its error says of it.
    async fn ask<B, R>(
        &self,
        object: &ObjectAt,
        member: Member<'_>,
        body: &B,
    ) -> Result<R, CallError>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        let (interface, method) = match member {
            Member::Method(interface, method) => (interface, method),
            Member::Get(..) => (PROPERTIES, "Get"),
            Member::Set(..) => (PROPERTIES, "Set"),
            Member::GetAll(_) => (PROPERTIES, "GetAll"),
        };
        let call = self.connection.call_method(
            Some(object.service.as_str()),
            object.path.as_str(),
            Some(interface),
            method,
            body,
        );
        let reply: Message = match tokio::time::timeout(self.deadline, call).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(zbus::Error::InputOutput(error))) if error.kind() == ErrorKind::TimedOut => {
                return Err(self.late(object, member));
            }
            Ok(Err(error)) => return Err(CallError::new(object, member, &error)),
            Err(_) => return Err(self.late(object, member)),
        };
        let body = reply.body();
        body.deserialize().map_err(|_| {
            let want = R::SIGNATURE.to_string();
            let error = ValueError::Type { want, got: body.signature().to_string() };
            CallError::invalid(object, member, &error)
        })
    }

    fn late(&self, object: &ObjectAt, member: Member<'_>) -> CallError {
        let cause = format!("no reply within {:?}", self.deadline);
        CallError::Deadline(Box::new(FailedCall::new(object, member, &cause)))
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
    /// [`CallError::NotFound`] when it is not there, [`CallError::InvalidReply`] when it is not a `T`. The object is not
    /// known here: [`Client::read`] adds it.
    pub fn get<T: PropertyValue>(&self, property: Property<T>) -> Result<T, CallError> {
        let member = Member::Get(property.interface, property.name);
        let value = self.0.get(property.name).ok_or_else(|| {
            CallError::NotFound(Box::new(FailedCall::of(
                member,
                &"the object has no such property",
            )))
        })?;
        T::from_variant(Variant::clone(value))
            .map_err(|error| CallError::InvalidReply(Box::new(FailedCall::of(member, &error))))
    }

    /// The value of an optional property.
    ///
    /// # Errors
    ///
    /// [`CallError::InvalidReply`] when it is not a `T`.
    pub fn find<T: PropertyValue>(&self, property: Property<T>) -> Result<Option<T>, CallError> {
        match self.get(property) {
            Err(CallError::NotFound(_)) => Ok(None),
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

#[cfg(test)]
mod tests {
    use zbus::{fdo, interface};

    use super::*;
    use crate::interface::Access;
    use crate::testing::Bus;

    const FAN: &str = "xyz.example.Fan";
    const SPEED: Property<u32> = Property::new(FAN, "Speed", Access::ReadWrite);

    struct Fan;

    #[interface(name = "xyz.example.Fan")]
    impl Fan {
        #[zbus(property)]
        fn speed(&self) -> u32 {
            7
        }
        #[zbus(property)]
        fn set_speed(&self, _speed: u32) -> fdo::Result<()> {
            Err(fdo::Error::Failed("é".repeat(4000)))
        }
        fn stop(&self) -> fdo::Result<()> {
            Err(fdo::Error::AccessDenied("the host is too hot".to_owned()))
        }
        async fn hang(&self) {
            std::future::pending().await
        }
    }

    const fn method(name: &'static str) -> Method {
        Method { interface: FAN, name, input: "", output: "" }
    }

    fn fan() -> ObjectAt {
        ObjectAt::new("xyz.example.Fans", "/xyz/example/fan0")
    }

    /// A client, and the connection of the fan's service.
    async fn client(bus: &Bus, deadline: Duration) -> (Client, Connection) {
        let service = bus.builder().name(fan().service).serve_at(fan().path, Fan);
        let service = service.build().await.unwrap();
        (Client::new(bus.connect().await, deadline), service)
    }

    fn failed(object: &ObjectAt, member: &str, cause: &str) -> Box<FailedCall> {
        Box::new(FailedCall {
            service: object.service.clone(),
            path: object.path.clone(),
            member: member.to_owned(),
            cause: cause.to_owned(),
        })
    }

    #[tokio::test]
    async fn error_has_object_member_and_cause() {
        let bus = Bus::start();
        let (client, _service) = client(&bus, Duration::from_secs(60)).await;
        let fan = fan();
        assert_eq!(client.get(&fan, SPEED).await, Ok(7));
        let refused: Result<(), _> = client.call(&fan, method("Stop"), &()).await;
        let cause = "org.freedesktop.DBus.Error.AccessDenied: the host is too hot";
        let call = failed(&fan, "xyz.example.Fan.Stop", cause);
        assert_eq!(
            call.to_string(),
            format!("xyz.example.Fan.Stop of /xyz/example/fan0 at xyz.example.Fans: {cause}")
        );
        assert_eq!(refused, Err(CallError::Refused(call)));
        let wrong = Property::<String>::new(FAN, "Speed", Access::Read);
        let cause = "a value of type u where s is expected";
        let call = failed(&fan, "Get xyz.example.Fan.Speed", cause);
        assert_eq!(client.get(&fan, wrong).await, Err(CallError::InvalidReply(call.clone())));
        let read = client.read(&fan, FAN, |properties| properties.get(wrong)).await;
        assert_eq!(read, Err(CallError::InvalidReply(call)));
        let absent = Property::<u32>::new(FAN, "Noise", Access::Read);
        let read = client.read(&fan, FAN, |properties| properties.get(absent)).await;
        let cause = "the object has no such property";
        let call = failed(&fan, "Get xyz.example.Fan.Noise", cause);
        assert_eq!(read, Err(CallError::NotFound(call)));
    }

    #[tokio::test]
    async fn absent_services_and_objects_are_in_the_error() {
        let bus = Bus::start();
        let (client, _service) = client(&bus, Duration::from_secs(60)).await;
        let elsewhere = ObjectAt { path: "/xyz/example/fan1".to_owned(), ..fan() };
        let error = client.get(&elsewhere, SPEED).await.unwrap_err();
        assert!(matches!(error, CallError::NotFound(_)) && error.is_absent(), "{error:?}");
        assert_eq!(error.call().path, "/xyz/example/fan1");
        let nobody = ObjectAt::new("xyz.example.Nobody", "/");
        let error = client.set(&nobody, SPEED, 1).await.unwrap_err();
        assert!(matches!(error, CallError::Gone(_)) && error.is_absent(), "{error:?}");
        assert_eq!(error.call().member, "Set xyz.example.Fan.Speed");
        assert!(error.call().cause.starts_with("org.freedesktop.DBus.Error.ServiceUnknown: "));
        // No mapper is on this bus: the error names the object that it was asked for.
        let error = client.object_owners("/xyz/example/fan0", &[FAN]).await.unwrap_err();
        assert_eq!(error.call().service, mapper::SERVICE);
        assert_eq!(error.call().path, "/xyz/example/fan0");
    }

    #[tokio::test]
    async fn long_cause_is_cut() {
        let bus = Bus::start();
        let (client, _service) = client(&bus, Duration::from_secs(60)).await;
        let error = client.set(&fan(), SPEED, 1).await.unwrap_err();
        let cause = &error.call().cause;
        assert!(cause.starts_with("org.freedesktop.DBus.Error.Failed: éé"), "{cause}");
        assert!(cause.ends_with("é...") && cause.len() <= 256, "{}", cause.len());
    }

    #[tokio::test]
    async fn service_that_does_not_reply_is_in_the_error() {
        let bus = Bus::start();
        let (client, _service) = client(&bus, Duration::from_millis(10)).await;
        let late: Result<(), _> = client.call(&fan(), method("Hang"), &()).await;
        let call = failed(&fan(), "xyz.example.Fan.Hang", "no reply within 10ms");
        assert_eq!(late, Err(CallError::Deadline(call)));
    }
}
