//! What the bus tells of sensors: from messages to updates.

use std::collections::HashMap;

use openbmc_dbus::mapper::SubTree;
use openbmc_dbus::sensor::ROOT;
use zbus::wire::{OwnedObjectPath, OwnedVariant, Variant};
use zbus::{Message, message};

use crate::stores::sensors::{Interfaces, Properties, Update, Value};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";
const BUS: &str = "org.freedesktop.DBus";

/// The interface whose loss is the loss of a sensor.
const VALUE: &str = "xyz.openbmc_project.Sensor.Value";
/// The same for a lid.
const INTRUSION: &str = "xyz.openbmc_project.Chassis.Intrusion";

type Variants = HashMap<String, OwnedVariant>;

/// A signal that concerns sensors.
#[derive(Debug)]
pub(super) enum Told {
    /// Something of a sensor.
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

/// What a signal tells; `None` for one that does not concern sensors, or makes no sense.
pub(super) fn told(message: &Message) -> Option<Told> {
    if message.message_type() != message::Type::Signal {
        return None;
    }
    let header = message.header();
    let interface = header.interface()?.as_str();
    match (interface, header.member()?.as_str()) {
        (PROPERTIES, "PropertiesChanged") => {
            let path = below_root(header.path()?.as_str())?;
            let (interface, changed, _): (String, Variants, Vec<String>) =
                message.body().deserialize().ok()?;
            let properties = properties(changed);
            Some(Told::Sensor(Update::Changed {
                path,
                interface,
                properties,
            }))
        }
        (OBJECT_MANAGER, "InterfacesAdded") => {
            let (path, added): (OwnedObjectPath, HashMap<String, Variants>) =
                message.body().deserialize().ok()?;
            let path = below_root(path.as_str())?;
            Some(Told::Sensor(Update::Object {
                path,
                interfaces: interfaces(added),
            }))
        }
        (OBJECT_MANAGER, "InterfacesRemoved") => {
            let (path, removed): (OwnedObjectPath, Vec<String>) =
                message.body().deserialize().ok()?;
            let gone = removed
                .iter()
                .any(|name| name == VALUE || name == INTRUSION);
            let path = below_root(path.as_str()).filter(|_| gone)?;
            Some(Told::Sensor(Update::Removed { path }))
        }
        (BUS, "NameOwnerChanged") => {
            let (name, old, new): (String, String, String) = message.body().deserialize().ok()?;
            Some(Told::Owner { name, old, new })
        }
        _ => None,
    }
}

/// The objects of a `GetManagedObjects` reply that are sensors'.
pub(super) fn objects(reply: &Message) -> Option<Vec<(String, Interfaces)>> {
    let objects: HashMap<OwnedObjectPath, HashMap<String, Variants>> =
        reply.body().deserialize().ok()?;
    let sensors = objects.into_iter().filter_map(|(path, of)| {
        let path = below_root(path.as_str())?;
        Some((path, interfaces(of)))
    });
    let mut sensors: Vec<_> = sensors.collect();
    // Numbers are given in this order: the same, whatever order the reply came in.
    sensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    Some(sensors)
}

/// The services of a `GetSubTree` reply.
pub(super) fn services(reply: &Message) -> Option<Vec<String>> {
    let tree: SubTree = reply.body().deserialize().ok()?;
    let mut services: Vec<String> = tree
        .into_values()
        .flat_map(|owners| owners.into_keys())
        .collect();
    services.sort();
    services.dedup();
    Some(services)
}

fn below_root(path: &str) -> Option<String> {
    path.strip_prefix(ROOT)?.strip_prefix('/')?;
    Some(path.to_owned())
}

fn interfaces(of: HashMap<String, Variants>) -> Interfaces {
    of.into_iter()
        .map(|(interface, of)| (interface, properties(of)))
        .collect()
}

fn properties(of: Variants) -> Properties {
    of.into_iter()
        .filter_map(|(name, value)| Some((name, plain(&value)?)))
        .collect()
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
    use super::*;

    const FAN: &str = "/xyz/openbmc_project/sensors/fan_tach/Fan_0";

    fn changed(path: &str, value: f64) -> Message {
        let properties = HashMap::from([("Value", Variant::from(value))]);
        Message::signal(path, PROPERTIES, "PropertiesChanged")
            .build(&(VALUE, properties, Vec::<&str>::new()))
            .unwrap()
    }

    #[test]
    fn changed_properties_of_sensors_are_updates() {
        let Some(Told::Sensor(update)) = told(&changed(FAN, 7.0)) else {
            panic!("no update");
        };
        let expected = Update::Changed {
            path: FAN.to_owned(),
            interface: VALUE.to_owned(),
            properties: vec![("Value".to_owned(), Value::Number(7.0))],
        };
        assert_eq!(update, expected);
        assert!(told(&changed("/xyz/openbmc_project/sensors", 7.0)).is_none());
        assert!(told(&changed("/xyz/openbmc_project/sensorsx/a/b", 7.0)).is_none());
    }

    #[test]
    fn signal_with_another_body_is_passed_over() {
        let message = Message::signal(FAN, PROPERTIES, "PropertiesChanged").build(&(1_u8,));
        assert!(told(&message.unwrap()).is_none());
    }

    #[test]
    fn only_the_loss_of_the_value_is_the_loss_of_a_sensor() {
        let removed = |interface: &str| {
            let path = OwnedObjectPath::try_from(FAN).unwrap();
            let message = Message::signal("/", OBJECT_MANAGER, "InterfacesRemoved")
                .build(&(path, vec![interface]))
                .unwrap();
            told(&message).is_some()
        };
        assert!(removed(VALUE));
        assert!(!removed("xyz.openbmc_project.Sensor.Threshold.Warning"));
    }
}
