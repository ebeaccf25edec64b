//! The sensors of the machine, shared by who follows the bus, who answers commands and who logs events;
//! and what of them outlives the daemon.

use std::collections::BTreeMap;
use std::sync::Mutex;

use durable::Folder;
use ipmi_proto::CompletionCode;
use ipmi_proto::sdr::ThresholdSet;
use tokio::sync::Notify;
use tracing::warn;

use super::directory::{Directory, SensorIndex};
use super::settings::Settings;
use super::table::{Interfaces, Properties, SensorEvent, SensorTable};
use crate::model::persistent::{Persistent, lock};

/// What the bus tells of sensors.
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
    /// An object that is no more.
    Removed {
        /// Its path.
        path: String,
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
    /// Whether sensors were left out because no number is left; told once.
    overfull: bool,
}

impl SensorStore {
    /// With numbers, settings and logged states in files of `folder`.
    #[must_use]
    pub fn open(folder: &Folder) -> Self {
        Self::new(Files {
            directory: Persistent::open(folder.clone(), "sensor-numbers.json"),
            settings: Persistent::open(folder.clone(), "sensor-settings.json"),
            states: Persistent::open(folder.clone(), "sensor-states.json"),
        })
    }

    /// Kept nowhere.
    #[must_use]
    pub fn volatile() -> Self {
        Self::new(Files {
            directory: Persistent::volatile(),
            settings: Persistent::volatile(),
            states: Persistent::volatile(),
        })
    }

    fn new(files: Files) -> Self {
        let inner = Inner {
            directory: files.directory.get(),
            settings: files.settings.get(),
            states: files.states.get(),
            ..Inner::default()
        };
        Self { inner: Mutex::new(inner), files, happened: Notify::new() }
    }

    /// Takes what the bus tells.
    pub fn apply(&self, update: Update) {
        lock(&self.inner).apply(update);
        self.happened.notify_one();
    }

    /// Notes whether readings are those of some time ago.
    pub fn set_stale(&self, stale: bool) {
        lock(&self.inner).table.set_stale(stale);
    }

    /// Looks at the sensors; `look` must not wait.
    pub fn with<R>(&self, look: impl FnOnce(&SensorTable) -> R) -> R {
        look(&lock(&self.inner).table)
    }

    /// Changes what clients may set on a sensor; it is kept over restarts.
    ///
    /// # Errors
    ///
    /// `CBh` when there is no such sensor, or when the medium refuses.
    pub async fn configure(
        &self,
        index: SensorIndex,
        change: impl Fn(&mut Settings) + Send,
    ) -> Result<(), CompletionCode> {
        let path = self
            .with(|table| table.get(index).map(|sensor| sensor.path.clone()))
            .ok_or(CompletionCode::NOT_PRESENT)?;
        self.files.settings.update(|all| change(all.entry(path.clone()).or_default())).await?;
        {
            // As they are by now, which a later change may have made them.
            let mut inner = lock(&self.inner);
            let kept = self.files.settings.look(|all| all.get(&path).copied());
            inner.table.set(index, |settings| *settings = kept.unwrap_or_default());
        }
        self.happened.notify_one();
        Ok(())
    }

    /// Has a sensor send the events of these offsets whose states hold.
    ///
    /// # Errors
    ///
    /// `CBh` when there is no such sensor.
    pub fn rearm(&self, index: SensorIndex, offsets: u16) -> Result<(), CompletionCode> {
        let mut inner = lock(&self.inner);
        inner.table.get(index).ok_or(CompletionCode::NOT_PRESENT)?;
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
                (inner.directory.clone(), inner.table.take_events())
            };
            if directory != self.files.directory.get() {
                // A failure is in the log, and the next change tries again.
                let _later = self.files.directory.update(|kept| *kept = directory).await;
            }
            if !events.is_empty() {
                return events;
            }
        }
    }

    /// Keeps which states hold, so that they are not logged again after a restart.
    pub async fn keep_states(&self) {
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
            let _logged = self.files.states.update(|kept| *kept = states).await;
        }
    }
}

impl Inner {
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
                    warn!(path, "more sensors than numbers; the rest are left out");
                }
            }
            Update::Changed { path, interface, properties } => {
                self.table.change(&path, &interface, &properties);
            }
            Update::Removed { path } => self.table.remove(&path),
            Update::Offline { paths } => {
                self.table.set_offline(|path| paths.iter().any(|gone| gone == path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        let events = store.events().await;
        assert_eq!(events.len(), 1);
        let index = events[0].index;
        store.configure(index, |settings| settings.negative_hysteresis = 4).await.unwrap();
        store.keep_states().await;
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
        assert_eq!(again.rearm(index, u16::MAX), Err(CompletionCode::NOT_PRESENT));
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
