//! Who may call `execute()`: root, this daemon's own user, and those that are configured.

use nix::errno::Errno;
use nix::unistd::{Uid, User};
use serde::{Deserialize, de};
use tracing::warn;

use super::identity::{BridgeKind, User as CallerUser};

/// The users that our bridges run as; those that this machine does not have count for nothing.
const BRIDGES: [(&str, BridgeKind); 5] = [
    ("netipmid", BridgeKind::Lan),
    ("kcsbridged", BridgeKind::Host),
    ("btbridged", BridgeKind::Host),
    ("ssifbridged", BridgeKind::Host),
    ("ipmbbridged", BridgeKind::Ipmb),
];

/// The user ids that are accepted, and those of bridges, accepted or not.
#[derive(Clone, Debug)]
pub struct Callers {
    accepted: Vec<u32>,
    bridges: Vec<(u32, BridgeKind)>,
}

impl Callers {
    /// What the user `uid` is to this daemon. A bridge's user stays one whoever else has its uid.
    pub(super) fn user(&self, uid: u32) -> CallerUser {
        let bridge = self.bridges.iter().find(|(bridge, _)| *bridge == uid);
        match (self.accept(uid), bridge) {
            (false, _) => CallerUser::Refused,
            (true, Some((_, kind))) => CallerUser::Bridge(*kind),
            (true, None) => CallerUser::Accepted,
        }
    }

    /// Whether a process of user `uid` may call.
    #[must_use]
    pub fn accept(&self, uid: u32) -> bool {
        uid == 0 || uid == Uid::effective().as_raw() || self.accepted.contains(&uid)
    }
}

impl Default for Callers {
    fn default() -> Self {
        // Where the users cannot be read, no bridge is accepted.
        let bridges = bridges().unwrap_or_else(|error| {
            warn!(%error, "cannot read the bridges' users; their requests are refused");
            Vec::new()
        });
        Self { accepted: bridges.iter().map(|(uid, _)| *uid).collect(), bridges }
    }
}

/// The users of bridges that this machine has.
fn bridges() -> nix::Result<Vec<(u32, BridgeKind)>> {
    let mut found = Vec::new();
    for (name, kind) in BRIDGES {
        found.extend(uid_of(name)?.map(|uid| (uid, kind)));
    }
    Ok(found)
}

/// The uid of a user; `None` if there is none of this name, for which getpwnam_r(3) has errors too.
fn uid_of(name: &str) -> nix::Result<Option<u32>> {
    match User::from_name(name) {
        Ok(user) => Ok(user.map(|user| user.uid.as_raw())),
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

impl<'de> Deserialize<'de> for Callers {
    /// From a list of user names and numbers.
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Caller {
            Uid(u32),
            Name(String),
        }
        let uid = |caller| match caller {
            Caller::Uid(uid) => Ok(uid),
            Caller::Name(name) => uid_of(&name)
                .map_err(de::Error::custom)?
                .ok_or_else(|| de::Error::custom(format!("there is no user {name:?}"))),
        };
        let callers = Vec::<Caller>::deserialize(deserializer)?;
        let accepted = callers.into_iter().map(uid).collect::<Result<_, _>>()?;
        // A bridge's user that is not known as one would get the privilege of the system.
        let bridges = bridges().map_err(de::Error::custom)?;
        Ok(Self { accepted, bridges })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_ourselves_and_the_configured_are_accepted() {
        let callers: Callers = serde_json::from_str("[\"root\", 4711]").unwrap();
        let own = Uid::effective().as_raw();
        assert!(callers.accept(0) && callers.accept(own) && callers.accept(4711));
        assert!(!callers.accept(4712));
        assert!(serde_json::from_str::<Callers>("[\"no such user\"]").is_err());
    }

    #[test]
    fn user_of_a_bridge_is_one_also_where_it_is_root_or_ourselves() {
        let own = Uid::effective().as_raw();
        let (lan, ipmb) = (BridgeKind::Lan, BridgeKind::Ipmb);
        let bridges = vec![(0, lan), (own, lan), (700, ipmb), (701, lan)];
        let callers = Callers { accepted: vec![700, 702], bridges };
        assert_eq!(callers.user(0), CallerUser::Bridge(lan));
        assert_eq!(callers.user(own), CallerUser::Bridge(lan));
        assert_eq!(callers.user(700), CallerUser::Bridge(ipmb));
        assert_eq!(callers.user(701), CallerUser::Refused);
        assert_eq!(callers.user(702), CallerUser::Accepted);
    }
}
