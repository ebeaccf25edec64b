//! One sensor: its properties, settings, states and record.

use std::time::Duration;

use daemon::RateLimit;
use ipmi_proto::sdr::{
    EventType, Factors, PerThreshold, SdrBody, SensorType, Threshold, ThresholdSet,
};
use ipmi_proto::sel::{Direction, Event};
use tracing::warn;

use crate::model::sensors::directory::{Listing, SensorIndex};
use crate::model::sensors::observed::Observed;
use crate::model::sensors::settings::Settings;
use crate::model::sensors::{discrete, record};

/// Readings that no raw byte means are logged so often.
static BEYOND: RateLimit = RateLimit::new(10, Duration::from_secs(60));

/// An event that a sensor sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SensorEvent {
    /// The sensor.
    pub index: SensorIndex,
    /// The event message.
    pub event: Event,
}

/// One sensor.
#[derive(Clone, Debug)]
pub struct Sensor {
    /// Its object's path.
    pub path: String,
    /// Its number and name, and what its record is made of.
    pub listing: Listing,
    /// Its properties on D-Bus.
    pub observed: Observed,
    /// The settings that clients change.
    pub settings: Settings,
    /// The thresholds that are crossed; of a discrete sensor the states that hold, one bit each.
    pub states: ThresholdSet,
    /// Whether its service is on the bus.
    pub online: bool,
    /// How raw bytes become its readings.
    pub factors: Factors,
    /// Its record.
    pub body: SdrBody,
    /// The thresholds that it has had a limit for since the daemon started.
    pub(super) seen: ThresholdSet,
    /// Whether it has had a reading since the daemon started.
    pub(super) was_read: bool,
    /// Whether its reading is beyond what raw bytes mean.
    pub(super) beyond: bool,
}

impl Sensor {
    /// The raw reading, unless it has none now or none that a raw byte means.
    #[must_use]
    pub fn raw_reading(&self) -> Option<u8> {
        self.factors.raw_if_covered(self.reading()?)
    }

    /// The reading in the record's unit.
    pub(super) fn reading(&self) -> Option<f64> {
        let readable = self.online && self.settings.scanning;
        self.observed.reading().filter(|_| readable)
    }

    /// Whether its reading or state is valid.
    #[must_use]
    pub fn is_available(&self) -> bool {
        if self.observed.analog {
            self.raw_reading().is_some()
        } else {
            let states = self.observed.discrete.and_then(|of| of.states);
            self.online && self.observed.available && states.is_some()
        }
    }

    /// Its limits as raw bytes: those that are set now, not those of its record.
    #[must_use]
    pub fn raw_thresholds(&self) -> PerThreshold<u8> {
        record::raw_limits(&self.observed.thresholds, self.observed.unit.1, &self.factors)
    }

    /// The thresholds whose limits a raw byte means.
    #[must_use]
    pub fn readable_thresholds(&self) -> ThresholdSet {
        let is_covered = |threshold: &Threshold| {
            let limit = self.observed.thresholds.get(*threshold);
            let raw = limit.and_then(|limit| {
                let value = limit * self.observed.unit.1;
                self.factors.raw_if_covered(value)
            });
            raw.is_some()
        };
        Threshold::ALL.into_iter().filter(is_covered).collect()
    }

    /// Its sensor type and event/reading type.
    #[must_use]
    pub fn kind(&self) -> (SensorType, EventType) {
        let (own, event_type) = self.own_kind();
        (self.settings.sensor_type(own), event_type)
    }

    /// As [`Self::kind`], without the type that a client set.
    #[must_use]
    pub fn own_kind(&self) -> (SensorType, EventType) {
        match self.observed.discrete {
            Some(of) if !self.observed.analog => {
                (of.kind.sensor_type(), EventType::SENSOR_SPECIFIC)
            }
            _ => {
                let of_path = SensorType::of_segment(record::segment(&self.path));
                (of_path, EventType::THRESHOLD)
            }
        }
    }

    /// The threshold's limit in the unit on D-Bus, for a raw byte.
    #[must_use]
    pub fn limit_of(&self, raw: u8) -> f64 {
        self.factors.value_from_raw(raw) / self.observed.unit.1
    }

    /// Completes what its record is made of, and builds it anew.
    pub(super) fn refresh(&mut self, anew: bool) -> Refreshed {
        if let Some(value) = self.observed.reading() {
            self.was_read |= value.is_finite();
        }
        let before = self.listing.basis.clone();
        if self.observed.analog {
            self.listing.basis.complete(&self.observed, anew);
        }
        for threshold in self.observed.thresholds.present().iter() {
            self.seen.set(threshold, true);
        }
        let body =
            record::body(&self.path, &self.listing, &self.observed, &self.settings, self.seen);
        let changes = Refreshed { record: body != self.body, basis: before != self.listing.basis };
        if changes.record {
            self.factors = self.listing.basis.factors(self.observed.unit.1);
            self.body = body;
        }
        changes
    }

