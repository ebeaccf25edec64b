//! Endpoint ids, tags, message types, media and physical addresses.

use core::fmt;

use crate::framing::{pcie_vdm, serial, smbus};
use crate::packet::Header;

/// An endpoint id (DSP0236, "Endpoint IDs").
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Eid(pub u8);

impl Eid {
    /// Any endpoint at a physical address.
    pub const NULL: Self = Self(0);
    /// Every endpoint of a bus.
    pub const BROADCAST: Self = Self(0xff);
    /// The first id that may be assigned; 1 to 7 are reserved.
    pub const FIRST_ASSIGNABLE: Self = Self(8);
    /// The last id that may be assigned.
    pub const LAST_ASSIGNABLE: Self = Self(0xfe);

    /// Whether an endpoint may bear this id: 8 to 254.
    #[must_use]
    pub const fn is_assignable(self) -> bool {
        self.0 >= Self::FIRST_ASSIGNABLE.0 && self.0 <= Self::LAST_ASSIGNABLE.0
    }
}

impl fmt::Display for Eid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message tag, 0 to 7, chosen by the sender of a request.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(u8);

impl Tag {
    /// How many tags there are for each pair of endpoints.
    pub const COUNT: u8 = 8;

    /// The tag in the low three bits of `bits`.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x07)
    }

    /// 0 to 7.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// A message type (DSP0239, "MCTP Message Type Codes"), without the integrity check bit.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageType(u8);

impl MessageType {
    /// The integrity check bit of a message's first byte.
    pub const INTEGRITY_CHECK: u8 = 0x80;
    /// MCTP control.
    pub const CONTROL: Self = Self(0x00);
    /// Platform level data model.
    pub const PLDM: Self = Self(0x01);
    /// Network controller sideband interface.
    pub const NCSI: Self = Self(0x02);
    /// Ethernet frames.
    pub const ETHERNET: Self = Self(0x03);
    /// NVMe management interface.
    pub const NVME_MI: Self = Self(0x04);
    /// Security protocol and data model.
    pub const SPDM: Self = Self(0x05);
    /// Secured messages: SPDM and others within an SPDM session.
    pub const SECURED: Self = Self(0x06);
    /// CXL fabric manager API.
    pub const CXL_FM_API: Self = Self(0x07);
    /// CXL component command interface.
    pub const CXL_CCI: Self = Self(0x08);
    /// PCIe management interface.
    pub const PCIE_MI: Self = Self(0x09);
    /// Vendor defined, named by a PCI vendor id.
    pub const VENDOR_PCI: Self = Self(0x7e);
    /// Vendor defined, named by an IANA enterprise number.
    pub const VENDOR_IANA: Self = Self(0x7f);

    /// The type in a message's first byte; its integrity check bit is left out.
    #[must_use]
    pub const fn from_first_byte(byte: u8) -> Self {
        Self(byte & !Self::INTEGRITY_CHECK)
    }

    /// 0 to 7Fh.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x}", self.0)
    }
}

/// One of the buses a stack is attached to, by the caller's number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId(pub u8);

/// What a link is made of (DSP0239, "MCTP physical transport binding identifiers").
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Medium {
    /// Unknown, or that of a kernel's own stack.
    Unspecified,
    /// SMBus or I2C.
    Smbus,
    /// PCIe vendor defined messages.
    PcieVdm,
    /// A serial line.
    Serial,
}

impl Medium {
    /// The binding id of DSP0239.
    #[must_use]
    pub const fn binding_id(self) -> u8 {
        match self {
            Self::Unspecified => 0x00,
            Self::Smbus => 0x01,
            Self::PcieVdm => 0x02,
            Self::Serial => 0x05,
        }
    }

    /// The physical medium id of DSP0239 that fits best when the speed is not known.
    #[must_use]
    pub const fn medium_id(self) -> u8 {
        match self {
            Self::Unspecified => 0x00,
            Self::Smbus => 0x02,
            Self::PcieVdm => 0x08,
            Self::Serial => 0x30,
        }
    }

    /// The largest packet payload that fits its framing.
    #[must_use]
    pub const fn max_mtu(self) -> usize {
        match self {
            Self::Unspecified => crate::MAX_MESSAGE,
            Self::Smbus => smbus::MAX_PACKET - Header::LEN,
            Self::PcieVdm => pcie_vdm::MAX_PAYLOAD,
            Self::Serial => serial::MAX_PACKET - Header::LEN,
        }
    }

