//! Who may call `execute()`: root, this daemon's own user, and those that are configured.

use openbmc_dbus::callers;
use serde::Deserialize;

use super::identity::User;

/// The users that our bridges run as; those that this machine does not have count for nothing.
const BRIDGES: [&str; 5] = ["netipmid", "kcsbridged", "btbridged", "ssifbridged", "ipmbbridged"];

/// The users that are accepted: unless configured, those of the bridges.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Callers(callers::Callers);

impl Callers {
    /// What the user `uid` is to this daemon.
    pub(super) fn user(&self, uid: u32) -> User {
        // Bridges that run as root or as this daemon do not show by their user.
        let is_privileged = callers::Callers::default().accept(uid);
        match self.accept(uid) {
            true if !is_privileged && callers::Callers::of_users(&BRIDGES).accept(uid) => {
                User::Bridge
            }
            true => User::Accepted,
            false => User::Refused,
        }
    }

    /// Whether a process of user `uid` may call.
    #[must_use]
    pub fn accept(&self, uid: u32) -> bool {
        self.0.accept(uid)
    }
}

impl Default for Callers {
    fn default() -> Self {
        Self(callers::Callers::of_users(&BRIDGES))
    }
}
