//! When the first sensors are numbered: once the services that start with the BMC have shown theirs.
//!
//! Numbers are given in path order, so that BMCs with the same sensors have the same numbers whichever service comes up
//! first. That is known when systemd has started everything that it starts at boot, where there is a systemd, and no service
//! and no object has come for a while. Sensors that have a number already do not wait.

use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

/// For so long nothing new may come.
const QUIET: Duration = Duration::from_secs(1);
/// How long systemd's state is not asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Sensors are numbered after so long, whatever still comes.
const BOUND: Duration = Duration::from_secs(90);

/// What is waited for.
#[derive(Debug)]
pub(super) struct Numbering {
    began: Instant,
    /// When something new came last.
    last: Instant,
    startup: Startup,
}

/// Whether the system is starting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Startup {
    /// To be asked then.
    Unknown(Instant),
    /// Asked, and not answered.
    Asked,
    Over,
}

impl Numbering {
    pub(super) fn begin(now: Instant) -> Self {
        Self { began: now, last: now, startup: Startup::Unknown(now) }
    }

    /// Notes that a service or an object has come.
    pub(super) fn note(&mut self, now: Instant) {
        self.last = now;
    }

    /// Whether systemd's state is to be asked now.
    pub(super) fn is_to_ask(&mut self, now: Instant) -> bool {
        let is_due = matches!(self.startup, Startup::Unknown(at) if at <= now);
        if is_due {
            self.startup = Startup::Asked;
        }
        is_due
    }

    /// Notes systemd's state (`SystemState`); `None` where there is no systemd, or no answer of it.
    pub(super) fn answered(&mut self, state: Option<&str>, now: Instant) {
        let is_starting = matches!(state, Some("initializing" | "starting"));
        debug!(?state, "the state of the system");
        self.startup = if is_starting {
            self.note(now);
            Startup::Unknown(now + ASK_AGAIN)
        } else {
            Startup::Over
        };
    }

    /// When something is to be done, unless something comes before; while replies are `awaited`, only the bound counts.
    pub(super) fn due(&self, awaited: bool) -> Instant {
        let bound = self.began + BOUND;
        match self.startup {
            Startup::Unknown(at) => at.min(bound),
            Startup::Over if !awaited => (self.last + QUIET).min(bound),
            Startup::Asked | Startup::Over => bound,
        }
    }

    /// Whether the sensors are to be numbered at `now`.
    pub(super) fn is_over(&self, awaited: bool, now: Instant) -> bool {
        let is_quiet = self.startup == Startup::Over && !awaited && self.last + QUIET <= now;
        is_quiet || self.began + BOUND <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    #[test]
    fn first_sensors_wait_until_nothing_new_comes() {
        let start = Instant::now();
        let mut numbering = Numbering::begin(start);
        assert_eq!(numbering.due(false), start);
        assert!(numbering.is_to_ask(start) && !numbering.is_to_ask(start));
        numbering.answered(None, start);
        numbering.note(start + STEP);
        assert!(!numbering.is_over(false, start + QUIET));
        assert!(!numbering.is_over(true, start + STEP + QUIET), "a reply is awaited");
        assert!(numbering.is_over(false, start + STEP + QUIET));
        assert_eq!(numbering.due(false), start + STEP + QUIET);
    }

    #[test]
    fn first_sensors_wait_until_the_system_has_started() {
        let start = Instant::now();
        let mut numbering = Numbering::begin(start);
        let mut now = start;
        for state in ["initializing", "starting", "starting"] {
            assert!(numbering.is_to_ask(now));
            numbering.answered(Some(state), now);
            assert!(!numbering.is_to_ask(now) && !numbering.is_over(false, now + QUIET * 2));
            now += ASK_AGAIN;
        }
        assert!(numbering.is_to_ask(now));
        numbering.answered(Some("degraded"), now);
        assert!(numbering.is_over(false, now + QUIET));
    }

    #[test]
    fn first_sensors_do_not_wait_for_ever() {
        let start = Instant::now();
        let mut numbering = Numbering::begin(start);
        assert!(numbering.is_to_ask(start));
        let end = start + BOUND;
        numbering.note(end);
        assert!(numbering.is_over(true, end) && numbering.due(true) == end);
    }
}
