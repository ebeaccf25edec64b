//! The sensors of the machine, shared by the D-Bus follower, the command handlers and the event logger; with the
//! files that save numbers, settings and states.

use std::collections::BTreeMap;
use std::sync::Mutex;

use durable::Folder;
use ipmi_proto::sdr::ThresholdSet;
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use super::directory::{Directory, SensorIndex};
use super::settings::Settings;
use super::table::{Interfaces, Properties, SensorEvent, SensorTable};
use crate::model::StoreError;
use crate::model::persistent::{Persistent, lock};

/// A change of sensors on D-Bus.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// An object with all its interfaces: new, or read anew.
    Object {
        /// Its path.
        path: String,
        /// Its interfaces and their properties.
        interfaces: Interfaces,
    },
    /// Properties of an object that changed.
    Changed {
        /// Its path.
        path: String,
        /// The interface they are of.
        interface: String,
        /// Their new values.
        properties: Properties,
    },
    /// An object that was removed.
    Removed {
        /// Its path.
        path: String,
    },
    /// The reading of an object that was asked for, or that its service gave none.
    Reading {
        /// Its path.
        path: String,
        /// The reading, in the unit on D-Bus.
        value: Option<f64>,
    },
    /// Objects whose service left the bus.
    Offline {
        /// Their paths.
        paths: Vec<String>,
    },
}

/// The sensors.
#[derive(Debug)]
pub struct SensorStore {
    inner: Mutex<Inner>,
    files: Files,
    happened: Notify,
    /// Whether the sensors of the services that come up with the daemon have their numbers.
    settled: watch::Sender<bool>,
}

#[derive(Debug)]
struct Files {
    directory: Persistent<Directory>,
    settings: Persistent<BTreeMap<String, Settings>>,
    states: Persistent<BTreeMap<String, u8>>,
}

#[derive(Debug, Default)]
struct Inner {
    table: SensorTable,
    directory: Directory,
    settings: BTreeMap<String, Settings>,
    /// The states that were logged before the daemon started.
    states: BTreeMap<String, u8>,
    /// Whether sensors were left out because no number is left; logged once.
    overfull: bool,
    /// Whether numbers or what records are made of have changed and are not saved.
    unsaved: bool,
    /// Objects without a number while the first are collected, by path.
    unnumbered: Option<BTreeMap<String, Interfaces>>,
}

impl SensorStore {
    /// With numbers, settings and logged states in files of `folder`. New sensors are collected until
    /// [`number`](Self::number) is called.
    #[must_use]
    pub fn open(folder: &Folder) -> Self {
        Self::collecting(Files {
            directory: Persistent::open(folder.clone(), "sensor-numbers.json"),
            settings: Persistent::open(folder.clone(), "sensor-settings.json"),
            states: Persistent::open(folder.clone(), "sensor-states.json"),
        })
    }

    /// In memory only. Sensors are numbered as they come.
    #[must_use]
    pub fn volatile() -> Self {
        let store = Self::volatile_collecting();
        store.number();
        store
    }

    /// In memory only, collecting new sensors.
    pub(crate) fn volatile_collecting() -> Self {
        Self::collecting(Files {
            directory: Persistent::volatile(),
            settings: Persistent::volatile(),
            states: Persistent::volatile(),
        })
    }

    fn collecting(files: Files) -> Self {
        let inner = Inner {
            directory: files.directory.get(),
            settings: files.settings.get(),
            states: files.states.get(),
            unnumbered: Some(BTreeMap::new()),
            ..Inner::default()
        };
        let settled = watch::Sender::new(false);
        Self { inner: Mutex::new(inner), files, happened: Notify::new(), settled }
    }

    /// How many objects wait for a number.
    #[must_use]
    pub fn unnumbered(&self) -> usize {
        lock(&self.inner).unnumbered.as_ref().map_or(0, BTreeMap::len)
    }

