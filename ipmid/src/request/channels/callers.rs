//! Who may call `execute()`: root, this daemon's own user, and those that are configured.

use nix::unistd::{Uid, User};
use serde::{Deserialize, de};

use super::identity::User as CallerUser;

/// The user ids that are accepted.
#[derive(Clone, Debug)]
pub struct Callers(Vec<u32>);

/// The users that our bridges run as; those that this machine does not have count for nothing.
const BRIDGES: [&str; 5] = ["netipmid", "kcsbridged", "btbridged", "ssifbridged", "ipmbbridged"];

impl Callers {
    /// What the user `uid` is to this daemon.
    pub(super) fn user(&self, uid: u32) -> CallerUser {
        let is_bridge = BRIDGES.iter().any(|name| uid_of(name) == Some(uid));
        match self.accept(uid) {
            true if is_bridge && uid != 0 && uid != Uid::effective().as_raw() => CallerUser::Bridge,
            true => CallerUser::Accepted,
            false => CallerUser::Refused,
        }
    }

    /// Whether a process of user `uid` may call.
    #[must_use]
    pub fn accept(&self, uid: u32) -> bool {
        uid == 0 || uid == Uid::effective().as_raw() || self.0.contains(&uid)
    }
}

impl Default for Callers {
    fn default() -> Self {
        Self(BRIDGES.iter().filter_map(|name| uid_of(name)).collect())
    }
}

fn uid_of(name: &str) -> Option<u32> {
    User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
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
            Caller::Name(name) => {
                uid_of(&name).ok_or_else(|| de::Error::custom(format!("there is no user {name:?}")))
            }
        };
        Vec::<Caller>::deserialize(deserializer)?
            .into_iter()
            .map(uid)
            .collect::<Result<_, _>>()
            .map(Self)
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
}
