//! Who may call `execute()`: root, this daemon's own user, and those that are configured.

use openbmc_dbus::callers;
use serde::Deserialize;

/// The users that our bridges run as; those that this machine does not have count for nothing.
const BRIDGES: [&str; 5] = ["netipmid", "kcsbridged", "btbridged", "ssifbridged", "ipmbbridged"];

/// The users that are accepted: unless configured, those of the bridges.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Callers(callers::Callers);

impl Callers {
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
