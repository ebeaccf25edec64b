//! One sensor with a value: what it measures, and when an alarm of it changes next.

use std::time::Duration;

use super::limits::{self, Alarm};
use super::ticks::{Tick, Ticks};
use super::wave::{At, Signal};
use crate::tree::Tree;

/// How many measurements are computed ahead to find the next change of an alarm; after so many the sensor is
/// looked at again.
const LOOK_AHEAD: Tick = 1000;

/// A sensor with a value.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) signal: Signal,
    pub(super) hysteresis: f64,
    pub(super) needs_power: bool,
    /// A client set the value.
    pub(super) held: Option<f64>,
    /// Until this measurement no alarm changes by itself; `None`: never.
    pub(super) due: Option<Tick>,
}

impl Measured {
    /// The value at a measurement; not a number if the sensor has no power.
    pub(super) fn value(&mut self, at: At, is_on: bool) -> f64 {
        match self.held {
            Some(held) => held,
            None if is_on || !self.needs_power => self.signal.value(at),
            None => f64::NAN,
        }
    }

    /// Whether the value changes by itself.
    pub(super) fn moves(&self, is_on: bool) -> bool {
        !self.signal.stands() && self.held.is_none() && (is_on || !self.needs_power)
    }

    /// Finds out when an alarm changes next, after the measurement at `now`.
    pub(super) fn look_ahead(&mut self, tree: &Tree, path: &str, ticks: &Ticks, now: At, on: bool) {
        self.due = if self.moves(on) {
            let alarms = limits::alarms(tree, path);
            self.next_change(&alarms, ticks, now)
        } else {
            None
        };
    }

    fn next_change(&self, alarms: &[Alarm], ticks: &Ticks, now: At) -> Option<Tick> {
        let changes = |value| alarms.iter().any(|alarm| alarm.changes(value, self.hysteresis));
        let (least, most) = self.signal.range();
        if !changes(least) && !changes(most) || self.signal.has_ended(now.uptime) {
            return None;
        }
        let mut ahead = self.signal.ahead();
        let end = now.tick.saturating_add(LOOK_AHEAD);
        let found = (now.tick + 1..end).find(|tick| {
            let uptime: Duration = ticks.time(*tick);
            changes(ahead.value(At { tick: *tick, uptime }))
        });
        Some(found.unwrap_or(end))
    }
}
