//! Who owns the bridges' names, followed on the connection that requests come on: the bus sends a change of owners
//! before any later request of the same bridge, so a request never finds an older state than its sender's.

use zbus::fdo::{self, DBusProxy};
use zbus::message::{self, Message};
use zbus::names::BusName;
use zbus::{Connection, MatchRule};

use super::{CHANNEL_PREFIX, Execute};
use crate::ipmi::host_ipmi;

/// The bus daemon's name, and its interface's.
const BUS: &str = "org.freedesktop.DBus";
const NAME_OWNER_CHANGED: &str = "NameOwnerChanged";

/// Whether `name` is one that bridges own: a channel's, or that of OpenBMC's btbridge.
#[must_use]
pub fn is_bridge_name(name: &str) -> bool {
    name.starts_with(CHANNEL_PREFIX) || name == host_ipmi::SERVICE
}

/// A bridge's name has another owner, or none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnerChange {
    /// The bridge's name.
    pub name: String,
    /// The unique name that owned it.
    pub old: Option<String>,
    /// The unique name that owns it now.
    pub new: Option<String>,
}

impl OwnerChange {
    /// Reads `signal`; `None` if it is another, or not the bus daemon's own.
    pub(super) fn parse(signal: &Message) -> Option<Self> {
        let header = signal.header();
        let is_change = header.sender()?.as_str() == BUS
            && header.interface()?.as_str() == BUS
            && header.member()?.as_str() == NAME_OWNER_CHANGED;
        if !is_change {
            return None;
        }
        let (name, old, new): (String, String, String) = signal.body().deserialize().ok()?;
        let owner = |owner: String| (!owner.is_empty()).then_some(owner);
        is_bridge_name(&name).then(|| Self { name, old: owner(old), new: owner(new) })
    }
}

/// Has the bus send changes of owners to `connection`, whose stream is drained elsewhere, and gives `executor` the
/// owners that there are.
///
/// # Errors
///
/// When the bus does not say all of it.
pub(super) async fn follow(connection: &Connection, executor: &impl Execute) -> zbus::Result<()> {
    let bus = DBusProxy::new(connection).await?;
    // Before the list is asked for, so that no change is missed in between.
    for namespace in [CHANNEL_PREFIX.trim_end_matches('.'), host_ipmi::SERVICE] {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender(BUS)
            .interface(BUS)
            .member(NAME_OWNER_CHANGED)
            .arg0ns(namespace)
            .build()?;
        bus.add_match_rule(rule).await?;
    }
    let mut owners = Vec::new();
    for name in bus.list_names().await? {
        if is_bridge_name(name.as_str()) {
            match bus.get_name_owner(BusName::from(name.clone())).await {
                Ok(owner) => owners.push((name.to_string(), owner.to_string())),
                Err(fdo::Error::NameHasNoOwner(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    executor.owners_listed(owners);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAN: &str = "xyz.openbmc_project.Ipmi.Channel.lan0";

    fn signal(sender: &str, body: (&str, &str, &str)) -> Message {
        let signal = Message::signal("/org/freedesktop/DBus", BUS, NAME_OWNER_CHANGED);
        signal.sender(sender).build(&body).unwrap()
    }

    #[test]
    fn owners_that_change_are_read_from_the_bus_daemon_only() {
        let (old, new) = (Some(":1.5".to_owned()), Some(":1.6".to_owned()));
        let parse = |body| OwnerChange::parse(&signal(BUS, body));
        let name = LAN.to_owned();
        let change = OwnerChange { name, old, new };
        assert_eq!(parse((LAN, ":1.5", ":1.6")), Some(change.clone()));
        assert_eq!(parse((LAN, "", ":1.6")), Some(OwnerChange { old: None, ..change.clone() }));
        assert_eq!(parse((LAN, ":1.5", "")), Some(OwnerChange { new: None, ..change }));
        assert_eq!(parse((":1.5", ":1.5", "")), None);
        assert_eq!(OwnerChange::parse(&signal(":1.9", (LAN, ":1.5", ":1.6"))), None);
    }
}
