//! Alarms: whether a value is beyond a limit, with hysteresis.

use openbmc_dbus::interface::{Interface, Property, Signal};
use openbmc_dbus::sensor::{critical, hard_shutdown, warning};
use zbus::wire::Structure;

use crate::config::Limits;
use crate::tree::{Instance, Tree};

/// One of the interfaces that have limits.
pub(super) struct Level {
    pub(super) interface: &'static Interface,
    high: Side,
    low: Side,
}

/// One of the two sides of a level.
struct Side {
    limit: Property<f64>,
    alarm: Property<bool>,
    raised: Signal,
    ended: Signal,
}

macro_rules! level {
    ($module:ident) => {
        Level {
            interface: &$module::INTERFACE,
            high: Side {
                limit: $module::HIGH,
                alarm: $module::ALARM_HIGH,
                raised: $module::HIGH_ASSERTED,
                ended: $module::HIGH_DEASSERTED,
            },
            low: Side {
                limit: $module::LOW,
                alarm: $module::ALARM_LOW,
                raised: $module::LOW_ASSERTED,
                ended: $module::LOW_DEASSERTED,
            },
        }
    };
}

/// All levels, from the least to the worst.
pub(super) static LEVELS: [Level; 3] = [level!(warning), level!(critical), level!(hard_shutdown)];

/// The interfaces for the limits that a sensor has.
pub(super) fn instances(limits: &Limits) -> Vec<Instance> {
    let given = [
        (limits.warning_low, limits.warning_high),
        (limits.critical_low, limits.critical_high),
        (limits.hard_shutdown_low, limits.hard_shutdown_high),
    ];
    let levels = LEVELS.iter().zip(given);
    levels
        .filter(|(_, given)| *given != (None, None))
        .map(|(level, (low, high))| {
            Instance::new(level.interface)
                .with(level.low.limit, low.unwrap_or(f64::NAN))
                .with(level.high.limit, high.unwrap_or(f64::NAN))
        })
        .collect()
}

/// A limit, and whether its alarm is raised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alarm {
    limit: f64,
    is_high: bool,
    is_raised: bool,
}

impl Alarm {
    /// Whether a sensor with this value has the alarm. Comparisons with "not a number" are false, so neither a NaN
    /// limit nor a NaN value raises an alarm.
    fn at(self, value: f64, hysteresis: f64) -> bool {
        let inside = if self.is_raised { hysteresis } else { 0.0 };
        if self.is_high { value >= self.limit - inside } else { value <= self.limit + inside }
    }

    /// Whether the alarm is raised or ends at this value. If it does so at neither end of a range, it does at no
    /// value of it.
    pub(super) fn changes(self, value: f64, hysteresis: f64) -> bool {
        self.at(value, hysteresis) != self.is_raised
    }
}

/// The alarms of the sensor at `path`.
pub(super) fn alarms(tree: &Tree, path: &str) -> Vec<Alarm> {
    sides().filter_map(|(side, is_high)| alarm(tree, path, side, is_high)).collect()
}

/// Brings the alarms of the sensor at `path` in line with its value and limits.
pub(super) fn evaluate(tree: &mut Tree, path: &str, value: f64, hysteresis: f64) {
    for (side, is_high) in sides() {
        let Some(alarm) = alarm(tree, path, side, is_high) else {
            continue;
        };
        if alarm.changes(value, hysteresis) {
            let is_raised = !alarm.is_raised;
            tree.set(path, side.alarm, is_raised);
            let signal = if is_raised { side.raised } else { side.ended };
            tree.signal(path, signal, Some(Structure::from((value,))));
        }
    }
}

fn alarm(tree: &Tree, path: &str, side: &Side, is_high: bool) -> Option<Alarm> {
    let (limit, is_raised) = (tree.get(path, side.limit)?, tree.get(path, side.alarm)?);
    Some(Alarm { limit, is_high, is_raised })
}

/// The sides of all levels, and whether each is the high one.
fn sides() -> impl Iterator<Item = (&'static Side, bool)> {
    LEVELS.iter().flat_map(|level| [(&level.high, true), (&level.low, false)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Change;

    fn tree() -> Tree {
        let limits = Limits {
            warning_high: Some(70.0),
            critical_high: Some(80.0),
            warning_low: Some(5.0),
            ..Limits::default()
        };
        let mut tree = Tree::default();
        tree.add("sensors", "/s", instances(&limits));
        tree.take_changes();
        tree
    }

    fn alarms(tree: &Tree) -> (bool, bool, bool) {
        let get = |property| tree.get("/s", property).unwrap();
        (get(warning::ALARM_LOW), get(warning::ALARM_HIGH), get(critical::ALARM_HIGH))
    }

    #[test]
    fn alarms_come_at_the_limit_and_end_behind_the_hysteresis() {
        let mut tree = tree();
        for (value, expected) in [
            (50.0, (false, false, false)),
            (70.0, (false, true, false)),
            (68.5, (false, true, false)),
            (67.9, (false, false, false)),
            (90.0, (false, true, true)),
            (f64::NAN, (false, false, false)),
            (5.0, (true, false, false)),
            (7.0, (true, false, false)),
            (7.1, (false, false, false)),
        ] {
            evaluate(&mut tree, "/s", value, 2.0);
            assert_eq!(alarms(&tree), expected, "{value}");
        }
    }

    #[test]
    fn an_alarm_is_signalled_with_the_value() {
        let mut tree = tree();
        evaluate(&mut tree, "/s", 75.0, 0.0);
        let body = Some(Structure::from((75.0,)));
        let signal = warning::HIGH_ASSERTED;
        let expected = Change::Signal { path: "/s".to_owned(), signal, body };
        assert!(tree.take_changes().contains(&expected));
        evaluate(&mut tree, "/s", 75.0, 0.0);
        assert!(tree.take_changes().is_empty());
    }

    #[test]
    fn limits_that_are_not_given_are_no_interface() {
        assert!(instances(&Limits::default()).is_empty());
    }
}