    /// Numbers the objects that were collected, in the order of their paths: the same on two BMCs with the same sensors,
    /// whichever service came first. From now on new sensors are numbered as they come.
    pub fn number(&self) {
        let mut inner = lock(&self.inner);
        let Some(collected) = inner.unnumbered.take() else {
            return;
        };
        if !collected.is_empty() {
            info!(objects = collected.len(), "sensors that are new are numbered");
        }
        for (path, interfaces) in collected {
            inner.apply(Update::Object { path, interfaces });
        }
        drop(inner);
        self.settled.send_replace(true);
        self.happened.notify_one();
    }

    /// Whether the sensors of the services that came up with the daemon have their numbers.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// As [`is_settled`](Self::is_settled), to be waited for.
    #[must_use]
    pub fn settled(&self) -> watch::Receiver<bool> {
        self.settled.subscribe()
    }

    /// The sensors whose readings are needed for events, each once.
    pub fn take_wanted(&self) -> Vec<String> {
        lock(&self.inner).table.take_wanted()
    }

    /// Applies a change on D-Bus.
    pub fn apply(&self, update: Update) {
        let mut inner = lock(&self.inner);
        if let Some(update) = inner.collect(update) {
            inner.apply(update);
        }
        drop(inner);
        self.happened.notify_one();
    }

    /// Sets whether readings are stale.
    pub fn set_stale(&self, stale: bool) {
        lock(&self.inner).table.set_stale(stale);
    }

    /// Calls `look` with the sensors, under the lock: it must not block.
    pub fn with<R>(&self, look: impl FnOnce(&SensorTable) -> R) -> R {
        look(&lock(&self.inner).table)
    }

    /// Changes the settings of a sensor that clients may set, and saves them.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such sensor, and those of [`Persistent::update`].
    pub async fn configure(
        &self,
        index: SensorIndex,
        change: impl Fn(&mut Settings) + Send,
    ) -> Result<(), StoreError> {
        let path = self
            .with(|table| table.get(index).map(|sensor| sensor.path.clone()))
            .ok_or(StoreError::NotFound)?;
        self.files.settings.update(|all| change(all.entry(path.clone()).or_default())).await?;
        {
            // Read again: a later change may have been saved meanwhile.
            let mut inner = lock(&self.inner);
            let saved = self.files.settings.look(|all| all.get(&path).copied());
            inner.table.set(index, |settings| *settings = saved.unwrap_or_default());
        }
        self.happened.notify_one();
        Ok(())
    }

    /// Has a sensor send the events of these offsets whose states hold.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such sensor.
    pub fn rearm(&self, index: SensorIndex, offsets: u16) -> Result<(), StoreError> {
        let mut inner = lock(&self.inner);
        inner.table.get(index).ok_or(StoreError::NotFound)?;
        inner.table.rearm(index, offsets);
        self.happened.notify_one();
        Ok(())
    }

    /// Waits until sensors have sent events, or numbers were given; numbers are on the medium then.
    pub async fn events(&self) -> Vec<SensorEvent> {
        loop {
            self.happened.notified().await;
            let (directory, events) = {
                let mut inner = lock(&self.inner);
                (inner.take_unsaved(), inner.table.take_events())
            };
            if let Some(directory) = directory {
                let saved = self.files.directory.update(|saved| *saved = directory).await;
                // A failure is in the log, and the next change tries again.
                lock(&self.inner).unsaved |= saved.is_err();
            }
            if !events.is_empty() {
                return events;
            }
        }
    }

    /// Saves which states hold, so that they are not logged again after a restart.
    pub async fn save_states(&self) {
        let states: BTreeMap<String, u8> = {
            let mut inner = lock(&self.inner);
            for (path, bits) in
                inner.table.iter().map(|s| (s.path.clone(), s.states.bits())).collect::<Vec<_>>()
            {
                inner.states.insert(path, bits);
            }
            inner.states.retain(|_, bits| *bits != 0);
            inner.states.clone()
        };
        if states != self.files.states.get() {
            let _logged = self.files.states.update(|saved| *saved = states).await;
        }
    }
}

