//! Faults of the management controller, for Get Self Test Results.

use std::sync::atomic::{AtomicU8, Ordering};

/// A fault: a bit of the self-test response's second byte (IPMI v2.0 §20.4, Table 20-6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Fault {
    /// The SEL cannot be read or written.
    Sel = 0x80,
    /// The SDR repository cannot be read or written.
    Sdr = 0x40,
    /// The BMC's FRU inventory cannot be read.
    Fru = 0x20,
    /// The IPMB's signal lines do not respond.
    Ipmb = 0x10,
}

/// The present faults.
#[derive(Debug, Default)]
pub struct Health(AtomicU8);

impl Health {
    /// Sets `fault`, or clears it if it no longer `stands`.
    pub fn report(&self, fault: Fault, stands: bool) {
        if stands {
            self.0.fetch_or(fault as u8, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!(fault as u8), Ordering::Relaxed);
        }
    }

    /// The present faults, as bits.
    #[must_use]
    pub fn faults(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}
