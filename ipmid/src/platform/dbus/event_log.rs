//! `xyz.openbmc_project.Logging.IPMI` over ipmid's own log, for services that log events themselves
//! (phosphor-sel-logger's interface). Where another process owns the name already, that one serves it.
//!
//! The methods are those of `xyz/openbmc_project/Logging/IPMI.interface.yaml`; [`paths`] adds the
//! signatures that phosphor-sel-logger's callers use.

mod paths;

use std::convert::Infallible;
use std::sync::Arc;

use durable::Folder;
use ipmi_proto::sdr::{EventType, SensorType};
use ipmi_proto::sel::{Direction, Event, GeneratorId, SelBody, SelRecord, SelRecordId};
use openbmc_dbus::bus;
use openbmc_dbus::logging::ipmi;
use tracing::warn;
use zbus::wire::OwnedObjectPath;
use zbus::{Connection, interface};

use self::paths::AnyPath;
use crate::model::events::{Events, Source};
use crate::model::sel::SelStore;
use crate::model::sensors::{ROOT, SensorStore};
use crate::model::{Clock, StoreError};

/// The number of an unknown sensor, and unspecified event data.
const UNSPECIFIED: u8 = 0xff;

/// The D-Bus object that services log events with.
#[derive(Clone, Debug)]
pub struct EventLog {
    /// The log.
    pub sel: Arc<SelStore<Folder>>,
    /// Logs events and buffers them for the host.
    pub events: Arc<Events>,
    /// The sensors that events are of, by path.
    pub sensors: Arc<SensorStore>,
    /// The log's clock.
    pub clock: Arc<Clock>,
}

/// The sensor in an event: sensor type, number, event/reading type.
type EventSensor = (u8, u8, u8);

/// The errors of the interface, by their names on the bus.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "xyz.openbmc_project.Common.Error")]
enum Error {
    #[zbus(error)]
    Zbus(zbus::Error),
    InvalidArgument(String),
    ResourceNotFound(String),
    Unavailable(String),
    InternalFailure(String),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            // Services give no reservation, so nothing cancels one of theirs.
            StoreError::Busy | StoreError::Cancelled => Self::Unavailable(text),
            StoreError::NotFound => Self::ResourceNotFound(text),
            _ => Self::InternalFailure(text),
        }
    }
}

impl EventLog {
    /// Serves as long as the daemon runs, across restarts of the bus.
    pub async fn serve(&self) -> Infallible {
        let publish = async move |connection: Connection| self.publish(&connection).await;
        bus::serve_owned(ipmi::SERVICE, publish).await
    }

    async fn publish(&self, connection: &Connection) -> zbus::Result<()> {
        connection.object_server().at(ipmi::PATH, AnyPath(self.clone())).await.map(drop)
    }

    /// The sensor at `path`; for an unknown path the type that the path names.
    fn sensor(&self, path: &str) -> EventSensor {
        let known = self.sensors.with(|table| {
            table.find(path).map(|sensor| {
                let (kind, event) = sensor.kind();
                (kind.0, sensor.listing.index.lun_and_number().1, event.value())
            })
        });
        known.unwrap_or_else(|| {
            let below = path.strip_prefix(ROOT).unwrap_or_default();
            let segment = below.split('/').nth(1).unwrap_or_default();
            let kind = SensorType::of_segment(segment);
            (kind.0, UNSPECIFIED, EventType::THRESHOLD.value())
        })
    }

    /// Adds a system event of the sensor at `path`, which is an object path or, from
    /// phosphor-sel-logger's callers, any string.
    async fn add_event_at(
        &self,
        path: &str,
        data: &[u8],
        assert: bool,
        generator: u16,
    ) -> Result<u16, Error> {
        let direction = if assert { Direction::Assertion } else { Direction::Deassertion };
        self.add_event(self.sensor(path), direction, data, generator).await
    }

    /// Adds a system event whose types the caller gives; `direction_and_type` is the byte of an event
    /// message (IPMI v2.0 Table 29-6, event dir and event type).
    async fn add_extended_event(
        &self,
        data: &[u8],
        generator: u16,
        direction_and_type: u8,
        (sensor_type, sensor_number): (u8, u8),
    ) -> Result<u16, Error> {
        let deasserted = direction_and_type & 0x80 != 0;
        let direction = if deasserted { Direction::Deassertion } else { Direction::Assertion };
        let sensor = (sensor_type, sensor_number, direction_and_type & 0x7f);
        self.add_event(sensor, direction, data, generator).await
    }

