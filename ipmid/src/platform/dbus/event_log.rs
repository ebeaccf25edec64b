//! `xyz.openbmc_project.Logging.IPMI` over ipmid's own log, for services that log events themselves
//! (phosphor-sel-logger's interface). Where another process is that service already, it stays so.

use std::convert::Infallible;
use std::sync::Arc;

use durable::Folder;
use ipmi_proto::CompletionCode;
use ipmi_proto::sdr::{EventType, SensorType};
use ipmi_proto::sel::{Direction, Event, GeneratorId, SelBody, SelRecord, SelRecordId};
use openbmc_dbus::logging::ipmi;
use tracing::warn;
use zbus::wire::OwnedObjectPath;
use zbus::{Connection, fdo, interface};

use super::owned;
use crate::events::{Events, Source};
use crate::stores::Clock;
use crate::stores::sel::{SelError, SelStore};
use crate::stores::sensors::{ROOT, SensorStore};

/// A sensor that has no number, and event data that was not given.
const UNKNOWN: u8 = 0xff;

/// The log, as services see it.
#[derive(Clone, Debug)]
pub struct EventLog {
    /// The log.
    pub sel: Arc<SelStore<Folder>>,
    /// Where events go.
    pub events: Arc<Events>,
    /// The sensors that events are of, by path.
    pub sensors: Arc<SensorStore>,
    /// The log's clock.
    pub clock: Arc<Clock>,
}

/// What a path is in an event: sensor type, number, event/reading type.
type Place = (u8, u8, u8);

impl EventLog {
    /// Serves for as long as the daemon lives, whatever the bus does.
    pub async fn serve(&self) -> Infallible {
        let place = async move |connection: Connection| {
            let server = connection.object_server();
            server.at(ipmi::PATH, self.clone()).await.map(drop)
        };
        owned::serve(ipmi::SERVICE, place).await
    }

    fn place(&self, path: &str) -> Place {
        let known = self.sensors.with(|table| {
            table.find(path).map(|sensor| {
                let (kind, event) = sensor.kind();
                (kind.0, sensor.listing.index.place().1, event.value())
            })
        });
        known.unwrap_or_else(|| {
            let below = path.strip_prefix(ROOT).unwrap_or_default();
            let segment = below.split('/').nth(1).unwrap_or_default();
            let kind = SensorType::of_segment(segment);
            (kind.0, UNKNOWN, EventType::THRESHOLD.value())
        })
    }

    async fn add_event(
        &self,
        (sensor_type, sensor_number, event_type): Place,
        data: &[u8],
        asserted: bool,
        generator: u16,
    ) -> fdo::Result<u16> {
        let mut bytes = [UNKNOWN; 3];
        if data.len() > bytes.len() {
            return Err(fdo::Error::InvalidArgs("at most three bytes of event data".to_owned()));
        }
        for (place, byte) in bytes.iter_mut().zip(data) {
            *place = *byte;
        }
        let event = Event {
            revision: Event::REVISION,
            sensor_type,
            sensor_number,
            direction: if asserted { Direction::Assertion } else { Direction::Deassertion },
            event_type,
            data: bytes,
        };
        let generator = GeneratorId(generator);
        let taken = self.events.take(Source::Other, generator, event).await;
        Ok(taken.map_err(refusal)?.map_or(0, SelRecordId::value))
    }

    async fn add(&self, body: SelBody) -> fdo::Result<u16> {
        let now = self.clock.now();
        let record = SelRecord { id: 0, body }.stamped(now);
        let added = self.sel.add(record, now).await;
        added.map(SelRecordId::value).map_err(refusal)
    }
}

fn refusal(error: SelError) -> fdo::Error {
    warn!(%error, "a service's event is not logged");
    match error {
        SelError::Busy => fdo::Error::LimitsExceeded(error.to_string()),
        SelError::Absent | SelError::Cancelled => fdo::Error::InvalidArgs(error.to_string()),
        SelError::Storage => {
            fdo::Error::Failed(format!("{error} ({})", CompletionCode::UNSPECIFIED))
        }
    }
}

