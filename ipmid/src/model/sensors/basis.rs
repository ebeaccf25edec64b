//! What the record of a sensor is made of: its range and its initial limits. They stay as they were found first, so that a
//! record changes when its sensor is described anew and not when a limit is set.

use ipmi_proto::sdr::{Factors, PerThreshold, Threshold, ThresholdSet};
use serde::{Deserialize, Serialize};

use super::observed::Observed;

/// The range of a sensor whose service names none, as in OpenBMC (`dbus-sdr/sdrutils.cpp`), as long as limits and reading
/// are in it.
const DEFAULT_RANGE: (f64, f64) = (-128.0, 127.0);
/// How much room there is above a reading or limit that is beyond the range that is known.
const HEADROOM: f64 = 1.25;

/// The range of a sensor and its limits, as they were found first; in the unit on D-Bus.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Basis {
    /// What raw bytes have to cover; `None` until the sensor was seen.
    range: Option<(f64, f64)>,
    /// The least and the greatest reading that its service names.
    declared: (Option<f64>, Option<f64>),
    /// The initial limits.
    limits: [Option<f64>; 6],
    /// Whether it had a reading when the range was chosen.
    read: bool,
}

impl Basis {
    /// Completes it by what is known of the sensor; `anew` for an object that was read anew. The range is chosen again if
    /// the service names another one, or if a limit or the first reading is beyond it; limits that are known stay.
    pub(super) fn complete(&mut self, observed: &Observed, anew: bool) {
        let live = observed.thresholds.values();
        let value = Some(observed.value).filter(|value| value.is_finite());
        let declared = (observed.min, observed.max);
        let mut to_cover = Vec::new();
        for (initial, limit) in self.limits.iter_mut().zip(live) {
            let is_new = initial.is_none() && limit.is_some();
            if is_new {
                *initial = limit;
            }
            to_cover.extend(limit.filter(|_| is_new || anew));
        }
        if !self.read || anew {
            to_cover.extend(value);
        }
        self.read |= value.is_some();
        let factors = self.factors(observed.unit.1);
        let covers = |value: &f64| factors.raw_if_covered(value * observed.unit.1).is_some();
        let fits = self.range.is_some() && self.declared == declared && to_cover.iter().all(covers);
        if !fits {
            let limits: Vec<f64> = self.limits.iter().copied().chain(live).flatten().collect();
            self.range = Some(choose(declared, &limits, value));
            self.declared = declared;
        }
    }

    /// The factors for readings in a unit that is `scale` times that on D-Bus.
    pub(super) fn factors(&self, scale: f64) -> Factors {
        let (min, max) = self.range.unwrap_or(DEFAULT_RANGE);
        let marks: Vec<f64> = self.limits.iter().flatten().map(|limit| limit * scale).collect();
        Factors::spanning(min * scale, max * scale, &marks)
            .or_else(|_| Factors::spanning(DEFAULT_RANGE.0, DEFAULT_RANGE.1, &[]))
            .unwrap_or(Factors::IDENTITY)
    }

    /// The initial limits of the thresholds of `seen`.
    pub(super) fn limits(&self, seen: ThresholdSet) -> PerThreshold<Option<f64>> {
        let limits = PerThreshold::new(self.limits);
        PerThreshold::new(Threshold::ALL.map(|of| limits.get(of).filter(|_| seen.contains(of))))
    }
}

/// The range for what the service names, the limits and the first reading.
fn choose(declared: (Option<f64>, Option<f64>), limits: &[f64], value: Option<f64>) -> (f64, f64) {
    let least = limits.iter().copied().chain(value).fold(0.0, f64::min);
    let most = limits.iter().copied().chain(value).fold(0.0, f64::max);
    let is_usual = least >= DEFAULT_RANGE.0 && most <= DEFAULT_RANGE.1;
    let declared = match declared {
        (Some(min), Some(max)) if min >= max => (None, None),
        declared => declared,
    };
    let (mut min, mut max) = match declared {
        (Some(min), Some(max)) => (min, max),
        (None, None) if is_usual => DEFAULT_RANGE,
        (None, None) => (roomy(least), roomy(most)),
        (None, Some(max)) if max <= DEFAULT_RANGE.1 && is_usual => (DEFAULT_RANGE.0, max),
        (None, Some(max)) => (roomy(least.min(max - 1.0)), max),
        (Some(min), None) if min < DEFAULT_RANGE.1 && is_usual => (min, DEFAULT_RANGE.1),
        (Some(min), None) => (min, roomy(most.max(min + 1.0))),
    };
    for limit in limits {
        min = min.min(*limit);
        max = max.max(*limit);
    }
    if let Some(value) = value.filter(|value| *value < min || *value > max) {
        min = min.min(roomy(value));
        max = max.max(roomy(value));
    }
    (min, max)
}