    async fn add_event(
        &self,
        (sensor_type, sensor_number, event_type): EventSensor,
        direction: Direction,
        data: &[u8],
        generator: u16,
    ) -> Result<u16, Error> {
        let mut bytes = [UNSPECIFIED; 3];
        if data.len() > bytes.len() {
            return Err(Error::InvalidArgument("more than three bytes of event data".to_owned()));
        }
        for (byte, given) in bytes.iter_mut().zip(data) {
            *byte = *given;
        }
        let revision = Event::REVISION;
        let event =
            Event { revision, sensor_type, sensor_number, direction, event_type, data: bytes };
        self.log_event(GeneratorId(generator), event).await
    }

    async fn log_event(&self, generator: GeneratorId, event: Event) -> Result<u16, Error> {
        let logged = self.events.handle(Source::Other, generator, event).await;
        Ok(logged.map_err(not_logged)?.map_or(0, SelRecordId::value))
    }

    async fn log_record(&self, body: SelBody) -> Result<u16, Error> {
        let now = self.clock.now();
        let record = SelRecord { id: 0, body }.stamped(now);
        let added = self.sel.add(record, now).await;
        Ok(added.map_err(not_logged).map(SelRecordId::value)?)
    }
}

fn not_logged(error: StoreError) -> StoreError {
    warn!(%error, "an event of a service is not logged: the SEL cannot be written");
    error
}

/// The body of a record of `record_type` with `data`; `None` if it is invalid. Data follow the
/// timestamp, which ipmid sets, and in a record without one the type (IPMI v2.0 §32).
fn record_body(record_type: u8, data: &[u8]) -> Option<SelBody> {
    /// Generator ID and event message.
    const SYSTEM_DATA: usize = 2 + Event::LENGTH;
    let start = match record_type {
        // Some services log system events this way, as phosphor-sel-logger takes any record type.
        SelRecord::SYSTEM if data.len() == SYSTEM_DATA => 7,
        0xc0..=0xdf => 7,
        0xe0..=0xff => 3,
        _ => return None,
    };
    let mut record = [0; SelRecord::LENGTH];
    *record.get_mut(2)? = record_type;
    record.get_mut(start..)?.get_mut(..data.len())?.copy_from_slice(data);
    Some(SelRecord::from_bytes(record).body)
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
    ) -> Result<u16, Error> {
        self.add_event_at(path.as_str(), &data, assert, generator).await
    }

    #[expect(clippy::too_many_arguments, reason = "the interface has seven")]
    async fn add_extended(
        &self,
        _message: &str,
        _path: OwnedObjectPath,
        data: Vec<u8>,
        generator: u16,
        direction_and_type: u8,
        sensor_type: u8,
        sensor_number: u8,
    ) -> Result<u16, Error> {
        let sensor = (sensor_type, sensor_number);
        self.add_extended_event(&data, generator, direction_and_type, sensor).await
    }

    async fn ipmi_sel_add_oem(
        &self,
        _message: &str,
        data: Vec<u8>,
        record_type: u8,
    ) -> Result<u16, Error> {
        match record_body(record_type, &data) {
            Some(SelBody::System { generator, event, .. }) => {
                self.log_event(generator, event).await
            }
            Some(body) => self.log_record(body).await,
            None => Err(Error::InvalidArgument(format!(
                "no record of type {record_type:02X}h with {} bytes of data",
                data.len()
            ))),
        }
    }

    async fn clear(&self) -> Result<(), Error> {
        Ok(self.sel.clear(self.clock.now(), None).await?)
    }

    #[zbus(name = "SELDelete")]
    async fn sel_delete(&self, record: u16) -> Result<(), Error> {
        let id = SelRecordId::new(record).ok_or(StoreError::NotFound)?;
        Ok(self.sel.delete(id.value(), self.clock.now(), None).await.map(drop)?)
    }

    /// Records, free bytes, times of the last addition and erasure, operation support.
    #[zbus(name = "GetSELInfo")]
    async fn sel_info(&self) -> ((u16, u16, u32, u32, u8),) {
        let info = self.sel.info();
        let entries = u16::try_from(info.entries).unwrap_or(u16::MAX);
        ((entries, info.free_bytes(), info.last_add, info.last_erase, info.support()),)
    }
}

#[cfg(test)]
mod tests;
