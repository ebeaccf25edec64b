//! All sensors: updated by D-Bus signals and read by commands, so that a read costs no bus call.

use std::collections::{BTreeMap, HashMap};

use ipmi_proto::sdr::{
    EventType, Factors, PerThreshold, SdrBody, SensorType, Threshold, ThresholdSet,
};
use ipmi_proto::sel::{Direction, Event};

use super::directory::{Directory, Listing, SensorIndex};
use super::observed::{Observed, Value};
use super::settings::Settings;
use super::{discrete, record};

/// Properties of one interface.
pub type Properties = Vec<(String, Value)>;
/// Interfaces of one object.
pub type Interfaces = Vec<(String, Properties)>;

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
    /// Its number and name.
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
}

impl Sensor {
    /// The raw reading, unless it has none now.
    #[must_use]
    pub fn raw_reading(&self) -> Option<u8> {
        let readable = self.online && self.settings.scanning;
        let reading = self.observed.reading().filter(|_| readable)?;
        self.factors.raw_from_value(reading)
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

    /// Its limits as raw bytes.
    #[must_use]
    pub fn raw_thresholds(&self) -> PerThreshold<u8> {
        record::raw_thresholds(&self.observed, &self.factors)
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

    /// Builds the record anew; true when it has become another.
    fn refresh(&mut self) -> bool {
        let body = record::body(&self.path, &self.listing, &self.observed, &self.settings);
        let changed = body != self.body;
        if changed {
            self.factors = record::factors(&self.observed);
            self.body = body;
        }
        changed
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

    /// The event of one state that changed; `None` when the sensor does not send it.
    fn event(&self, threshold: Threshold, asserted: bool, stale: bool) -> Option<SensorEvent> {
        let offset = self.offset(threshold);
        let data = if self.observed.analog {
            let limit = self.raw_thresholds().get(threshold);
            // Data 1, bits 7:6: 01b if data 2 is the reading; bits 5:4: 01b if data 3 is the limit (§29.7).
            match self.raw_reading().filter(|_| !stale) {
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
    generation: u64,
    /// Whether a sensor has a limit without an alarm.
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
        let body = record::body(path, &listing, &observed, &settings);
        let changed = known.is_none_or(|sensor| sensor.body != body);
        let sensor = Sensor {
            path: path.to_owned(),
            factors: record::factors(&observed),
            listing,
            observed,
            settings,
            states,
            online: true,
            body,
        };
        self.paths.insert(path.to_owned(), index);
        self.sensors.insert(index, sensor);
        self.generation += u64::from(changed);
        self.note_limits();
        self.rejudge(index);
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
        let only_value = properties.iter().all(|(property, _)| property == "Value");
        if !only_value {
            self.generation += u64::from(sensor.refresh());
            self.note_limits();
        }
        self.rejudge(index);
    }

    /// Removes the sensor of an object that was removed.
    pub fn remove(&mut self, path: &str) {
        if let Some(index) = self.paths.remove(path) {
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
        if sensor.refresh() {
            self.generation += 1;
        }
        self.rejudge(index);
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
        self.rejudge(index);
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

    /// Sets whether readings are stale: events then carry no reading.
    pub const fn set_stale(&mut self, stale: bool) {
        self.stale = stale;
    }

    /// Incremented whenever a record is added, changed or removed.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a sensor's limits have to be compared with its readings here, because its service raises
    /// no alarm for one.
    #[must_use]
    pub const fn judges_readings(&self) -> bool {
        self.judges
    }

    /// The events since this was last called.
    pub fn take_events(&mut self) -> Vec<SensorEvent> {
        std::mem::take(&mut self.events)
    }

    /// Updates whether a sensor has a limit without an alarm.
    fn note_limits(&mut self) {
        self.judges = self.sensors.values().any(|sensor| {
            let mut limits = sensor.observed.thresholds.present().iter();
            limits.any(|threshold| sensor.observed.alarms.get(threshold).is_none())
        });
    }

    fn rejudge(&mut self, index: SensorIndex) {
        let stale = self.stale;
        let Some(sensor) = self.sensors.get_mut(&index) else {
            return;
        };
        let states = sensor.judge();
        let before = std::mem::replace(&mut sensor.states, states);
        for threshold in Threshold::ALL {
            let now = states.contains(threshold);
            if now != before.contains(threshold) {
                self.events.extend(sensor.event(threshold, now, stale));
            }
        }
    }
}

#[cfg(test)]
mod tests;
