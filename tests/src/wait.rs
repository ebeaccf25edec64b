//! Waiting for a condition, with a generous limit instead of a guessed time.

use std::thread;
use std::time::{Duration, Instant};

/// Timeout of every wait: far longer than needed, for slow machines.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How long a build from nothing may take.
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// How often a condition is checked.
const INTERVAL: Duration = Duration::from_millis(20);

/// Calls `probe` until it returns a value.
///
/// # Panics
///
/// After [`LIMIT`], with `what` in the message.
#[track_caller]
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    until_within(LIMIT, what, probe)
}

/// The same for a condition that may need a build first.
#[track_caller]
pub fn until_long<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    until_within(BUILD_LIMIT, what, probe)
}

#[track_caller]
fn until_within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "gave up waiting: {what}");
        thread::sleep(INTERVAL);
    }
}

/// Sleeps between two checks of a loop that has no time limit of its own.
pub fn pause() {
    thread::sleep(INTERVAL);
}

/// Calls `holds` until it is true.
///
/// # Panics
///
/// After [`LIMIT`], with `what` in the message.
#[track_caller]
pub fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}

/// Calls `holds` until it is true, or for [`LIMIT`]: for callers that report a missing condition themselves.
pub fn until_true_or_timeout(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() && Instant::now() < end {
        thread::sleep(INTERVAL);
    }
}
