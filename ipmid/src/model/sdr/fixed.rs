//! The records that every repository has: the BMC's own locator, the sources of its own events,
//! which have no sensor on the bus, and a locator for each FRU device.

use ipmi_proto::sdr::{
    ControllerLocator, Entity, EventOnlySensor, EventType, FruLocator, SdrBody, SensorKey,
    SensorType, Sharing, entity,
};
use ipmi_proto::sel::{Direction, Event, GeneratorId};
use ipmi_proto::{ChannelNumber, IdString, Lun};

use super::FixedRecords;
use crate::model::fru::FruDevices;
use crate::model::names;

/// The record ids of FRU locators begin here, one for each FRU id that fits.
const FIRST_FRU: u8 = 0x10;
/// The number that no sensor on the bus has, on any LUN; FFh is reserved.
const OWN_NUMBER: u8 = 0xfe;
/// Unused by sensors on the bus, whose numbers begin with 1.
const OWN_FIRST_NUMBER: u8 = 0;

/// A source of events of the BMC itself, without a sensor on the bus.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OwnSource {
    /// The host watchdog.
    Watchdog,
    /// The front panel's buttons.
    Buttons,
    /// The event log.
    EventLog,
    /// The firmware of BMC and host.
    Version,
}

impl OwnSource {
    const ALL: [Self; 4] = [Self::Watchdog, Self::Buttons, Self::EventLog, Self::Version];

    /// LUN and number.
    #[must_use]
    pub fn key(self) -> SensorKey {
        let (lun, number) = match self {
            Self::Watchdog => (0, OWN_NUMBER),
            Self::Buttons => (1, OWN_NUMBER),
            Self::EventLog => (3, OWN_NUMBER),
            Self::Version => (0, OWN_FIRST_NUMBER),
        };
        SensorKey::bmc(Lun::new(lun).unwrap_or(Lun::BMC), number)
    }

    /// The sensor type.
    #[must_use]
    pub const fn sensor_type(self) -> SensorType {
        match self {
            Self::Watchdog => SensorType::WATCHDOG_2,
            Self::Buttons => SensorType::BUTTON,
            Self::EventLog => SensorType::EVENT_LOGGING,
            Self::Version => SensorType::VERSION_CHANGE,
        }
    }

    /// An assertion event with these data, and its generator.
    #[must_use]
    pub fn event(self, data: [u8; 3]) -> (GeneratorId, Event) {
        let event = Event {
            revision: Event::REVISION,
            sensor_type: self.sensor_type().0,
            sensor_number: self.key().number,
            direction: Direction::Assertion,
            event_type: EventType::SENSOR_SPECIFIC.value(),
            data,
        };
        (GeneratorId::bmc_sensor(self.key().lun), event)
    }

    fn record(self) -> EventOnlySensor {
        let (name, of) = match self {
            Self::Watchdog => ("Watchdog", entity::MANAGEMENT_MODULE),
            Self::Buttons => ("Buttons", entity::CHASSIS),
            Self::EventLog => ("Event Log", entity::MANAGEMENT_MODULE),
            Self::Version => ("Version Change", entity::MANAGEMENT_MODULE),
        };
        EventOnlySensor {
            key: self.key(),
            entity: Entity { id: of, instance: 1 },
            sensor_type: self.sensor_type(),
            event_type: EventType::SENSOR_SPECIFIC,
            sharing: Sharing::NONE,
            oem: 0,
            id: IdString::new(name),
        }
    }
}

/// Additional device support of the BMC (Get Device ID, §20.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceSupport(pub u8);

impl Default for DeviceSupport {
    /// Chassis, event generator and receiver, FRU, SEL, SDR repository, sensors; no bridge.
    fn default() -> Self {
        Self(0xbf)
    }
}

/// The records, by id.
pub(super) fn records(support: DeviceSupport, frus: &FruDevices) -> FixedRecords {
    let mut records = FixedRecords::new();
    let bmc = Entity { id: entity::MANAGEMENT_MODULE, instance: 1 };
    let controller = ControllerLocator {
        address: 0x20,
        channel: ChannelNumber::IPMB,
        initialization: 0,
        capabilities: support.0,
        entity: bmc,
        oem: 0,
        id: IdString::new("BMC"),
    };
    records.insert(1, SdrBody::Controller(controller));
    for (id, source) in (2..).zip(OwnSource::ALL) {
        records.insert(id, SdrBody::EventOnly(source.record()));
    }
    for (id, device) in frus {
        if let Some(record) = FIRST_FRU.checked_add(*id) {
            let locator = FruLocator::bmc(*id, device.entity, &names::shorten(&device.name));
            records.insert(record, SdrBody::Fru(locator));
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_of_the_bmcs_own_records_are_reserved() {
        let records = records(DeviceSupport::default(), &FruDevices::new());
        let own: BTreeSet<String> = records
            .values()
            .map(|body| match body {
                SdrBody::Controller(locator) => locator.id.to_text(),
                SdrBody::EventOnly(source) => source.id.to_text(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(own, names::RESERVED.map(str::to_owned).into());
    }
}
