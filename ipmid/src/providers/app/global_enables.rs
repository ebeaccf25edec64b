//! BMC Global Enables: which interrupts, event buffer and logging are on.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{AppProvider, Platform};
use crate::{
    command::{Command, Registrar},
    context::Context,
};

const SET_BMC_GLOBAL_ENABLES: Command = Command::standard(
    NetFn::APP,
    0x2e,
    Privilege::Administrator,
    "Set BMC Global Enables",
);
const GET_BMC_GLOBAL_ENABLES: Command =
    Command::standard(NetFn::APP, 0x2f, Privilege::User, "Get BMC Global Enables");

/// The one bit that is reserved (IPMI v2.0 §22.1).
const RESERVED: u8 = 0x10;

/// The enables, shared by the handlers that act by them.
#[derive(Debug)]
pub struct GlobalEnables(AtomicU8);

impl GlobalEnables {
    /// Receive message queue interrupt.
    pub const RECEIVE_QUEUE_INTERRUPT: u8 = 0x01;
    /// Event message buffer full interrupt.
    pub const EVENT_BUFFER_INTERRUPT: u8 = 0x02;
    /// Event message buffer.
    pub const EVENT_BUFFER: u8 = 0x04;
    /// System event logging.
    pub const SEL_LOGGING: u8 = 0x08;

    /// Whether `enable` is on.
    #[must_use]
    pub fn is_on(&self, enable: u8) -> bool {
        self.0.load(Ordering::Relaxed) & enable != 0
    }
}

impl Default for GlobalEnables {
    /// After a reset: events are logged, nothing else is on.
    fn default() -> Self {
        Self(AtomicU8::new(Self::SEL_LOGGING))
    }
}

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_global_enables(self: &Arc<Self>, table: &mut Registrar<'_>) {
        table.add(SET_BMC_GLOBAL_ENABLES, self, Self::set_bmc_global_enables);
        table.add(GET_BMC_GLOBAL_ENABLES, self, Self::get_bmc_global_enables);
    }

    /// Set BMC Global Enables (IPMI v2.0 §22.1). An administrator may send it over LAN too, as
    /// ipmitool's `mc setenables` does.
    async fn set_bmc_global_enables(
        self: Arc<Self>,
        _: Context,
        enables: u8,
    ) -> Result<(), CompletionCode> {
        if enables & RESERVED != 0 {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        self.parts
            .global_enables
            .0
            .store(enables, Ordering::Relaxed);
        Ok(())
    }

    /// Get BMC Global Enables (IPMI v2.0 §22.2).
    async fn get_bmc_global_enables(self: Arc<Self>, _: Context) -> Result<u8, CompletionCode> {
        Ok(self.parts.global_enables.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::app::tests::{answer, bench};

    #[tokio::test]
    async fn what_linux_sets_reads_back() {
        let (bench, ..) = bench();
        assert_eq!(bench.send(0x2f, &[]).await, answer(&[0x08]));
        for enables in [0x08, 0x0d, 0xe7] {
            assert_eq!(bench.send(0x2e, &[enables]).await, answer(&[]));
            assert_eq!(bench.send(0x2f, &[]).await, answer(&[enables]));
        }
        assert_eq!(
            bench.send(0x2e, &[0x10]).await,
            Err(CompletionCode::INVALID_DATA_FIELD)
        );
    }
}
