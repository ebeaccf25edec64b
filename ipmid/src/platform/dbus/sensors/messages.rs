//! Messages of the sensor services, read into updates of the sensor table.

use std::collections::HashMap;

use openbmc_dbus::mapper::SubTree;
use openbmc_dbus::sensor::ROOT;
use openbmc_dbus::{inventory, state};
use zbus::Message;
use zbus::message::{self, Body};
use zbus::wire::{ObjectPath, Variant};

use crate::model::sensors::{Interfaces, Properties, Update, Value};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";
const BUS: &str = "org.freedesktop.DBus";

/// The interfaces whose loss is the loss of a sensor. An object beside the sensors' own is one if it has any.
const SENSORS: [&str; 4] = [
    "xyz.openbmc_project.Sensor.Value",
    "xyz.openbmc_project.Chassis.Intrusion",
    inventory::power_supply::NAME,
    state::chassis::NAME,
];

/// The root of the chassis' states.
pub(super) const STATES: &str = "/xyz/openbmc_project/state";

/// Properties as they are in a message.
type Variants<'a> = HashMap<&'a str, Variant<'a>>;

/// A signal that concerns sensors.
#[derive(Debug)]
pub(super) enum SensorSignal {
    /// An object or a property of a sensor changed.
    Sensor(Update),
    /// A well-known name got another owner; empty for none.
    Owner {
        /// The name.
        name: String,
        /// The unique name that had it.
        old: String,
        /// The unique name that has it.
        new: String,
    },
}