#[interface(name = "xyz.openbmc_project.Logging.IPMI")]
impl EventLog {
    async fn ipmi_sel_add(
        &self,
        _message: &str,
        path: OwnedObjectPath,
        data: Vec<u8>,
        assert: bool,
        generator: u16,
    ) -> fdo::Result<u16> {
        let place = self.place(path.as_str());
        self.add_event(place, &data, assert, generator).await
    }

    #[expect(clippy::too_many_arguments, reason = "the interface has eight")]
    async fn add_extended(
        &self,
        _message: &str,
        _path: OwnedObjectPath,
        data: Vec<u8>,
        assert: bool,
        generator: u16,
        event_type: u8,
        sensor_type: u8,
        sensor_number: u8,
    ) -> fdo::Result<u16> {
        let place = (sensor_type, sensor_number, event_type);
        self.add_event(place, &data, assert, generator).await
    }

    async fn ipmi_sel_add_oem(
        &self,
        _message: &str,
        data: Vec<u8>,
        record_type: u8,
    ) -> fdo::Result<u16> {
        // After the type, a timestamp that is set here, or the maker's own bytes at once.
        let head = if record_type < 0xe0 { 7 } else { 3 };
        let mut record = [0; SelRecord::LENGTH];
        if record_type < 0xc0 || data.len() > record.len() - head {
            return Err(fdo::Error::InvalidArgs("no OEM record".to_owned()));
        }
        if let Some(kind) = record.get_mut(2) {
            *kind = record_type;
        }
        for (place, byte) in record.iter_mut().skip(head).zip(data) {
            *place = byte;
        }
        self.add(SelRecord::from_bytes(record).body).await
    }

    async fn clear(&self) -> fdo::Result<()> {
        self.sel.clear(self.clock.now(), None).await.map_err(refusal)
    }

    #[zbus(name = "SELDelete")]
    async fn sel_delete(&self, record: u16) -> fdo::Result<()> {
        let id = SelRecordId::new(record).ok_or(SelError::Absent).map_err(refusal)?;
        let deleted = self.sel.delete(id, self.clock.now(), None).await;
        deleted.map(drop).map_err(refusal)
    }
}

#[cfg(test)]
mod tests {
    use durable::Modes;

    use super::*;
    use crate::events::HostSide;
    use crate::state::Persistent;

    fn log() -> (EventLog, tempfile::TempDir) {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::create(&state.path().join("state"), Modes::PRIVATE).unwrap();
        let sel = Arc::new(SelStore::open(folder, 10));
        let clock = Arc::new(Clock::new(Persistent::volatile()));
        let events = Events::new(Arc::clone(&sel), Arc::clone(&clock), HostSide::default());
        let log = EventLog {
            sel,
            events: Arc::new(events),
            sensors: Arc::new(SensorStore::volatile()),
            clock,
        };
        (log, state)
    }

    #[tokio::test]
    async fn services_log_events_and_oem_records() {
        let (log, _state) = log();
        let path = OwnedObjectPath::try_from(format!("{ROOT}/temperature/X")).unwrap();
        let id = log.ipmi_sel_add("hot", path, vec![0x59, 0x66], true, 0x20).await.unwrap();
        let record = log.sel.get(id).unwrap().0.to_bytes();
        assert_eq!(record[7..], [0x20, 0, 4, 1, 0xff, 1, 0x59, 0x66, 0xff]);
        let id = log.ipmi_sel_add_oem("", vec![1, 2, 3], 0xe1).await.unwrap();
        assert_eq!(log.sel.get(id).unwrap().0.to_bytes()[2..7], [0xe1, 1, 2, 3, 0]);
        assert!(log.ipmi_sel_add_oem("", vec![0; 14], 0xe1).await.is_err());
        assert!(log.ipmi_sel_add_oem("", vec![], 0x02).await.is_err());
        log.sel_delete(1).await.unwrap();
        assert!(log.sel_delete(1).await.is_err());
        log.clear().await.unwrap();
        assert_eq!(log.sel.info().entries, 0);
    }
}
