//! Who may call `execute()`: root, this daemon's own user, and those that are configured.

use openbmc_dbus::callers::{self, UserError};
use serde::{Deserialize, de};
use tracing::warn;

use super::identity::{BridgeKind, User};

/// The users that our bridges run as; those that this machine lacks are ignored.
const BRIDGES: [(&str, BridgeKind); 5] = [
    ("netipmid", BridgeKind::Lan),
    ("kcsbridged", BridgeKind::Host),
    ("btbridged", BridgeKind::Host),
    ("ssifbridged", BridgeKind::Host),
    ("ipmbbridged", BridgeKind::Ipmb),
];

/// The users that are accepted, unless configured those of the bridges; and the bridges' users, accepted or not.
#[derive(Clone, Debug)]
pub struct Callers {
    accepted: callers::Callers,
    bridges: Vec<(u32, BridgeKind)>,
}

impl Callers {
    /// The kind of the user `uid`. A bridge's user stays one even if root or this daemon has the same uid.
    pub(super) fn user(&self, uid: u32) -> User {
        let bridge = self.bridges.iter().find(|(bridge, _)| *bridge == uid);
        match (self.accepted.accept(uid), bridge) {
            (false, _) => User::Refused,
            (true, Some((_, kind))) => User::Bridge(*kind),
            (true, None) => User::Accepted,
        }
    }
}

impl Default for Callers {
    fn default() -> Self {
        // Where the users cannot be read, no bridge is accepted.
        let bridges = bridges().unwrap_or_else(|error| {
            warn!(%error, "cannot read the bridges' users; their requests are refused");
            Vec::new()
        });
        let accepted = bridges.iter().map(|(uid, _)| *uid).collect();
        Self { accepted, bridges }
    }
}

impl<'de> Deserialize<'de> for Callers {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let accepted = callers::Callers::deserialize(deserializer)?;
        // A bridge's user that is not known as one would get the privilege of the system.
        let bridges = bridges().map_err(de::Error::custom)?;
        Ok(Self { accepted, bridges })
    }
}

/// The users of bridges that this machine has.
fn bridges() -> Result<Vec<(u32, BridgeKind)>, UserError> {
    let mut found = Vec::new();
    for (name, kind) in BRIDGES {
        found.extend(callers::uid_of(name)?.map(|uid| (uid, kind)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use nix::unistd::Uid;

    use super::*;

    #[test]
    fn user_of_a_bridge_is_one_also_where_it_is_root_or_ourselves() {
        let own = Uid::effective().as_raw();
        let (lan, ipmb) = (BridgeKind::Lan, BridgeKind::Ipmb);
        let bridges = vec![(0, lan), (own, lan), (700, ipmb), (701, lan)];
        let accepted = [700, 702].into_iter().collect();
        let callers = Callers { accepted, bridges };
        assert_eq!(callers.user(0), User::Bridge(lan));
        assert_eq!(callers.user(own), User::Bridge(lan));
        assert_eq!(callers.user(700), User::Bridge(ipmb));
        assert_eq!(callers.user(701), User::Refused);
        assert_eq!(callers.user(702), User::Accepted);
    }
}
