//! Privilege levels (IPMI v2.0 §6.8).

/// A privilege level that a user or session can hold (IPMI v2.0 §6.8; numbers as in §22.18).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Privilege {
    /// Lowest: may only initiate a callback.
    Callback = 1,
    /// Read-only commands.
    User = 2,
    /// All but configuration of the BMC's interfaces.
    Operator = 3,
    /// Everything that is not OEM.
    Administrator = 4,
    /// OEM proprietary.
    Oem = 5,
}

impl Privilege {
    /// The level whose four bits are `value`; `None` for 0, Fh (no access) and reserved values.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Callback),
            2 => Some(Self::User),
            3 => Some(Self::Operator),
            4 => Some(Self::Administrator),
            5 => Some(Self::Oem),
            _ => None,
        }
    }

    /// The four bits that travel.
    #[must_use]
    pub const fn value(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_and_survive_the_wire() {
        assert!(Privilege::User < Privilege::Administrator);
        for value in 0..=15 {
            if let Some(level) = Privilege::new(value) {
                assert_eq!(level.value(), value);
            }
        }
        assert_eq!(Privilege::new(0x0f), None);
    }
}
