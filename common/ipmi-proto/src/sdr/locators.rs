//! Locator records: FRU devices, type 11h, and management controllers, type 12h (IPMI v2.0 §43.8,
//! §43.9).

use super::sensor::Entity;
use crate::channel::ChannelNumber;
use crate::netfn::Lun;
use crate::record::{Reader, RecordError};
use crate::type_length::IdString;

/// Where a FRU inventory is (§43.8, Table 43-7).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FruLocator {
    /// The controller's address (a logical device), or the I2C controller behind which it is.
    pub access_address: u8,
    /// The FRU device id (a logical device), or the device's own address.
    pub device: u8,
    /// Whether `device` is an id for Read FRU Data rather than an I2C address.
    pub logical: bool,
    /// The LUN to ask.
    pub lun: Lun,
    /// The private bus, three bits.
    pub bus: u8,
    /// The channel of the controller.
    pub channel: ChannelNumber,
    /// Device type code (§43.12); 10h is a FRU device.
    pub device_type: u8,
    /// Device type modifier.
    pub modifier: u8,
    /// What it describes.
    pub entity: Entity,
    /// Free for the manufacturer.
    pub oem: u8,
    /// Its name.
    pub id: IdString,
}

impl FruLocator {
    /// The record type.
    pub const KIND: u8 = 0x11;
    /// The device type of a logical FRU device.
    pub const LOGICAL_FRU: u8 = 0x10;

    /// The locator of FRU `device` of the BMC, called `name`.
    #[must_use]
    pub fn bmc(device: u8, entity: Entity, name: &str) -> Self {
        Self {
            access_address: 0x20,
            device,
            logical: true,
            lun: Lun::BMC,
            bus: 0,
            channel: ChannelNumber::IPMB,
            device_type: Self::LOGICAL_FRU,
            modifier: 0,
            entity,
            oem: 0,
            id: IdString::new(name),
        }
    }

    pub(crate) fn parse(body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("FRU locator", body);
        let [access_address, device, byte, channel, _, device_type, modifier, id, instance, oem] =
            reader.array()?;
        Ok(Self {
            access_address,
            device,
            logical: byte & 0x80 != 0,
            lun: Lun::new(byte >> 3 & 3).unwrap_or(Lun::BMC),
            bus: byte & 7,
            channel: ChannelNumber::new(channel >> 4).unwrap_or(ChannelNumber::IPMB),
            device_type,
            modifier,
            entity: Entity { id, instance },
            oem,
            id: IdString::parse(&mut reader)?,
        })
    }

    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        let byte = u8::from(self.logical) << 7 | self.lun.value() << 3 | self.bus & 7;
        out.extend([self.access_address, self.device, byte, self.channel.value() << 4, 0]);
        out.extend([self.device_type, self.modifier]);
        out.extend([self.entity.id, self.entity.instance, self.oem]);
        self.id.emit(out);
    }
}

/// Where a management controller is (§43.9, Table 43-8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ControllerLocator {
    /// Its IPMB address.
    pub address: u8,
    /// The channel it is on.
    pub channel: ChannelNumber,
    /// Power state notification and global initialization bits.
    pub initialization: u8,
    /// Device support bits, as in Get Device ID.
    pub capabilities: u8,
    /// What it belongs to.
    pub entity: Entity,
    /// Free for the manufacturer.
    pub oem: u8,
    /// Its name.
    pub id: IdString,
}

impl ControllerLocator {
    /// The record type.
    pub const KIND: u8 = 0x12;

    pub(crate) fn parse(body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("controller locator", body);
        let [address, channel, initialization, capabilities, _, _, _, id, instance, oem] =
            reader.array()?;
        Ok(Self {
            address,
            channel: ChannelNumber::new(channel & 0x0f).unwrap_or(ChannelNumber::IPMB),
            initialization,
            capabilities,
            entity: Entity { id, instance },
            oem,
            id: IdString::parse(&mut reader)?,
        })
    }

    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.address, self.channel.value(), self.initialization, self.capabilities]);
        out.extend([0, 0, 0, self.entity.id, self.entity.instance, self.oem]);
        self.id.emit(out);
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::sdr::{SdrBody, SdrRecord};

    #[test]
    fn locators_match_golden_bytes() {
        let board = Entity { id: 7, instance: 1 };
        let controller = ControllerLocator {
            address: 0x20,
            channel: ChannelNumber::IPMB,
            initialization: 0,
            capabilities: 0xbf,
            entity: Entity { id: 6, instance: 1 },
            oem: 0,
            id: IdString::new("BMC"),
        };
        let cases: [(&[u8], SdrBody); 2] = [
            (
                &hex!("04 00 51 11 10 20 00 80 00 00 10 00 07 01 00 c5 42 6f 61 72 64"),
                SdrBody::Fru(FruLocator::bmc(0, board, "Board")),
            ),
            (
                &hex!("04 00 51 12 0e 20 00 00 bf 00 00 00 06 01 00 c3 42 4d 43"),
                SdrBody::Controller(controller),
            ),
        ];
        for (bytes, body) in cases {
            let record = SdrRecord { id: 4, body };
            assert_eq!(record.to_bytes(), bytes);
            for cut in 0..bytes.len() {
                assert!(SdrRecord::parse(&bytes[..cut]).is_err(), "{cut}");
            }
            assert_eq!(SdrRecord::parse(bytes), Ok(record));
        }
    }
}