impl Inner {
    /// The directory, if it has changed since it was saved.
    fn take_unsaved(&mut self) -> Option<Directory> {
        for (path, listing) in self.table.take_unsaved() {
            self.directory.set_basis(&path, listing.basis);
            self.unsaved = true;
        }
        std::mem::take(&mut self.unsaved).then(|| self.directory.clone())
    }

    /// Collects an update of an object that has no number yet; returns it for others.
    fn collect(&mut self, update: Update) -> Option<Update> {
        let Some(collected) = &mut self.unnumbered else {
            return Some(update);
        };
        match update {
            Update::Object { path, interfaces } if !self.directory.has(&path) => {
                merge(collected.entry(path).or_default(), interfaces);
            }
            Update::Changed { path, interface, properties } if collected.contains_key(&path) => {
                let of = collected.entry(path).or_default();
                merge(of, vec![(interface, properties)]);
            }
            Update::Removed { path } if collected.contains_key(&path) => {
                collected.remove(&path);
            }
            Update::Offline { paths } => {
                collected.retain(|path, _| !paths.contains(path));
                return Some(Update::Offline { paths });
            }
            update => return Some(update),
        }
        None
    }

    fn apply(&mut self, update: Update) {
        match update {
            Update::Object { path, interfaces } => {
                let (settings, states) = (&self.settings, &self.states);
                let known = |path: &str| {
                    let settings = settings.get(path).copied().unwrap_or_default();
                    let states = states.get(path).copied().unwrap_or_default();
                    (settings, ThresholdSet::from_bits(states))
                };
                let listed = self.table.add(&path, &interfaces, &mut self.directory, known);
                if !listed && !std::mem::replace(&mut self.overfull, true) {
                    warn!(
                        path,
                        "no sensor number is left (759 sensors); further sensors are ignored"
                    );
                }
            }
            Update::Changed { path, interface, properties } => {
                self.table.change(&path, &interface, &properties);
            }
            Update::Reading { path, value } => self.table.release(&path, value),
            Update::Removed { path } => self.table.remove(&path),
            Update::Offline { paths } => {
                self.table.set_offline(|path| paths.iter().any(|gone| gone == path));
            }
        }
    }
}

