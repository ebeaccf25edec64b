//! Channels: numbers, media, protocols and access (IPMI v2.0 §6.3-6.6).

/// A channel number, 0 to Fh (IPMI v2.0 §6.3).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChannelNumber(u8);

impl ChannelNumber {
    /// The primary IPMB.
    pub const IPMB: Self = Self(0);
    /// "The channel this request came on"; never a channel of its own.
    pub const CURRENT: Self = Self(0x0e);
    /// The system interface.
    pub const SYSTEM_INTERFACE: Self = Self(0x0f);

    /// The channel whose four bits are `value`; `None` beyond Fh.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 0x0f { Some(Self(value)) } else { None }
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant = $value,)* }

        impl $name {
            /// The variant with this number; `None` for reserved ones.
            #[must_use]
            pub const fn new(value: u8) -> Option<Self> {
                match value { $($value => Some(Self::$variant),)* _ => None }
            }

            /// The number that travels.
            #[must_use]
            pub const fn value(self) -> u8 {
                self as u8
            }

            /// The variant that a configuration file calls `text`.
            #[must_use]
            pub fn from_name(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }

            /// The name a configuration file uses.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

wire_enum! {
    /// What a channel runs over (IPMI v2.0 §6.5, Table 6-3).
    Medium {
        /// IPMB (I2C).
        Ipmb = 0x01, "ipmb";
        /// ICMB v1.0.
        Icmb10 = 0x02, "icmb-1.0";
        /// ICMB v0.9.
        Icmb09 = 0x03, "icmb-0.9";
        /// 802.3 LAN.
        Lan = 0x04, "lan";
        /// Asynchronous serial or modem (RS-232).
        Serial = 0x05, "serial";
        /// Another LAN.
        OtherLan = 0x06, "other-lan";
        /// PCI SMBus.
        PciSmbus = 0x07, "pci-smbus";
        /// SMBus v1.0/1.1.
        Smbus1 = 0x08, "smbus-1";
        /// SMBus v2.0.
        Smbus2 = 0x09, "smbus-2";
        /// USB 1.x.
        Usb1 = 0x0a, "usb-1";
        /// USB 2.x.
        Usb2 = 0x0b, "usb-2";
        /// System interface (KCS, SMIC, BT).
        System = 0x0c, "system";
    }
}

wire_enum! {
    /// What a channel speaks (IPMI v2.0 §6.4, Table 6-2).
    ChannelProtocol {
        /// IPMB messages.
        Ipmb = 0x01, "ipmb-1.0";
        /// ICMB v1.0.
        Icmb10 = 0x02, "icmb-1.0";
        /// IPMI on SMBus.
        Smbus = 0x04, "ipmi-smbus";
        /// Keyboard controller style interface.
        Kcs = 0x05, "kcs";
        /// Server management interface chip.
        Smic = 0x06, "smic";
        /// Block transfer interface, format 1.0.
        Bt10 = 0x07, "bt-1.0";
        /// Block transfer interface, format 1.5.
        Bt15 = 0x08, "bt-1.5";
        /// Terminal mode.
        TMode = 0x09, "tmode";
        /// OEM protocol 1.
        Oem1 = 0x1c, "oem-1";
    }
}

wire_enum! {
    /// Whether a channel holds sessions (IPMI v2.0 §22.24, byte 5 bits 7:6).
    SessionSupport {
        /// None: what arrives is the system's or an already trusted bus's.
        SessionLess = 0, "session-less";
        /// One at a time.
        SingleSession = 1, "single-session";
        /// Several at a time.
        MultiSession = 2, "multi-session";
        /// Session-based, its kind may switch (serial).
        SessionBased = 3, "session-based";
    }
}

wire_enum! {
    /// When a channel takes messages (IPMI v2.0 §6.6, Table 6-4).
    AccessMode {
        /// Never.
        Disabled = 0, "disabled";
        /// Only before the system boots.
        PreBoot = 1, "pre-boot";
        /// Whether or not the system is up.
        AlwaysAvailable = 2, "always";
        /// Always, shared with the system (serial).
        Shared = 3, "shared";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for value in 0..=u8::MAX {
            if let Some(medium) = Medium::new(value) {
                assert_eq!(medium.value(), value);
                assert_eq!(Medium::from_name(medium.name()), Some(medium));
            }
            if let Some(protocol) = ChannelProtocol::new(value) {
                assert_eq!(ChannelProtocol::from_name(protocol.name()), Some(protocol));
            }
        }
    }
}
