//! Network functions, logical units and the bodies that extend them (IPMI v2.0 §5.1, Table 5-1).

use std::fmt;

/// A network function: even for requests, odd for responses (IPMI v2.0 §5.1, Table 5-1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NetFn(u8);

impl NetFn {
    /// Chassis device requests.
    pub const CHASSIS: Self = Self(0x00);
    /// Bridge device requests (ICMB).
    pub const BRIDGE: Self = Self(0x02);
    /// Sensor and event requests.
    pub const SENSOR_EVENT: Self = Self(0x04);
    /// Application requests: device, watchdog, sessions, users, channels.
    pub const APP: Self = Self(0x06);
    /// Firmware transfer requests.
    pub const FIRMWARE: Self = Self(0x08);
    /// Non-volatile storage requests: SDR, SEL, FRU.
    pub const STORAGE: Self = Self(0x0a);
    /// Media-specific configuration requests: LAN, serial, SOL.
    pub const TRANSPORT: Self = Self(0x0c);
    /// Group extension requests: the first data byte names the defining body.
    pub const GROUP: Self = Self(0x2c);
    /// OEM/group requests: the first three data bytes are the body's IANA number.
    pub const OEM: Self = Self(0x2e);

    /// The network function whose six bits are `value`; `None` beyond 3Fh.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 0x3f { Some(Self(value)) } else { None }
    }

    /// Splits the byte that has the network function in bits 7:2 and the LUN in bits 1:0.
    #[must_use]
    pub const fn split(byte: u8) -> (Self, Lun) {
        (Self(byte >> 2), Lun(byte & 0x03))
    }

    /// Joins network function and LUN into the byte that travels.
    #[must_use]
    pub const fn join(self, lun: Lun) -> u8 {
        self.0 << 2 | lun.0
    }

    /// The number itself, 00h to 3Fh.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Whether this is a request's (even) network function.
    #[must_use]
    pub const fn is_request(self) -> bool {
        self.0 & 1 == 0
    }

    /// The response's network function: the request's with bit 0 set.
    #[must_use]
    pub const fn response(self) -> Self {
        Self(self.0 | 1)
    }
}

impl fmt::Display for NetFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}h", self.0)
    }
}

/// A logical unit number, 0 to 3.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Lun(u8);

impl Lun {
    /// The BMC itself.
    pub const BMC: Self = Self(0);
    /// The system interface: messages for the host's receive queue.
    pub const SMS: Self = Self(2);

    /// The LUN whose two bits are `value`; `None` beyond 3.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 3 { Some(Self(value)) } else { None }
    }

    /// The number itself, 0 to 3.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// The defining body of a group extension command (NetFn 2Ch; IPMI v2.0 Table 5-1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupBody(pub u8);

impl GroupBody {
    /// PICMG, and within it HPM.
    pub const PICMG: Self = Self(0x00);
    /// VITA 46.11.
    pub const VITA: Self = Self(0x03);
    /// The Redfish host interface (DSP0270).
    pub const REDFISH: Self = Self(0x52);
    /// Arm's Server Base Manageability Requirements.
    pub const SBMR: Self = Self(0xae);
    /// DCMI.
    pub const DCMI: Self = Self(0xdc);
}

/// A 24-bit IANA enterprise number, as in OEM commands and Get Device ID.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Iana(u32);

impl Iana {
    /// OpenBMC's number.
    pub const OPENBMC: Self = Self(49871);

    /// The enterprise number `value`; `None` beyond 24 bits.
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value <= 0x00ff_ffff { Some(Self(value)) } else { None }
    }

    /// From three bytes, least significant first.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 3]) -> Self {
        let [a, b, c] = bytes;
        Self(u32::from_le_bytes([a, b, c, 0]))
    }

    /// Three bytes, least significant first.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 3] {
        let [a, b, c, _] = self.0.to_le_bytes();
        [a, b, c]
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netfn_and_lun_share_a_byte() {
        assert_eq!(NetFn::split(0x1b), (NetFn::APP, Lun(3)));
        assert_eq!(NetFn::APP.join(Lun(3)), 0x1b);
        for byte in 0..=u8::MAX {
            let (netfn, lun) = NetFn::split(byte);
            assert_eq!(netfn.join(lun), byte);
        }
    }

    #[test]
    fn iana_is_three_bytes_least_significant_first() {
        assert_eq!(Iana::OPENBMC.to_bytes(), [0xcf, 0xc2, 0x00]);
        assert_eq!(Iana::from_bytes([0xcf, 0xc2, 0x00]), Iana::OPENBMC);
        assert_eq!(Iana::new(0x0100_0000), None);
    }
}