/// Adds interfaces of an object, or newer properties of them.
fn merge(to: &mut Interfaces, from: Interfaces) {
    for (interface, properties) in from {
        let Some((_, known)) = to.iter_mut().find(|(name, _)| *name == interface) else {
            to.push((interface, properties));
            continue;
        };
        for (name, value) in properties {
            known.retain(|(of, _)| *of != name);
            known.push((name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use durable::Modes;

    use super::*;
    use crate::model::sensors::Value;

    const PATH: &str = "/xyz/openbmc_project/sensors/fan_tach/Fan_0";

    fn object(alarm: bool) -> Update {
        let interfaces = vec![
            (
                "xyz.openbmc_project.Sensor.Value".to_owned(),
                vec![("Value".to_owned(), Value::Number(100.0))],
            ),
            (
                "xyz.openbmc_project.Sensor.Threshold.Warning".to_owned(),
                vec![
                    ("WarningLow".to_owned(), Value::Number(500.0)),
                    ("WarningAlarmLow".to_owned(), Value::Flag(alarm)),
                ],
            ),
        ];
        Update::Object { path: PATH.to_owned(), interfaces }
    }

    #[tokio::test]
    async fn numbers_settings_and_logged_states_outlive_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("s"), Modes::PRIVATE).unwrap();
        let store = SensorStore::open(&folder);
        store.apply(object(true));
        store.number();
        let events = store.events().await;
        assert_eq!(events.len(), 1);
        let index = events[0].index;
        store.configure(index, |settings| settings.negative_hysteresis = 4).await.unwrap();
        store.save_states().await;
        let again = SensorStore::open(&folder);
        again.apply(object(true));
        again.with(|table| {
            let sensor = table.get(index).unwrap();
            assert_eq!(sensor.settings.negative_hysteresis, 4);
            assert_eq!(sensor.states.bits(), 1);
        });
        again.apply(object(false));
        assert_eq!(again.events().await.len(), 1);
        again.apply(Update::Removed { path: PATH.to_owned() });
        assert_eq!(again.rearm(index, u16::MAX), Err(StoreError::NotFound));
    }

    /// An object of a fan, as a service of `order` has it.
    fn fan(name: &str) -> Update {
        let value = vec![("Value".to_owned(), Value::Number(100.0))];
        let interfaces = vec![("xyz.openbmc_project.Sensor.Value".to_owned(), value)];
        Update::Object { path: format!("/xyz/openbmc_project/sensors/fan_tach/{name}"), interfaces }
    }

    fn numbers(store: &SensorStore) -> BTreeMap<String, u8> {
        store.with(|table| {
            let number = |sensor: &super::super::Sensor| sensor.listing.index.lun_and_number().1;
            table.iter().map(|sensor| (sensor.listing.name.clone(), number(sensor))).collect()
        })
    }

    #[tokio::test]
    async fn first_sensors_are_numbered_in_path_order_and_later_ones_behind_them() {
        let (dir, began) = (tempfile::tempdir().unwrap(), Instant::now());
        let mut seen = Vec::new();
        for (at, order) in [["A", "B", "C"], ["C", "A", "B"], ["B", "C", "A"]].iter().enumerate() {
            let folder = Folder::create(&dir.path().join(at.to_string()), Modes::PRIVATE).unwrap();
            let store = SensorStore::open(&folder);
            for name in order {
                store.apply(fan(name));
            }
            assert!(numbers(&store).is_empty() && !store.is_settled());
            assert_eq!(store.unnumbered(), 3);
            store.number();
            // What comes later, though before the others by its path.
            store.apply(fan("0"));
            let again = loop {
                // Saves the numbers, at some time.
                let saving = tokio::time::timeout(Duration::from_millis(50), store.events());
                let _waiting = saving.await;
                let again = SensorStore::open(&folder);
                for name in ["Late", "C", "0", "B", "A"] {
                    again.apply(fan(name));
                }
                if numbers(&again) == numbers(&store) {
                    break again; // and the new one is not numbered
                }
                assert!(began.elapsed() < Duration::from_secs(20), "{:?}", numbers(&again));
            };
            again.number();
            seen.push(numbers(&again));
        }
        let expected = [("A", 1), ("B", 2), ("C", 3), ("0", 4), ("Late", 5)];
        let expected = expected.map(|(name, number)| (name.to_owned(), number));
        assert_eq!(seen, vec![BTreeMap::from(expected); 3]);
    }

    #[tokio::test]
    async fn object_that_waits_for_a_number_changes_and_goes() {
        let store = SensorStore::volatile_collecting();
        store.apply(fan("A"));
        store.apply(fan("B"));
        store.apply(fan("C"));
        store.apply(Update::Changed {
            path: "/xyz/openbmc_project/sensors/fan_tach/A".to_owned(),
            interface: "xyz.openbmc_project.Sensor.Value".to_owned(),
            properties: vec![("Value".to_owned(), Value::Number(50.0))],
        });
        store.apply(Update::Removed { path: "/xyz/openbmc_project/sensors/fan_tach/B".to_owned() });
        let gone = vec!["/xyz/openbmc_project/sensors/fan_tach/C".to_owned()];
        store.apply(Update::Offline { paths: gone });
        store.number();
        assert_eq!(numbers(&store), BTreeMap::from([("A".to_owned(), 1)]));
        let value = store.with(|table| table.iter().next().unwrap().observed.value);
        assert_eq!(value.to_bits(), 50_f64.to_bits());
    }

    #[tokio::test]
    async fn sensor_of_a_service_that_left_has_no_reading() {
        let store = SensorStore::volatile();
        store.apply(object(false));
        store.apply(Update::Offline { paths: vec![PATH.to_owned()] });
        assert!(store.with(|table| table.iter().all(|sensor| !sensor.is_available())));
        store.apply(object(false));
        assert!(store.with(|table| table.iter().all(super::super::Sensor::is_available)));
    }
}
