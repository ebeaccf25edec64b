//! The users whose processes a daemon lets change something: root, the daemon's own user, and those
//! that are configured.
//!
//! The bus policy decides which users may send a message at all; other packages' policies may open more than a
//! daemon knows of, so each daemon checks the sender's user as well.

use std::fmt;
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::unistd::{Uid, User};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// The user ids that are accepted besides root and the daemon's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Callers {
    configured: Vec<Caller>,
    #[serde(skip)]
    usual: Arc<Usual>,
}

/// Users that are accepted without a configuration. They are looked up when another user than root and the daemon's own
/// calls for the first time: a look-up loads what the machine's user database consists of.
#[derive(Debug, Default)]
struct Usual {
    names: &'static [&'static str],
    uids: OnceLock<Vec<u32>>,
}

impl Usual {
    fn uids(&self) -> &[u32] {
        self.uids.get_or_init(|| {
            self.names.iter().filter_map(|name| uid_of(name).ok().flatten()).collect()
        })
    }
}

impl Callers {
    /// The users of these names; one that this machine does not have, or that cannot be looked up, is left out.
    #[must_use]
    pub fn of_users(names: &'static [&'static str]) -> Self {
        let usual = Arc::new(Usual { names, uids: OnceLock::new() });
        Self { configured: Vec::new(), usual }
    }

    /// Whether a process of user `uid` is accepted.
    #[must_use]
    pub fn accept(&self, uid: u32) -> bool {
        uid == 0
            || uid == Uid::effective().as_raw()
            || self.configured.contains(&Caller(uid))
            || self.usual.uids().contains(&uid)
    }
}

impl FromIterator<u32> for Callers {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        Self { configured: uids.into_iter().map(Caller).collect(), usual: Arc::default() }
    }
}

/// The user database cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot look up user {name:?}: {error}")]
pub struct UserError {
    name: String,
    error: Errno,
}

/// The uid of the user `name`; `None` where there is no such user.
///
/// # Errors
///
/// When the user database cannot be read: then it is unknown whether the user exists.
pub fn uid_of(name: &str) -> Result<Option<u32>, UserError> {
    match User::from_name(name) {
        Ok(user) => Ok(user.map(|user| user.uid.as_raw())),
        // getpwnam_r(3): what some systems return for a name that is not found.
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(error) => Err(UserError { name: name.to_owned(), error }),
    }
}

/// One of the list, by its name or number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Caller(u32);

impl<'de> Deserialize<'de> for Caller {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CallerVisitor).map(Self)
    }
}

struct CallerVisitor;

impl Visitor<'_> for CallerVisitor {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 2^32 - 1 is no user: chown(2) takes it for "unchanged".
        f.write_str("a user's name, or its number from 0 to 4294967294")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<u32, E> {
        let uid = uid_of(name).map_err(E::custom)?;
        uid.ok_or_else(|| E::custom(format!("there is no user {name:?}")))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u32, E> {
        let uid = u32::try_from(number).ok().filter(|&uid| uid != u32::MAX);
        uid.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u32, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_own_user_and_the_configured_are_accepted() {
        let callers: Callers = serde_json::from_str("[\"root\", 4711]").unwrap();
        let own = Uid::effective().as_raw();
        assert!(callers.accept(0) && callers.accept(own) && callers.accept(4711));
        assert!(!callers.accept(4712));
        for wrong in ["[\"no such user\"]", "[\"\"]", "[-1]", "[4294967295]", "[true]", "[1.5]"] {
            assert!(serde_json::from_str::<Callers>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn users_that_this_machine_does_not_have_are_left_out() {
        let callers = Callers::of_users(&["root", "no such user"]);
        assert_eq!(callers.usual.uids(), [0]);
    }
}
