//! Converts bus messages to calls, and replies and changes to messages.

use openbmc_dbus::logging::ipmi;
use tracing::warn;
use zbus::message::{Flags, Message};
use zbus::names::BusName;
use zbus::wire::{ObjectPath, Structure, StructureBuilder, Variant};

use crate::dispatch::{self, Call};
use crate::fault::Fault;
use crate::part::{Returned, SelEvent};
use crate::tree::{Change, Tree};
use crate::{mapper, services};

const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// Reads a method call that came on the connection of the service `only`, if it has one of its own.
pub(super) fn read_call(
    message: &Message,
    only: Option<&str>,
    is_accepted: bool,
) -> Result<Call, Fault> {
    let body = message.body();
    let arguments = if body.is_empty() {
        Vec::new()
    } else {
        let fields: Structure<'_> =
            body.deserialize().map_err(|error| Fault::invalid(error.to_string()))?;
        let owned = |field: &Variant<'_>| field.try_to_owned().map(Variant::from);
        let fields = fields.fields().iter().map(owned).collect::<zbus::Result<_>>();
        fields.map_err(|error| Fault::invalid(error.to_string()))?
    };
    Ok(Call { arguments, is_accepted, ..read_header(message, only) })
}

/// The call without its arguments, from a sender that is not accepted.
pub(super) fn read_header(message: &Message, only: Option<&str>) -> Call {
    let header = message.header();
    let named = match header.destination() {
        Some(BusName::WellKnown(name)) => Some(name.to_string()),
        _ => None,
    };
    Call {
        service: only.map(str::to_owned).or(named),
        path: header.path().map(ToString::to_string).unwrap_or_default(),
        interface: header.interface().map(ToString::to_string),
        member: header.member().map(ToString::to_string).unwrap_or_default(),
        arguments: Vec::new(),
        is_accepted: false,
    }
}

/// The reply to `call`.
pub(super) fn reply(call: &Message, answer: Result<Returned, Fault>) -> Option<Message> {
    let header = call.header();
    let built = match answer {
        Ok(values) if values.is_empty() => Message::method_return(&header).build(&()),
        Ok(values) => {
            let fields =
                values.into_iter().fold(StructureBuilder::new(), StructureBuilder::append_field);
            fields.build().and_then(|body| Message::method_return(&header).build(&body))
        }
        Err(fault) => Message::error(&header, fault.name).build(&(fault.text,)),
    };
    built.inspect_err(|error| warn!(%error, "cannot encode a reply; the caller gets none")).ok()
}

/// The call that logs `event` in the SEL, without a reply: where nothing serves the log, there is none.
pub(super) fn log_event(event: SelEvent) -> Option<Message> {
    /// Software id of the BMC, LUN 0 (IPMI v2.0 Table 32-1).
    const GENERATOR: u16 = 0x0020;
    /// Assertion, sensor-specific (IPMI v2.0 Table 42-1).
    const DIRECTION_AND_TYPE: u8 = 0x6f;
    /// An unknown sensor, and unspecified event data.
    const UNSPECIFIED: u8 = 0xff;
    let data = vec![event.offset, UNSPECIFIED, UNSPECIFIED];
    let path = ObjectPath::from_static_str_unchecked("/");
    let sensor = (DIRECTION_AND_TYPE, event.sensor_type, UNSPECIFIED);
    let body = ("", path, data, GENERATOR, sensor.0, sensor.1, sensor.2);
    Message::method_call(ipmi::PATH, ipmi::ADD_EXTENDED.name)
        .destination(ipmi::SERVICE)
        .interface(ipmi::NAME)
        .with_flags(Flags::NO_REPLY_EXPECTED)
        .build(&body)
        .inspect_err(|error| warn!(%error, "cannot encode an event; it is not logged"))
        .ok()
}

/// The signal for a change, and the service that sends it; no service for an object that is gone.
pub(super) fn signal_of(tree: &Tree, change: Change) -> Option<(Option<&'static str>, Message)> {
    let service_at = |path: &str| tree.object(path).map(|object| object.service);
    Some(match change {
        Change::Added { path } => {
            let object = tree.object(&path)?;
            let body = (ObjectPath::try_from(path).ok()?, dispatch::described(object));
            let manager = services::manager(object.service);
            (Some(object.service), signal(&manager, OBJECT_MANAGER, "InterfacesAdded", &body)?)
        }
        Change::Removed { service, path, interfaces } => {
            let common = mapper::COMMON_INTERFACES.into_iter();
            let interfaces: Vec<&str> = common.chain(interfaces).collect();
            let body = (ObjectPath::try_from(path).ok()?, interfaces);
            let manager = services::manager(service);
            (Some(service), signal(&manager, OBJECT_MANAGER, "InterfacesRemoved", &body)?)
        }
        Change::Changed { path, interface, values } => {
            let body = (interface, values.into_sent(), Vec::<&str>::new());
            let name = "PropertiesChanged";
            let signal = signal(&path, "org.freedesktop.DBus.Properties", name, &body)?;
            (service_at(&path), signal)
        }
        Change::Signal { path, signal: described, body } => {
            let (interface, name) = (described.interface, described.name);
            let signal = match body {
                Some(body) => signal(&path, interface, name, &body)?,
                None => signal(&path, interface, name, &())?,
            };
            (service_at(&path), signal)
        }
    })
}

fn signal<B>(path: &str, interface: &str, member: &str, body: &B) -> Option<Message>
where
    B: serde::Serialize + zbus::wire::DynamicType,
{
    Message::signal(path, interface, member)
        .build(body)
        .inspect_err(
            |error| warn!(%error, path, interface, "cannot encode a signal; not sending it"),
        )
        .ok()
}
