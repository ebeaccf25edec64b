//! A bus for one test.

use std::ops::Deref;

use openbmc_dbus::testing;

/// A bus that ends with its test; the tests of each module add what they put on it.
pub(crate) struct Bus(testing::Bus);

impl Bus {
    pub(crate) fn start() -> Self {
        Self(testing::Bus::start())
    }
}

impl Deref for Bus {
    type Target = testing::Bus;

    fn deref(&self) -> &testing::Bus {
        &self.0
    }
}
