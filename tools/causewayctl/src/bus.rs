//! The bus of the daemons, and requests to `ipmid` over it.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use ipmi_proto::{CompletionCode, Request, ResponseBody};
use openbmc_dbus::bus::{self, OwnNameError};
use openbmc_dbus::client::{Client, ObjectAt};
use openbmc_dbus::execute::{self, COMMANDS, CommandInfo, LIST};
use zbus::wire::{OwnedVariant, Variant};
use zbus::{Connection, fdo};

use crate::cli::Global;
use crate::error::Error;

/// How long a call may take; longer than `ipmid` takes at most.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The bus daemon, and its interface.
const DBUS: &str = "org.freedesktop.DBus";
const DBUS_PATH: &str = "/org/freedesktop/DBus";
const PEER: &str = "org.freedesktop.DBus.Peer";

/// A connection to the bus.
#[derive(Clone, Debug)]
pub(crate) struct Bus {
    connection: Connection,
}

/// What a request says of its sender (docs/dbus.md), by the names of `execute()`.
pub(crate) type Options = HashMap<&'static str, Variant<'static>>;

impl Bus {
    /// Connects to the bus that the command line says.
    pub(crate) async fn connect(global: &Global) -> Result<Self, Error> {
        let address = global.bus.clone().unwrap_or_else(bus::address);
        let connecting = bus::connect_to(&address, TIMEOUT);
        match tokio::time::timeout(TIMEOUT, connecting).await {
            Ok(Ok(connection)) => Ok(Self { connection }),
            Ok(Err(error)) => Err(no_bus(&address, &error)),
            Err(_) => Err(no_bus(&address, &"it does not answer")),
        }
    }

    /// Owns the bus name of `channel`, as its bridge does.
    pub(crate) async fn become_bridge_of(&self, channel: &str) -> Result<(), Error> {
        let name = format!("{}{channel}", execute::CHANNEL_PREFIX);
        let owned = bus::own_name(&self.connection, &name).await;
        owned.map_err(|error| {
            let text = Error::failed(format_args!("cannot be the bridge of channel {channel}: {error}"));
            match error {
                OwnNameError::Taken => text.remedy(
                    "stop the bridge of that channel first, or send the request through it (ipmitool)",
                ),
                OwnNameError::Forbidden(_) => text.remedy("run it as root"),
                OwnNameError::Bus(_) => text,
            }
        })
    }

    /// Has `ipmid` execute `request`.
    pub(crate) async fn execute(
        &self,
        request: &Request,
        options: &Options,
    ) -> Result<ResponseBody, Error> {
        let Request { netfn, lun, command, data } = request;
        let body = (netfn.value(), lun.value(), *command, data.as_slice(), options);
        let ((_, _, _, completion, data),): ((u8, u8, u8, u8, Vec<u8>),) = self
            .call(execute::SERVICE, execute::PATH, execute::INTERFACE, execute::METHOD, &body)
            .await
            .map_err(|error| call_failed("ipmid", &error))?;
        Ok(ResponseBody { completion: CompletionCode(completion), data })
    }

    /// The commands of `ipmid`, by its own table.
    pub(crate) async fn commands(&self) -> Result<Vec<CommandInfo>, Error> {
        let list = self.call(execute::SERVICE, execute::PATH, COMMANDS, LIST, &()).await;
        let (commands,) = list.map_err(|error| call_failed("ipmid", &error))?;
        Ok(commands)
    }

    /// All names on the bus that are no connection's own.
    pub(crate) async fn names(&self) -> Result<Vec<String>, Error> {
        let names = self.call(DBUS, DBUS_PATH, DBUS, "ListNames", &()).await;
        let (names,): (Vec<String>,) = names.map_err(|error| call_failed("the bus", &error))?;
        Ok(names.into_iter().filter(|name| !name.starts_with(':') && name != DBUS).collect())
    }

    /// The process that owns a name; `None` if it has no owner.
    pub(crate) async fn process_of(&self, name: &str) -> Option<u32> {
        let body = (name,);
        let call = self.call(DBUS, DBUS_PATH, DBUS, "GetConnectionUnixProcessID", &body).await;
        call.ok().map(|(pid,)| pid)
    }

