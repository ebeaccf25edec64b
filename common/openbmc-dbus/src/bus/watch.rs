//! Subscriptions to what most daemons follow: the owners of bus names, and the properties of objects.
//!
//! `watch_*` gives a stream of its own, which must be read: a full one holds up the replies of its connection. A
//! daemon that reads all messages of a connection from one stream gives the rules to [`add_match`] instead.

use std::num::NonZeroUsize;

use zbus::message::{self, Message};
use zbus::{Connection, MatchRule, MessageStream, match_rule};

use super::name::{BUS, BUS_PATH};

/// The member of the bus's interface that reports a change of owners.
const NAME_OWNER_CHANGED: &str = "NameOwnerChanged";

/// Signals that a stream may hold.
const QUEUE: Option<NonZeroUsize> = NonZeroUsize::new(64);

/// A bus name has another owner, or none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnerChange {
    /// The name.
    pub name: String,
    /// The unique name that owned it.
    pub old: Option<String>,
    /// The unique name that owns it now.
    pub new: Option<String>,
}

impl OwnerChange {
    /// Reads `signal`; `None` if it is another signal, or not the bus's own: anybody can send one to us alone.
    #[must_use]
    pub fn parse(signal: &Message) -> Option<Self> {
        let header = signal.header();
        let is_change = header.sender()?.as_str() == BUS
            && header.interface()?.as_str() == BUS
            && header.member()?.as_str() == NAME_OWNER_CHANGED;
        if !is_change {
            return None;
        }
        let (name, old, new): (String, String, String) = signal.body().deserialize().ok()?;
        let owner = |owner: String| (!owner.is_empty()).then_some(owner);
        Some(Self { name, old: owner(old), new: owner(new) })
    }
}

/// The signals of the bus itself with this member.
pub(super) fn bus_rule<'a>(member: &'static str) -> match_rule::Builder<'a> {
    MatchRule::builder().msg_type(message::Type::Signal).sender(BUS).interface(BUS).member(member)
}

/// The changes of the owner of `name`.
///
/// # Errors
///
/// For an invalid name.
pub fn owner_rule(name: &str) -> zbus::Result<MatchRule<'static>> {
    Ok(bus_rule(NAME_OWNER_CHANGED).arg(0, name).build()?.to_owned())
}

/// The changes of owners of all names in `namespace`, such as `xyz.openbmc_project`.
///
/// # Errors
///
/// For an invalid namespace.
pub fn owners_rule(namespace: &str) -> zbus::Result<MatchRule<'static>> {
    Ok(bus_rule(NAME_OWNER_CHANGED).arg0ns(namespace).build()?.to_owned())
}

/// The changes of the properties of `interface` at `path`.
///
/// # Errors
///
/// For an invalid path.
pub fn properties_rule(path: &str, interface: &str) -> zbus::Result<MatchRule<'static>> {
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .path(path)
        .arg(0, interface)
        .build()?;
    Ok(rule.to_owned())
}

/// Watches the owner of `name`.
///
/// # Errors
///
/// For an invalid name; when the bus refuses the subscription, or is gone.
pub async fn watch_owner(connection: &Connection, name: &str) -> zbus::Result<MessageStream> {
    MessageStream::for_match_rule(owner_rule(name)?, connection, QUEUE).await
}

/// Watches the owners of all names in `namespace`.
///
/// # Errors
///
/// As [`watch_owner`].
pub async fn watch_owners(connection: &Connection, namespace: &str) -> zbus::Result<MessageStream> {
    MessageStream::for_match_rule(owners_rule(namespace)?, connection, QUEUE).await
}

/// Watches the properties of `interface` at `path`.
///
/// # Errors
///
/// As [`watch_owner`].
pub async fn watch_properties(
    connection: &Connection,
    path: &str,
    interface: &str,
) -> zbus::Result<MessageStream> {
    MessageStream::for_match_rule(properties_rule(path, interface)?, connection, QUEUE).await
}

/// Subscribes `connection`, all of whose messages somebody reads, to what `rule` matches.
///
/// # Errors
///
/// When the bus refuses the subscription, or is gone.
pub async fn add_match(connection: &Connection, rule: &MatchRule<'_>) -> zbus::Result<()> {
    let body = (rule.to_string(),);
    connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "AddMatch", &body).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "xyz.openbmc_project.Ipmi.Channel.lan0";

    fn signal(sender: &str, body: (&str, &str, &str)) -> Message {
        let signal = Message::signal(BUS_PATH, BUS, NAME_OWNER_CHANGED);
        signal.sender(sender).build(&body).unwrap()
    }

    #[test]
    fn owners_that_change_are_read_from_the_bus_daemon_only() {
        let (old, new) = (Some(":1.5".to_owned()), Some(":1.6".to_owned()));
        let parse = |body| OwnerChange::parse(&signal(BUS, body));
        let change = OwnerChange { name: NAME.to_owned(), old, new };
        assert_eq!(parse((NAME, ":1.5", ":1.6")), Some(change.clone()));
        assert_eq!(parse((NAME, "", ":1.6")), Some(OwnerChange { old: None, ..change.clone() }));
        assert_eq!(parse((NAME, ":1.5", "")), Some(OwnerChange { new: None, ..change }));
        assert_eq!(OwnerChange::parse(&signal(":1.9", (NAME, ":1.5", ":1.6"))), None);
    }

    #[test]
    fn rules_name_the_sender_the_path_and_the_argument() {
        let rule = |rule: zbus::Result<MatchRule<'_>>| rule.unwrap().to_string();
        let owner = rule(owner_rule("org.example"));
        for part in
            ["sender='org.freedesktop.DBus'", "member='NameOwnerChanged'", "arg0='org.example'"]
        {
            assert!(owner.contains(part), "{owner}");
        }
        assert!(rule(owners_rule("org.example")).contains("arg0namespace='org.example'"));
        let properties = rule(properties_rule("/a", "org.example"));
        for part in ["member='PropertiesChanged'", "path='/a'", "arg0='org.example'"] {
            assert!(properties.contains(part), "{properties}");
        }
        assert!(properties_rule("a", "org.example").is_err());
    }
}
