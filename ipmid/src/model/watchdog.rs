//! Expiries of the watchdog timer (IPMI v2.0 §27.7). The watchdog service has the timer use of the last expiry; the
//! flags of all, until the host clears them, are stored here.

use durable::Folder;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::persistent::Persistent;

/// The state file's name.
const FILE: &str = "watchdog.json";

/// Timer use 0: no expiry yet.
const NO_USE: u8 = 0;

/// What is stored.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Expiries {
    /// Timer use expiration flags: bit n for timer use n.
    flags: u8,
    /// The timer use that expired last.
    last: u8,
    /// Whether the timer has expired since it was set or reset.
    elapsed: bool,
}

impl Expiries {
    fn expire(&mut self, timer_use: u8) {
        self.flags |= 1_u8.checked_shl(timer_use.into()).unwrap_or_default();
        self.last = timer_use;
        self.elapsed = true;
    }
}

/// The expiries that the host has not cleared.
#[derive(Debug)]
pub struct WatchdogExpiries(Persistent<Expiries>);

impl WatchdogExpiries {
    /// Those stored in `folder`.
    #[must_use]
    pub fn open(folder: &Folder) -> Self {
        Self(Persistent::open(folder.clone(), FILE))
    }

    /// None, in memory only.
    #[must_use]
    pub fn volatile() -> Self {
        Self(Persistent::volatile())
    }

    /// Notes that the timer expired in `timer_use`, 1 to 5. A failure is in the log.
    pub async fn expire(&self, timer_use: u8) {
        self.change(|expiries| expiries.expire(timer_use)).await.unwrap_or_default();
    }

    /// Notes an expiry in `last` that came while this daemon did not run. A failure is in the log.
    pub async fn settle(&self, last: u8) {
        let missed = |expiries: &mut Expiries| {
            if last != NO_USE && last != expiries.last {
                expiries.expire(last);
            }
        };
        self.change(missed).await.unwrap_or_default();
    }

    /// Notes that the timer starts from its interval, and clears the flags of `cleared`.
    ///
    /// # Errors
    ///
    /// Those of [`Persistent::update`].
    pub async fn restart(&self, cleared: u8) -> Result<(), StoreError> {
        let restart = |expiries: &mut Expiries| {
            expiries.flags &= !cleared;
            expiries.elapsed = false;
        };
        self.change(restart).await
    }

    /// The timer use expiration flags, bit n for timer use n.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.0.look(|expiries| expiries.flags)
    }

    /// Whether the timer has expired since it was set or reset.
    #[must_use]
    pub fn has_elapsed(&self) -> bool {
        self.0.look(|expiries| expiries.elapsed)
    }

    /// Makes `change`, which is written only if it changes anything: hosts reset the timer every few seconds.
    async fn change(&self, change: impl Fn(&mut Expiries)) -> Result<(), StoreError> {
        let before = self.0.get();
        let mut after = before;
        change(&mut after);
        if after == before {
            return Ok(());
        }
        self.0.update(change).await
    }
}