    /// Logs that its reading has gone beyond what raw bytes mean.
    pub(super) fn note_beyond(&mut self) {
        let reading =
            self.reading().filter(|_| self.observed.analog && self.raw_reading().is_none());
        let before = std::mem::replace(&mut self.beyond, reading.is_some());
        if let Some(reading) = reading.filter(|_| !before)
            && let Some(pass) = BEYOND.admit()
        {
            let (path, swallowed) = (&self.path, pass.swallowed);
            warn!(
                path,
                reading, swallowed, "a reading is beyond its sensor's range; it is unavailable"
            );
        }
    }

    /// The event offset that asserts a state.
    pub(super) fn offset(&self, threshold: Threshold) -> u8 {
        if self.observed.analog { threshold.event_offset() } else { discrete::offset_of(threshold) }
    }

    /// The states as they are now: what the service says, or else what the reading says. As before while
    /// the sensor is not scanned.
    pub(super) fn judge(&self) -> ThresholdSet {
        let mut states = ThresholdSet::EMPTY;
        if !self.settings.scanning {
            return self.states;
        }
        if !self.observed.analog {
            // Unknown until the service reports: the states stay as they were.
            let reported = self.observed.discrete.and_then(|of| of.states);
            return reported.unwrap_or(self.states);
        }
        for threshold in self.observed.thresholds.present().iter() {
            let before = self.states.contains(threshold);
            let now = match self.observed.alarms.get(threshold) {
                // An alarm that was raised before the first reading waits for it.
                Some(true) if !self.was_read => before,
                Some(alarm) => alarm,
                None => self.crossed(threshold, before),
            };
            states.set(threshold, now);
        }
        states
    }

    pub(super) fn crossed(&self, threshold: Threshold, before: bool) -> bool {
        let limit = self.observed.thresholds.get(threshold);
        let (Some(reading), Some(limit)) = (self.observed.reading(), limit) else {
            return before;
        };
        let raw = if threshold.is_lower() {
            self.settings.negative_hysteresis
        } else {
            self.settings.positive_hysteresis
        };
        let hysteresis = f64::from(raw) * self.factors.step();
        threshold.crossed(reading, limit * self.observed.unit.1, hysteresis, before)
    }

    /// Whether `reading` is at the limit of `threshold` or beyond it. One that is not is older than the alarm that its
    /// service has raised.
    fn is_beyond(&self, threshold: Threshold, reading: f64) -> bool {
        let limit = self.observed.thresholds.get(threshold);
        limit.is_none_or(|limit| {
            let limit = limit * self.observed.unit.1;
            if threshold.is_lower() { reading <= limit } else { reading >= limit }
        })
    }

    /// The event of one state that changed, with the reading unless that is `stale` or contradicts it; `None` when the
    /// sensor does not send it.
    pub(super) fn event(
        &self,
        threshold: Threshold,
        asserted: bool,
        stale: bool,
    ) -> Option<SensorEvent> {
        let offset = self.offset(threshold);
        let data = if self.observed.analog {
            let limit = self.raw_thresholds().get(threshold);
            // Data 1, bits 7:6: 01b if data 2 is the reading; bits 5:4: 01b if data 3 is the limit (§29.7).
            // One beyond the range is the last that a byte means.
            let fits = |reading: &f64| !asserted || self.is_beyond(threshold, *reading);
            let reading = self.reading().filter(|_| !stale).filter(fits);
            match reading.and_then(|reading| self.factors.raw_from_value(reading)) {
                Some(reading) => [0x50 | offset, reading, limit],
                None => [0x10 | offset, 0xff, limit],
            }
        } else {
            let sent = self.observed.discrete.is_some_and(|of| of.sends(offset));
            if !sent {
                return None;
            }
            [offset, 0xff, 0xff]
        };
        let masked = if asserted {
            self.settings.masked_assertions
        } else {
            self.settings.masked_deassertions
        };
        if !self.settings.events || masked >> offset & 1 == 1 {
            return None;
        }
        let (kind, event_type) = self.kind();
        let (_, number) = self.listing.index.lun_and_number();
        let event = Event {
            revision: Event::REVISION,
            sensor_type: kind.0,
            sensor_number: number,
            direction: if asserted { Direction::Assertion } else { Direction::Deassertion },
            event_type: event_type.value(),
            data,
        };
        Some(SensorEvent { index: self.listing.index, event })
    }
}

/// What of a sensor has changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refreshed {
    pub(super) record: bool,
    pub(super) basis: bool,
}

/// The states before a sensor was known: those that were logged, and those that are usual if they hold.
pub(super) fn with_usual(logged: ThresholdSet, observed: &Observed) -> ThresholdSet {
    let held = observed.discrete.map(|of| {
        let states = of.states.unwrap_or(ThresholdSet::EMPTY);
        states.bits() & of.kind.usual()
    });
    ThresholdSet::from_bits(logged.bits() | held.unwrap_or_default())
}