/// Reads a signal; `None` for one that does not concern sensors, or with an invalid body.
pub(super) fn signal(message: &Message) -> Option<SensorSignal> {
    if message.message_type() != message::Type::Signal {
        return None;
    }
    let header = message.header();
    let interface = header.interface()?.as_str();
    let body = message.body();
    match (interface, header.member()?.as_str()) {
        (PROPERTIES, "PropertiesChanged") => {
            let (interface, changed, _): (&str, Variants<'_>, Vec<&str>) =
                body.deserialize().ok()?;
            let path = followed(header.path()?.as_str())?;
            let properties = properties(changed);
            Some(SensorSignal::Sensor(Update::Changed {
                path: path.to_owned(),
                interface: interface.to_owned(),
                properties,
            }))
        }
        (OBJECT_MANAGER, "InterfacesAdded") => {
            let (path, added): (ObjectPath<'_>, HashMap<&str, Variants<'_>>) =
                body.deserialize().ok()?;
            let path = followed(path.as_str())?;
            if !is_sensor(path, added.keys()) {
                return None;
            }
            Some(SensorSignal::Sensor(Update::Object {
                path: path.to_owned(),
                interfaces: interfaces(added),
            }))
        }
        (OBJECT_MANAGER, "InterfacesRemoved") => {
            let (path, removed): (ObjectPath<'_>, Vec<&str>) = body.deserialize().ok()?;
            let gone = removed.iter().any(|name| SENSORS.contains(name));
            let path = followed(path.as_str()).filter(|_| gone)?;
            Some(SensorSignal::Sensor(Update::Removed { path: path.to_owned() }))
        }
        (BUS, "NameOwnerChanged") => {
            let (name, old, new): (String, String, String) = body.deserialize().ok()?;
            Some(SensorSignal::Owner { name, old, new })
        }
        _ => None,
    }
}

/// The objects in the body of a `GetManagedObjects` reply that are sensors'.
///
/// They are read without a copy of the body: a service of hundreds of sensors has tens of thousands of names.
pub(super) fn objects(
    reply: &Body,
) -> Option<impl ExactSizeIterator<Item = (String, Interfaces)> + use<'_>> {
    let objects: HashMap<ObjectPath<'_>, HashMap<&str, Variants<'_>>> = reply.deserialize().ok()?;
    let mut sensors: Vec<_> = objects
        .into_iter()
        .filter(|(path, of)| followed(path).is_some() && is_sensor(path, of.keys()))
        .collect();
    // Numbers are given in this order: the same, whatever order the reply came in.
    sensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    let owned = |(path, of): (ObjectPath<'_>, _)| (path.to_string(), interfaces(of));
    Some(sensors.into_iter().map(owned))
}

/// The services of a `GetSubTree` reply.
pub(super) fn services(reply: &Message) -> Option<Vec<String>> {
    let tree: SubTree = reply.body().deserialize().ok()?;
    let mut services: Vec<String> =
        tree.into_values().flat_map(|owners| owners.into_keys()).collect();
    services.sort();
    services.dedup();
    Some(services)
}

/// The number in the reply to a property's `Get`.
pub(super) fn reading(reply: &Message) -> Option<f64> {
    match got(reply)? {
        Value::Number(number) => Some(number),
        Value::Flag(_) | Value::Text(_) => None,
    }
}

/// The text in the reply to a property's `Get`.
pub(super) fn text(reply: &Message) -> Option<String> {
    match got(reply)? {
        Value::Text(text) => Some(text),
        Value::Flag(_) | Value::Number(_) => None,
    }
}

/// The value in the reply to a property's `Get`; `None` for an error.
fn got(reply: &Message) -> Option<Value> {
    if reply.message_type() != message::Type::MethodReturn {
        return None;
    }
    let body = reply.body();
    let value: Variant<'_> = body.deserialize().ok()?;
    plain(&value)
}

/// A path, if it is below one of the roots that have sensors.
fn followed(path: &str) -> Option<&str> {
    let below = |root: &&str| {
        let rest = path.strip_prefix(*root);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    [ROOT, inventory::ROOT, STATES].iter().any(below).then_some(path)
}

/// Whether an object is a sensor: every object below the sensor root, elsewhere those with certain interfaces.
fn is_sensor<'a>(path: &str, mut interfaces: impl Iterator<Item = &'a &'a str>) -> bool {
    path.starts_with(ROOT) || interfaces.any(|name| SENSORS.contains(name))
}

fn interfaces(of: HashMap<&str, Variants<'_>>) -> Interfaces {
    of.into_iter().map(|(interface, of)| (interface.to_owned(), properties(of))).collect()
}

fn properties(of: Variants<'_>) -> Properties {
    of.into_iter().filter_map(|(name, value)| Some((name.to_owned(), plain(&value)?))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "readings are far below 2^53")]
fn plain(value: &Variant<'_>) -> Option<Value> {
    Some(match value {
        Variant::F64(number) => Value::Number(*number),
        Variant::U8(number) => Value::Number(f64::from(*number)),
        Variant::I16(number) => Value::Number(f64::from(*number)),
        Variant::U16(number) => Value::Number(f64::from(*number)),
        Variant::I32(number) => Value::Number(f64::from(*number)),
        Variant::U32(number) => Value::Number(f64::from(*number)),
        Variant::I64(number) => Value::Number(*number as f64),
        Variant::U64(number) => Value::Number(*number as f64),
        Variant::Bool(flag) => Value::Flag(*flag),
        Variant::Str(text) => Value::Text(text.to_string()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use zbus::wire::OwnedObjectPath;

    use super::*;

    const FAN: &str = "/xyz/openbmc_project/sensors/fan_tach/Fan_0";

    fn changed(path: &str, value: f64) -> Message {
        let properties = HashMap::from([("Value", Variant::from(value))]);
        Message::signal(path, PROPERTIES, "PropertiesChanged")
            .build(&(SENSORS[0], properties, Vec::<&str>::new()))
            .unwrap()
    }

    #[test]
    fn changed_properties_of_sensors_are_updates() {
        let Some(SensorSignal::Sensor(update)) = signal(&changed(FAN, 7.0)) else {
            panic!("no update");
        };
        let expected = Update::Changed {
            path: FAN.to_owned(),
            interface: SENSORS[0].to_owned(),
            properties: vec![("Value".to_owned(), Value::Number(7.0))],
        };
        assert_eq!(update, expected);
        assert!(signal(&changed("/xyz/openbmc_project/sensors", 7.0)).is_none());
        assert!(signal(&changed("/xyz/openbmc_project/sensorsx/a/b", 7.0)).is_none());
    }

    #[test]
    fn power_supplies_are_sensors_and_other_inventory_is_not() {
        let added = |interface: &str| {
            let path = OwnedObjectPath::try_from("/xyz/openbmc_project/inventory/system/PSU0");
            let of = HashMap::from([(interface, HashMap::<&str, Variant<'_>>::new())]);
            let message = Message::signal("/", OBJECT_MANAGER, "InterfacesAdded")
                .build(&(path.unwrap(), of))
                .unwrap();
            signal(&message).is_some()
        };
        assert!(added("xyz.openbmc_project.Inventory.Item.PowerSupply"));
        assert!(!added("xyz.openbmc_project.Inventory.Item.Board"));
    }

    #[test]
    fn signal_with_another_body_is_ignored() {
        let message = Message::signal(FAN, PROPERTIES, "PropertiesChanged").build(&(1_u8,));
        assert!(signal(&message.unwrap()).is_none());
    }

    #[test]
    fn only_the_loss_of_the_value_is_the_loss_of_a_sensor() {
        let removed = |interface: &str| {
            let path = OwnedObjectPath::try_from(FAN).unwrap();
            let message = Message::signal("/", OBJECT_MANAGER, "InterfacesRemoved")
                .build(&(path, vec![interface]))
                .unwrap();
            signal(&message).is_some()
        };
        assert!(removed(SENSORS[0]));
        assert!(!removed("xyz.openbmc_project.Sensor.Threshold.Warning"));
    }
}
