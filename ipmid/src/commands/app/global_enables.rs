//! BMC Global Enables: which interrupts, event buffer and logging are on.

use std::sync::Arc;

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{AppProvider, Platform};
use crate::request::command::{Command, Registrar, Resource};
use crate::request::context::Context;

const SET_BMC_GLOBAL_ENABLES: Command =
    Command::standard(NetFn::APP, 0x2e, Privilege::Administrator, "Set BMC Global Enables")
        .changes(Resource::GLOBAL_ENABLES);
const GET_BMC_GLOBAL_ENABLES: Command =
    Command::standard(NetFn::APP, 0x2f, Privilege::User, "Get BMC Global Enables");

/// The one bit that is reserved (IPMI v2.0 §22.1).
const RESERVED: u8 = 0x10;

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
        self.parts.global_enables.set(enables);
        Ok(())
    }

    /// Get BMC Global Enables (IPMI v2.0 §22.2).
    async fn get_bmc_global_enables(self: Arc<Self>, _: Context) -> Result<u8, CompletionCode> {
        Ok(self.parts.global_enables.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::app::tests::{answer, bench};

    #[tokio::test]
    async fn what_linux_sets_reads_back() {
        let (bench, ..) = bench();
        assert_eq!(bench.send(0x2f, &[]).await, answer(&[0x08]));
        for enables in [0x08, 0x0d, 0xe7] {
            assert_eq!(bench.send(0x2e, &[enables]).await, answer(&[]));
            assert_eq!(bench.send(0x2f, &[]).await, answer(&[enables]));
        }
        assert_eq!(bench.send(0x2e, &[0x10]).await, Err(CompletionCode::INVALID_DATA_FIELD));
    }
}
