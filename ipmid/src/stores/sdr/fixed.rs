//! The records that every repository has: the BMC's own locator, what it sends events for without
//! a sensor on the bus, and a locator for each FRU device.

use ipmi_proto::sdr::{
    ControllerLocator, Entity, EventOnlySensor, EventType, FruLocator, SdrBody, SensorKey,
    SensorType, Sharing, entity,
};
use ipmi_proto::{ChannelNumber, IdString, Lun};

use super::FixedRecords;
use crate::stores::fru::FruDevices;

/// The record ids of FRU locators begin here, one for each FRU id that fits.
const FIRST_FRU: u8 = 0x10;
/// The numbers of the BMC's own event sources, on the LUN that no bus sensor is on; FFh is reserved.
const OWN_LUN: u8 = 0;
const WATCHDOG: u8 = 0xfe;

/// What the BMC can do besides (Get Device ID, additional device support; §20.1).
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
    let bmc = Entity {
        id: entity::MANAGEMENT_MODULE,
        instance: 1,
    };
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
    let watchdog = EventOnlySensor {
        key: SensorKey::bmc(Lun::new(OWN_LUN).unwrap_or(Lun::BMC), WATCHDOG),
        entity: bmc,
        sensor_type: SensorType::WATCHDOG_2,
        event_type: EventType::SENSOR_SPECIFIC,
        sharing: Sharing::NONE,
        oem: 0,
        id: IdString::new("Watchdog"),
    };
    records.insert(2, SdrBody::EventOnly(watchdog));
    for (id, device) in frus {
        if let Some(record) = FIRST_FRU.checked_add(*id) {
            let locator = FruLocator::bmc(*id, device.entity, &device.name);
            records.insert(record, SdrBody::Fru(locator));
        }
    }
    records
}
