//! All sensors: updated by D-Bus signals and read by commands, so that a read costs no bus call.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use daemon::RateLimit;
use ipmi_proto::sdr::{
    EventType, Factors, PerThreshold, SdrBody, SensorType, Threshold, ThresholdSet,
};
use ipmi_proto::sel::{Direction, Event};
use tracing::warn;

use super::directory::{Directory, Listing, SensorIndex};
use super::observed::{Observed, Value};
use super::settings::Settings;
use super::{discrete, record};

/// Properties of one interface.
pub type Properties = Vec<(String, Value)>;
/// Interfaces of one object.
pub type Interfaces = Vec<(String, Properties)>;

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
    seen: ThresholdSet,
    /// Whether it has had a reading since the daemon started.
    was_read: bool,
    /// Whether its reading is beyond what raw bytes mean.
    beyond: bool,
}

impl Sensor {
    /// The raw reading, unless it has none now or none that a raw byte means.
    #[must_use]
    pub fn raw_reading(&self) -> Option<u8> {
        self.factors.raw_if_covered(self.reading()?)
    }

    /// The reading in the record's unit.
    fn reading(&self) -> Option<f64> {
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
    fn refresh(&mut self, anew: bool) -> Refreshed {
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
    fn note_beyond(&mut self) {
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
    fn offset(&self, threshold: Threshold) -> u8 {
        if self.observed.analog { threshold.event_offset() } else { discrete::offset_of(threshold) }
    }

    /// The states as they are now: what the service says, or else what the reading says. As before while
    /// the sensor is not scanned.
    fn judge(&self) -> ThresholdSet {
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

    fn crossed(&self, threshold: Threshold, before: bool) -> bool {
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

    /// The event of one state that changed, with the reading unless that is `stale`; `None` when the sensor does not send
    /// it.
    fn event(&self, threshold: Threshold, asserted: bool, stale: bool) -> Option<SensorEvent> {
        let offset = self.offset(threshold);
        let data = if self.observed.analog {
            let limit = self.raw_thresholds().get(threshold);
            // Data 1, bits 7:6: 01b if data 2 is the reading; bits 5:4: 01b if data 3 is the limit (§29.7).
            // One beyond the range is the last that a byte means.
            let reading = self.reading().filter(|_| !stale);
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
struct Refreshed {
    record: bool,
    basis: bool,
}

/// The states before a sensor was known: those that were logged, and those that are usual if they hold.
fn with_usual(logged: ThresholdSet, observed: &Observed) -> ThresholdSet {
    let held = observed.discrete.map(|of| {
        let states = of.states.unwrap_or(ThresholdSet::EMPTY);
        states.bits() & of.kind.usual()
    });
    ThresholdSet::from_bits(logged.bits() | held.unwrap_or_default())
}

/// All sensors.
#[derive(Debug, Default)]
pub struct SensorTable {
    sensors: BTreeMap<SensorIndex, Sensor>,
    paths: HashMap<String, SensorIndex>,
    events: Vec<SensorEvent>,
    /// State changes that wait for a reading, which their events are to carry.
    held: BTreeMap<SensorIndex, Vec<(Threshold, bool)>>,
    /// Sensors whose readings are needed for these and have not been asked for.
    wanted: BTreeSet<SensorIndex>,
    /// Sensors whose basis has changed and is not saved.
    unsaved: BTreeSet<SensorIndex>,
    generation: u64,
    /// Whether a sensor has a limit without an alarm, or an alarm without a reading.
    judges: bool,
    /// Whether readings are stale, because they are not followed.
    stale: bool,
}

impl SensorTable {
    /// Adds or updates the sensor of an object. An object that is no sensor is ignored. Returns false if no sensor
    /// number is left.
    pub fn add(
        &mut self,
        path: &str,
        interfaces: &Interfaces,
        directory: &mut Directory,
        settings: impl FnOnce(&str) -> (Settings, ThresholdSet),
    ) -> bool {
        let known = self.paths.get(path).and_then(|index| self.sensors.get(index));
        let mut observed = known.map(|sensor| sensor.observed.clone()).unwrap_or_default();
        for (interface, properties) in interfaces {
            observed.note(interface);
            for (property, value) in properties {
                observed.apply(interface, property, value);
            }
        }
        if !observed.analog && observed.discrete.is_none() {
            return true;
        }
        let paths = &self.paths;
        let Some(listing) = directory.list(path, |path| paths.contains_key(path)) else {
            return false;
        };
        let index = listing.index;
        let (settings, states) = match known {
            Some(sensor) => (sensor.settings, sensor.states),
            None => {
                let (settings, states) = settings(path);
                (settings, with_usual(states, &observed))
            }
        };
        let (is_known, before) = (known.is_some(), known.map(|sensor| sensor.body.clone()));
        let (seen, was_read, beyond) =
            known.map(|sensor| (sensor.seen, sensor.was_read, sensor.beyond)).unwrap_or_default();
        let listing = known.map_or(listing, |sensor| sensor.listing.clone());
        let body = record::body(path, &listing, &observed, &settings, seen);
        let mut sensor = Sensor {
            path: path.to_owned(),
            factors: listing.basis.factors(observed.unit.1),
            listing,
            observed,
            settings,
            states,
            online: true,
            body,
            seen,
            was_read,
            beyond,
        };
        let refreshed = sensor.refresh(true);
        let changed = before.is_none_or(|before| before != sensor.body);
        self.paths.insert(path.to_owned(), index);
        self.sensors.insert(index, sensor);
        self.note(index, Refreshed { record: changed, basis: refreshed.basis || !is_known });
        self.note_limits();
        let has_value = interfaces.iter().any(|(_, of)| carries_value(of));
        self.rejudge(index, has_value);
        true
    }

    /// Applies changed properties of one interface of an object.
    pub fn change(&mut self, path: &str, interface: &str, properties: &Properties) {
        let Some(index) = self.paths.get(path).copied() else {
            return;
        };
        let Some(sensor) = self.sensors.get_mut(&index) else {
            return;
        };
        for (property, value) in properties {
            sensor.observed.apply(interface, property, value);
        }
        let is_first = !sensor.was_read && sensor.observed.reading().is_some();
        let only_value = properties.iter().all(|(property, _)| property == "Value");
        if !only_value || is_first {
            let refreshed = sensor.refresh(false);
            self.note(index, refreshed);
            self.note_limits();
        }
        self.rejudge(index, carries_value(properties));
    }

    /// Sends the events that wait for a reading of the sensor at `path`: with `value`, or without a reading when its
    /// service gave none.
    pub fn release(&mut self, path: &str, value: Option<f64>) {
        if let Some(value) = value {
            let properties = vec![("Value".to_owned(), Value::Number(value))];
            self.change(path, VALUE, &properties);
        }
        if let Some(index) = self.paths.get(path).copied() {
            self.send_held(index, true);
        }
    }

    /// The sensors whose readings are needed for events, each once.
    pub fn take_wanted(&mut self) -> Vec<String> {
        let wanted = std::mem::take(&mut self.wanted);
        let sensors = wanted.iter().filter_map(|index| self.sensors.get(index));
        sensors.map(|sensor| sensor.path.clone()).collect()
    }

    /// The listings that have changed since this was last called, by path.
    pub(super) fn take_unsaved(&mut self) -> Vec<(String, Listing)> {
        let unsaved = std::mem::take(&mut self.unsaved);
        let sensors = unsaved.iter().filter_map(|index| self.sensors.get(index));
        sensors.map(|sensor| (sensor.path.clone(), sensor.listing.clone())).collect()
    }

    fn note(&mut self, index: SensorIndex, refreshed: Refreshed) {
        self.generation += u64::from(refreshed.record);
        if refreshed.basis {
            self.unsaved.insert(index);
        }
    }

    /// Removes the sensor of an object that was removed.
    pub fn remove(&mut self, path: &str) {
        if let Some(index) = self.paths.remove(path) {
            self.send_held(index, true);
            self.sensors.remove(&index);
            self.generation += 1;
            self.note_limits();
        }
    }

    /// Marks the sensors of a service that left the bus; their records stay.
    pub fn set_offline(&mut self, is_of_service: impl Fn(&str) -> bool) {
        for sensor in self.sensors.values_mut().filter(|sensor| is_of_service(&sensor.path)) {
            sensor.online = false;
        }
    }

    /// Changes what a client may set; `None` when there is no such sensor.
    pub fn set(
        &mut self,
        index: SensorIndex,
        change: impl FnOnce(&mut Settings),
    ) -> Option<&Sensor> {
        let sensor = self.sensors.get_mut(&index)?;
        change(&mut sensor.settings);
        let refreshed = sensor.refresh(false);
        self.note(index, refreshed);
        self.rejudge(index, false);
        self.sensors.get(&index)
    }

    /// Sends the events of these offsets whose states hold, as if they had just begun (Re-arm Sensor Events).
    pub fn rearm(&mut self, index: SensorIndex, offsets: u16) {
        if let Some(sensor) = self.sensors.get_mut(&index) {
            for threshold in Threshold::ALL {
                if offsets >> sensor.offset(threshold) & 1 == 1 {
                    sensor.states.set(threshold, false);
                }
            }
        }
        self.rejudge(index, false);
    }

    /// The sensor with this number.
    #[must_use]
    pub fn get(&self, index: SensorIndex) -> Option<&Sensor> {
        self.sensors.get(&index)
    }

    /// The sensor whose object has this path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Sensor> {
        self.sensors.get(self.paths.get(path)?)
    }

    /// All sensors by number.
    pub fn iter(&self) -> impl Iterator<Item = &Sensor> {
        self.sensors.values()
    }

    /// Sets whether readings are stale: events then wait until their sensor is read.
    pub fn set_stale(&mut self, stale: bool) {
        self.stale = stale;
        if !stale {
            let waiting: Vec<SensorIndex> = self.held.keys().copied().collect();
            waiting.into_iter().for_each(|index| self.send_held(index, false));
        }
    }

    /// Incremented whenever a record is added, changed or removed.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a sensor's limits have to be compared with its readings here, because its service raises
    /// no alarm for one, or has raised it before the first reading.
    #[must_use]
    pub const fn judges_readings(&self) -> bool {
        self.judges
    }

    /// The events since this was last called.
    pub fn take_events(&mut self) -> Vec<SensorEvent> {
        std::mem::take(&mut self.events)
    }

    /// Updates whether a sensor has a limit without an alarm, or an alarm without a reading.
    fn note_limits(&mut self) {
        self.judges = self.sensors.values().any(|sensor| {
            let mut limits = sensor.observed.thresholds.present().iter();
            limits.any(|threshold| match sensor.observed.alarms.get(threshold) {
                Some(alarm) => alarm && !sensor.was_read,
                None => true,
            })
        });
    }

    /// Notes the states that have changed. Their events are sent at once, or when the reading is known.
    fn rejudge(&mut self, index: SensorIndex, is_read: bool) {
        let Some(sensor) = self.sensors.get_mut(&index) else {
            return;
        };
        sensor.note_beyond();
        let states = sensor.judge();
        let before = std::mem::replace(&mut sensor.states, states);
        let changed = Threshold::ALL.into_iter().filter_map(|threshold| {
            let now = states.contains(threshold);
            (now != before.contains(threshold)).then_some((threshold, now))
        });
        let changed: Vec<_> = changed.collect();
        let is_current = is_read || !self.stale || !sensor.observed.analog;
        if !changed.is_empty() || (is_read && self.held.contains_key(&index)) {
            self.held.entry(index).or_default().extend(changed);
            if is_current {
                self.send_held(index, false);
            } else {
                self.wanted.insert(index);
            }
        }
    }

    /// Sends the events that are held back of one sensor.
    fn send_held(&mut self, index: SensorIndex, stale: bool) {
        self.wanted.remove(&index);
        let held = self.held.remove(&index).unwrap_or_default();
        let Some(sensor) = self.sensors.get(&index) else {
            return;
        };
        for (threshold, asserted) in held {
            self.events.extend(sensor.event(threshold, asserted, stale));
        }
    }
}

/// The interface that has the reading.
const VALUE: &str = "xyz.openbmc_project.Sensor.Value";

fn carries_value(properties: &Properties) -> bool {
    properties.iter().any(|(property, _)| property == "Value")
}

#[cfg(test)]
mod tests;