/// The next number further from zero with room beside `value`: 1, 2 or 5 times a power of ten.
fn roomy(value: f64) -> f64 {
    let wanted = value.abs() * HEADROOM;
    if wanted == 0.0 {
        return 0.0;
    }
    let decade = 10_f64.powf(wanted.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let factor = steps.into_iter().find(|step| step * decade >= wanted).unwrap_or(10.0);
    (factor * decade).copysign(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(min: Option<f64>, max: Option<f64>, value: f64, limits: &[f64]) -> Basis {
        let mut basis = Basis::default();
        basis.complete(&observed(min, max, value, limits), true);
        basis
    }

    fn observed(min: Option<f64>, max: Option<f64>, value: f64, limits: &[f64]) -> Observed {
        let mut observed = Observed { min, max, value, analog: true, ..Observed::default() };
        for (threshold, limit) in Threshold::ALL.into_iter().zip(limits) {
            *observed.thresholds.get_mut(threshold) = Some(*limit);
        }
        observed
    }

    #[test]
    fn range_is_chosen_from_what_is_declared_limits_and_the_first_reading() {
        type Case = (Option<f64>, Option<f64>, f64, &'static [f64], (f64, f64));
        let cases: [Case; 11] = [
            (None, None, 20.0, &[], (-128.0, 127.0)),
            (None, None, f64::NAN, &[], (-128.0, 127.0)),
            (None, None, 5000.0, &[500.0], (0.0, 10_000.0)),
            (None, None, -300.0, &[], (-500.0, 0.0)),
            (Some(0.0), Some(127.0), 20.0, &[85.0], (0.0, 127.0)),
            (Some(0.0), None, 20.0, &[300.0], (0.0, 500.0)),
            (Some(0.0), Some(127.0), 20.0, &[130.0], (0.0, 130.0)),
            (Some(0.0), Some(127.0), 300.0, &[], (0.0, 500.0)),
            (None, Some(12_000.0), 20.0, &[], (0.0, 12_000.0)),
            (Some(0.0), Some(0.0), 20.0, &[], (-128.0, 127.0)),
            (Some(f64::MIN), Some(f64::MAX), 20.0, &[], (f64::MIN, f64::MAX)),
        ];
        for (min, max, value, limits, (least, most)) in cases {
            let chosen = basis(min, max, value, limits).range.unwrap();
            assert_eq!(chosen, (least, most), "{min:?} {max:?} {value} {limits:?}");
        }
    }

    #[test]
    fn basis_stays_when_limits_are_set_and_follows_what_is_declared() {
        let mut basis = basis(Some(0.0), Some(127.0), 20.0, &[5.0]);
        let before = basis.clone();
        basis.complete(&observed(Some(0.0), Some(127.0), 20.0, &[46.0]), false);
        basis.complete(&observed(Some(0.0), Some(127.0), 500.0, &[300.0]), false);
        assert_eq!(basis, before, "neither a limit nor a later reading changes it");
        basis.complete(&observed(Some(0.0), Some(127.0), 20.0, &[46.0]), true);
        assert_eq!(basis, before, "nor does a restart");
        basis.complete(&observed(Some(0.0), Some(127.0), 20.0, &[46.0, 60.0]), false);
        assert_eq!(basis.limits[..2], [Some(5.0), Some(60.0)], "a limit that is new");
        basis.complete(&observed(Some(0.0), Some(100.0), 20.0, &[46.0, 60.0]), false);
        assert_eq!(basis.range, Some((0.0, 100.0)));
        basis.complete(&observed(Some(0.0), Some(100.0), 20.0, &[46.0, 300.0]), true);
        assert_eq!(basis.range, Some((0.0, 300.0)), "after a restart, limits are covered");
    }

    #[test]
    fn first_reading_may_come_after_the_object() {
        let mut basis = basis(None, None, f64::NAN, &[]);
        basis.complete(&observed(None, None, 4000.0, &[]), false);
        assert_eq!(basis.range, Some((0.0, 5000.0)));
        basis.complete(&observed(None, None, 9000.0, &[]), false);
        assert_eq!(basis.range, Some((0.0, 5000.0)));
    }
}
