//! Who owns the bridges' names, followed on the connection that requests come on: the bus sends a change of owners
//! before any later request of the same bridge, so a request never finds an older state than its sender's.

use zbus::Connection;
use zbus::fdo::{self, DBusProxy};
use zbus::message::Message;
use zbus::names::BusName;

use super::{CHANNEL_PREFIX, Execute};
use crate::bus::{OwnerChange, add_match, owners_rule};
use crate::ipmi::host_ipmi;

/// Whether `name` is one that bridges own: a channel's, or that of OpenBMC's btbridge.
#[must_use]
pub fn is_bridge_name(name: &str) -> bool {
    name.starts_with(CHANNEL_PREFIX) || name == host_ipmi::SERVICE
}

/// Reads `signal`; `None` unless it is the bus's own, for a bridge's name.
pub(super) fn bridge_owner_change(signal: &Message) -> Option<OwnerChange> {
    OwnerChange::parse(signal).filter(|change| is_bridge_name(&change.name))
}

/// Subscribes `connection`, whose stream is drained elsewhere, to changes of owners, and gives `executor` the
/// present owners.
///
/// # Errors
///
/// When a call to the bus fails.
pub(super) async fn follow(connection: &Connection, executor: &impl Execute) -> zbus::Result<()> {
    let bus = DBusProxy::new(connection).await?;
    // Before the names are listed, so that no change is missed in between.
    for namespace in [CHANNEL_PREFIX.trim_end_matches('.'), host_ipmi::SERVICE] {
        add_match(connection, &owners_rule(namespace)?).await?;
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

    #[test]
    fn only_the_names_of_bridges_are_followed() {
        let bus = "org.freedesktop.DBus";
        let change = |name| {
            let signal = Message::signal("/org/freedesktop/DBus", bus, "NameOwnerChanged");
            signal.sender(bus).build(&(name, "", ":1.5")).unwrap()
        };
        for (name, is_bridge) in [
            ("xyz.openbmc_project.Ipmi.Channel.lan0", true),
            (host_ipmi::SERVICE, true),
            ("xyz.openbmc_project.Ipmi.Host", false),
            (":1.5", false),
        ] {
            assert_eq!(bridge_owner_change(&change(name)).is_some(), is_bridge, "{name}");
        }
    }
}