    /// Whether the owner of a name answers at all.
    pub(crate) async fn ping(&self, name: &str) -> Result<(), String> {
        let ping = self.connection.call_method(Some(name), "/", Some(PEER), "Ping", &());
        match tokio::time::timeout(TIMEOUT, ping).await {
            Ok(Err(zbus::Error::FDO(error))) => match *error {
                fdo::Error::NoReply(_) | fdo::Error::Timeout(_) | fdo::Error::TimedOut(_) => {
                    Err("it does not answer".to_owned())
                }
                // An answer, if not the one.
                _ => Ok(()),
            },
            Ok(Err(zbus::Error::InputOutput(error))) if error.kind() == io::ErrorKind::TimedOut => {
                Err("it does not answer".to_owned())
            }
            Ok(_) => Ok(()),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }

    /// Typed calls to other services.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.connection.clone(), TIMEOUT)
    }

    /// A property; `None` where the service is gone or does not have it.
    pub(crate) async fn property(
        &self,
        object: &ObjectAt,
        interface: &str,
        name: &str,
    ) -> Result<Option<OwnedVariant>, Error> {
        let ObjectAt { service, path } = object;
        let body = (interface, name);
        match self.call(service, path, "org.freedesktop.DBus.Properties", "Get", &body).await {
            Ok((value,)) => Ok(Some(value)),
            Err(zbus::Error::FDO(error)) if is_absent(&error) => Ok(None),
            Err(error) => Err(call_failed(service, &error)),
        }
    }

    /// The connection itself, for subscriptions.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The unique name of the connection that owns `name`; `None` if none does.
    pub(crate) async fn owner_of(&self, name: &str) -> Option<String> {
        let call = self.call(DBUS, DBUS_PATH, DBUS, "GetNameOwner", &(name,)).await;
        call.ok().map(|(owner,)| owner)
    }

    /// Calls a method of an object that not every service has; `None` where it is absent.
    pub(crate) async fn call_if_there<B, R>(
        &self,
        service: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Result<Option<R>, Error>
    where
        B: serde::Serialize + zbus::wire::DynamicType,
        R: serde::de::DeserializeOwned + zbus::wire::Type,
    {
        match self.call(service, path, interface, member, body).await {
            Ok(result) => Ok(Some(result)),
            Err(zbus::Error::FDO(error)) if is_absent(&error) => Ok(None),
            Err(error) => Err(call_failed(service, &error)),
        }
    }

    /// Calls a method.
    pub(crate) async fn call<B, R>(
        &self,
        service: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> zbus::Result<R>
    where
        B: serde::Serialize + zbus::wire::DynamicType,
        R: serde::de::DeserializeOwned + zbus::wire::Type,
    {
        let call = self.connection.call_method(Some(service), path, Some(interface), member, body);
        call.await?.body().deserialize()
    }
}

fn no_bus(address: &str, error: &dyn std::fmt::Display) -> Error {
    Error::failed(format_args!("cannot connect to the bus at {address}: {error}")).remedy(
        "systemctl status dbus, or name another bus with --bus: causeway-vm status NAME prints \
             that of a machine",
    )
}

/// Whether an error says that the service, object or property is not there.
fn is_absent(error: &fdo::Error) -> bool {
    matches!(
        error,
        fdo::Error::ServiceUnknown(_)
            | fdo::Error::NameHasNoOwner(_)
            | fdo::Error::UnknownObject(_)
            | fdo::Error::UnknownInterface(_)
            | fdo::Error::UnknownMethod(_)
            | fdo::Error::UnknownProperty(_)
    )
}

/// A call to `daemon` that gave no result.
pub(crate) fn call_failed(daemon: &str, error: &zbus::Error) -> Error {
    let zbus::Error::FDO(fdo) = error else {
        return Error::failed(format_args!("{daemon} does not answer: {error}"));
    };
    match &**fdo {
        fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) => {
            Error::failed(format_args!("{daemon} is not on the bus"))
                .remedy(format_args!("systemctl start {daemon}"))
        }
        fdo::Error::UnknownMethod(_) => {
            Error::failed(format_args!("{daemon} has no such list: it is another's, or older"))
        }
        fdo::Error::AccessDenied(_) => {
            Error::failed(format_args!("the bus policy does not let this user call {daemon}"))
                .remedy("run it as root")
        }
        fdo::Error::NoReply(_) | fdo::Error::Timeout(_) | fdo::Error::TimedOut(_) => {
            Error::failed(format_args!("{daemon} does not answer"))
                .remedy(format_args!("journalctl -u {daemon}"))
        }
        error => Error::failed(format_args!("{daemon} refuses the call: {error}")),
    }
}
