//! All sensors: updated by D-Bus signals and read by commands, so that a read costs no bus call.

mod sensor;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipmi_proto::sdr::{Threshold, ThresholdSet};

use self::sensor::{Refreshed, with_usual};
pub use self::sensor::{Sensor, SensorEvent};
use super::directory::{Directory, Listing, SensorIndex};
use super::observed::Value;
use super::record;
use super::settings::Settings;

/// Properties of one interface.
pub type Properties = Vec<(String, Value)>;
/// Interfaces of one object.
pub type Interfaces = Vec<(String, Properties)>;

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
