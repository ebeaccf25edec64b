//! Reads what objects a service has, by asking each of them for its description.

use std::time::Duration;

use tokio::time::timeout;
use zbus::Connection;

use super::COMMON_INTERFACES;
use super::foreign::{MOST_OBJECTS, Objects};

/// How long one object may take to describe itself.
const PATIENCE: Duration = Duration::from_secs(2);
/// How deep paths may be.
const DEEPEST: usize = 16;
/// How many objects are asked, those without interfaces of their own included.
const MOST_STEPS: usize = 4 * MOST_OBJECTS;

/// All objects of `service` that have interfaces of their own; `None` when it does not answer.
pub(super) async fn walk(connection: &Connection, service: &str) -> Option<Objects> {
    let mut objects = Objects::new();
    let mut rest = vec![("/".to_owned(), 0)];
    let mut steps = 0;
    while let Some((path, depth)) = rest.pop() {
        steps += 1;
        if objects.len() >= MOST_OBJECTS || steps > MOST_STEPS {
            break;
        }
        let description = match introspect(connection, service, &path).await {
            Ok(xml) => parse(&xml),
            // It was removed since its parent listed it.
            Err(Silence::Refused) if depth > 0 => continue,
            Err(_) => return None,
        };
        if depth < DEEPEST {
            let root = path.trim_end_matches('/');
            rest.extend(
                description.children.iter().map(|name| (format!("{root}/{name}"), depth + 1)),
            );
        }
        let own = |interface: &String| !COMMON_INTERFACES.contains(&interface.as_str());
        if description.interfaces.iter().any(own) {
            objects.insert(path, description.interfaces);
        }
    }
    Some(objects)
}

/// Why an object did not describe itself.
enum Silence {
    /// The service answered with an error.
    Refused,
    /// It did not answer, or not with a description.
    Unanswered,
}

async fn introspect(connection: &Connection, service: &str, path: &str) -> Result<String, Silence> {
    let call = connection.call_method(
        Some(service),
        path,
        Some("org.freedesktop.DBus.Introspectable"),
        "Introspect",
        &(),
    );
    match timeout(PATIENCE, call).await {
        Ok(Ok(reply)) => reply.body().deserialize().map_err(|_| Silence::Unanswered),
        Ok(Err(zbus::Error::MethodError(..))) => Err(Silence::Refused),
        Ok(Err(_)) | Err(_) => Err(Silence::Unanswered),
    }
}

/// What an object says of itself.
#[derive(Debug, Default, Eq, PartialEq)]
struct Description {
    interfaces: Vec<String>,
    children: Vec<String>,
}

/// Reads the names of interfaces and children from introspection XML, and nothing else.
fn parse(xml: &str) -> Description {
    let mut description = Description::default();
    let mut depth = 0_usize;
    for tag in xml.split('<').skip(1) {
        let Some((tag, _)) = tag.split_once('>') else {
            continue;
        };
        let closed = tag.ends_with('/');
        let kind = tag.split([' ', '\t', '\n', '\r', '/']).next().unwrap_or_default();
        match kind {
            "node" => {
                if depth == 1 {
                    description.children.extend(name(tag));
                }
                depth += usize::from(!closed);
            }
            "interface" if depth == 1 => description.interfaces.extend(name(tag)),
            _ if tag.starts_with("/node") => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    description.children.retain(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    description
}

/// The value of a tag's `name` attribute.
fn name(tag: &str) -> Option<String> {
    let (_, rest) = tag.split_once("name=")?;
    let quote = rest.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    rest.get(1..)?.split(quote).next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_and_children_are_read_and_members_are_not() {
        let xml = r#"<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
            "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
            <node name="/a">
              <interface name="x.y"><method name="M"><arg name="n" type="s"/></method></interface>
              <node name="b"><interface name="inner"/><node name="deep"/></node>
              <node name='c'/>
              <node name="../d"/>
            </node>"#;
        assert_eq!(
            parse(xml),
            Description {
                interfaces: vec!["x.y".to_owned()],
                children: vec!["b".to_owned(), "c".to_owned()]
            }
        );
    }

    #[test]
    fn nonsense_describes_nothing() {
        for xml in ["", "<", "<node", "<node><interface name=", "</node></node><node name=>"] {
            assert_eq!(parse(xml), Description::default(), "{xml}");
        }
    }
}
