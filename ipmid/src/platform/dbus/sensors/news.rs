//! What messages say about sensors.

use std::collections::BTreeMap;

use openbmc_dbus::{chassis::intrusion, sensor};
use zbus::{
    Message, message,
    wire::{ObjectPath, OwnedVariant, Variant},
};

use crate::stores::sensors::{Interfaces, Properties, Update, Value};

/// One signal that matters.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    /// Something about one sensor, from the connection of this unique name.
    Sensor {
        sender: String,
        path: String,
        update: Update,
    },
    /// A name has another owner; empty for none.
    Owner { name: String, owner: String },
}

/// Properties as they come.
pub(super) type Bag = BTreeMap<String, OwnedVariant>;

/// What a message says, if it concerns sensors.
pub(super) fn read(message: &Message) -> Option<News> {
    let header = message.header();
    if header.message_type() != message::Type::Signal {
        return None;
    }
    let body = message.body();
    let member = header.member()?.as_str();
    if member == "NameOwnerChanged" {
        let (name, _, owner) = body.deserialize::<(String, String, String)>().ok()?;
        return Some(News::Owner { name, owner });
    }
    let update = match member {
        "PropertiesChanged" => {
            let (interface, bag, _) = body.deserialize::<(String, Bag, Vec<String>)>().ok()?;
            Update::Changed {
                path: header.path()?.to_string(),
                interface,
                properties: properties(&bag),
            }
        }
        "InterfacesAdded" => {
            type Added<'a> = (ObjectPath<'a>, BTreeMap<String, Bag>);
            let (path, bags) = body.deserialize::<Added<'_>>().ok()?;
            Update::Object {
                path: path.to_string(),
                interfaces: interfaces(&bags),
            }
        }
        "InterfacesRemoved" => {
            let (path, names) = body.deserialize::<(ObjectPath<'_>, Vec<String>)>().ok()?;
            // The rest of an object does not make a sensor, so only these say that it is gone.
            let sensors = [sensor::value::NAME, intrusion::NAME];
            if !names.iter().any(|name| sensors.contains(&name.as_str())) {
                return None;
            }
            Update::Removed {
                path: path.to_string(),
            }
        }
        _ => return None,
    };
    let path = path_of(&update)?.to_owned();
    is_sensor(&path).then(|| News::Sensor {
        sender: header.sender().map(ToString::to_string).unwrap_or_default(),
        path,
        update,
    })
}

/// Whether a path is below where sensors are.
pub(super) fn is_sensor(path: &str) -> bool {
    path.strip_prefix(sensor::ROOT)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The interfaces of an object, in the terms of the store.
pub(super) fn interfaces(bags: &BTreeMap<String, Bag>) -> Interfaces {
    bags.iter()
        .map(|(interface, bag)| (interface.clone(), properties(bag)))
        .collect()
}

fn properties(bag: &Bag) -> Properties {
    bag.iter()
        .filter_map(|(name, variant)| Some((name.clone(), value(variant)?)))
        .collect()
}

/// A property's value; `None` for types that sensors have not.
#[expect(
    clippy::cast_precision_loss,
    reason = "sensors' integers are small, and readings are rounded far more"
)]
fn value(variant: &Variant<'_>) -> Option<Value> {
    Some(match variant {
        Variant::Bool(flag) => Value::Flag(*flag),
        Variant::Str(text) => Value::Text(text.to_string()),
        Variant::F64(number) => Value::Number(*number),
        Variant::U8(number) => Value::Number(f64::from(*number)),
        Variant::I16(number) => Value::Number(f64::from(*number)),
        Variant::U16(number) => Value::Number(f64::from(*number)),
        Variant::I32(number) => Value::Number(f64::from(*number)),
        Variant::U32(number) => Value::Number(f64::from(*number)),
        Variant::I64(number) => Value::Number(*number as f64),
        Variant::U64(number) => Value::Number(*number as f64),
        _ => return None,
    })
}

fn path_of(update: &Update) -> Option<&str> {
    match update {
        Update::Object { path, .. } | Update::Changed { path, .. } | Update::Removed { path } => {
            Some(path)
        }
        Update::Offline { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use zbus::wire::DynamicType;

    use super::*;

    const SENSOR: &str = "/xyz/openbmc_project/sensors/temperature/Inlet";

    fn signal(path: &str, member: &str, body: &(impl Serialize + DynamicType)) -> Option<News> {
        let message = Message::signal(path, "org.freedesktop.DBus.Properties", member)
            .sender(":1.7")
            .build(body)
            .unwrap();
        read(&message)
    }

    fn bag() -> BTreeMap<&'static str, Variant<'static>> {
        BTreeMap::from([
            ("Value", Variant::from(21.5)),
            ("x", Variant::from(vec![1_u8])),
        ])
    }

    #[test]
    fn changes_come_and_unusable_types_are_left_out() {
        let none = Vec::<&str>::new();
        let body = ("xyz.openbmc_project.Sensor.Value", bag(), none);
        let news = signal(SENSOR, "PropertiesChanged", &body);
        let update = Update::Changed {
            path: SENSOR.to_owned(),
            interface: "xyz.openbmc_project.Sensor.Value".to_owned(),
            properties: vec![("Value".to_owned(), Value::Number(21.5))],
        };
        let (sender, path) = (":1.7".to_owned(), SENSOR.to_owned());
        assert_eq!(
            news,
            Some(News::Sensor {
                sender,
                path,
                update
            })
        );
        assert_eq!(
            signal(
                "/xyz/openbmc_project/sensorsx/a",
                "PropertiesChanged",
                &body
            ),
            None
        );
    }

    #[test]
    fn an_object_is_gone_with_its_value_only() {
        let path = ObjectPath::try_from(SENSOR).unwrap();
        let of = |name| signal("/", "InterfacesRemoved", &(path.clone(), vec![name]));
        assert!(of(sensor::value::NAME).is_some());
        assert_eq!(of("xyz.openbmc_project.Association.Definitions"), None);
    }

    #[test]
    fn what_is_no_such_signal_says_nothing() {
        assert_eq!(signal(SENSOR, "PropertiesChanged", &("x",)), None);
        assert_eq!(signal(SENSOR, "Other", &("x",)), None);
        let news = signal(
            "/org/freedesktop/DBus",
            "NameOwnerChanged",
            &("a.b", ":1.1", ""),
        );
        let (name, owner) = ("a.b".to_owned(), String::new());
        assert_eq!(news, Some(News::Owner { name, owner }));
    }
}