    /// How many bytes a physical address of this medium takes in control messages.
    #[must_use]
    pub const fn address_len(self) -> usize {
        match self {
            Self::Unspecified | Self::Serial => 0,
            Self::Smbus => 1,
            Self::PcieVdm => 2,
        }
    }

    /// Whether a packet without a physical address reaches all endpoints of a link, so that broadcasts can be sent.
    #[must_use]
    pub const fn carries_broadcasts(self) -> bool {
        match self {
            Self::Unspecified | Self::Smbus => false,
            Self::PcieVdm | Self::Serial => true,
        }
    }
}

/// Where on its link an endpoint is.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Address {
    /// A line with two ends has no addresses.
    #[default]
    None,
    /// A 7-bit address on SMBus or I2C.
    Smbus(u8),
    /// Bus (8 bits), device (5) and function (3) on PCIe.
    Pcie(u16),
}

impl Address {
    /// Reads an address as it stands in control messages of `medium`.
    #[must_use]
    pub fn parse(medium: Medium, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != medium.address_len() {
            return None;
        }
        let number = bytes.iter().fold(0, |number: u16, byte| number << 8 | u16::from(*byte));
        match medium {
            Medium::Smbus => Self::of_number(medium, number >> 1),
            _ => Self::of_number(medium, number),
        }
    }

    /// The address with this number on `medium`, as people and files write it; `None` if it has no such address. A medium
    /// without addresses ignores the number.
    #[must_use]
    pub fn of_number(medium: Medium, number: u16) -> Option<Self> {
        match medium {
            Medium::Unspecified | Medium::Serial => Some(Self::None),
            Medium::Smbus => {
                u8::try_from(number).ok().filter(|address| *address < 0x80).map(Self::Smbus)
            }
            Medium::PcieVdm => Some(Self::Pcie(number)),
        }
    }

    /// Its number; 0 without an address.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Smbus(address) => u16::from(address),
            Self::Pcie(id) => id,
        }
    }

    /// Appends the address as it stands in control messages.
    pub fn emit(self, out: &mut alloc::vec::Vec<u8>) {
        match self {
            Self::None => {}
            Self::Smbus(address) => out.push(address << 1),
            Self::Pcie(id) => out.extend(id.to_be_bytes()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("-"),
            Self::Smbus(address) => write!(f, "0x{address:02x}"),
            Self::Pcie(id) => write!(f, "{:02x}:{:02x}.{}", id >> 8, (id >> 3) & 0x1f, id & 7),
        }
    }
}

/// An endpoint's position on the buses: a link, and the physical address on it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BusPath {
    /// The link.
    pub link: LinkId,
    /// The physical address on the link.
    pub address: Address,
}

impl BusPath {
    /// An address on a link.
    #[must_use]
    pub const fn new(link: LinkId, address: Address) -> Self {
        Self { link, address }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn reserved_null_and_broadcast_ids_are_not_assignable() {
        for eid in [0, 1, 7, 255] {
            assert!(!Eid(eid).is_assignable(), "{eid}");
        }
        for eid in [8, 9, 254] {
            assert!(Eid(eid).is_assignable(), "{eid}");
        }
    }

    #[test]
    fn integrity_check_bit_is_no_part_of_the_type() {
        assert_eq!(MessageType::from_first_byte(0x84), MessageType::NVME_MI);
    }

    #[test]
    fn addresses_go_both_ways() {
        for (medium, address, bytes) in [
            (Medium::Serial, Address::None, &[][..]),
            (Medium::Smbus, Address::Smbus(0x1d), &[0x3a]),
            (Medium::PcieVdm, Address::Pcie(0x1234), &[0x12, 0x34]),
        ] {
            assert_eq!(Address::parse(medium, bytes), Some(address));
            let mut out = Vec::new();
            address.emit(&mut out);
            assert_eq!(out, bytes);
            assert_eq!(out.len(), medium.address_len());
            assert_eq!(Address::of_number(medium, address.number()), Some(address));
        }
        assert_eq!(Address::parse(Medium::Smbus, &[]), None);
        assert_eq!(Address::parse(Medium::Serial, &[0]), None);
        assert_eq!(Address::of_number(Medium::Smbus, 0x80), None);
        assert_eq!(Address::of_number(Medium::Smbus, 0x11d), None);
    }
}
