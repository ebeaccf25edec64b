//! BMC Global Enables: interrupts, event message buffer and event logging.

use std::sync::Arc;

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{AppProvider, Platform};
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// The reserved bit (IPMI v2.0 §22.1).
const RESERVED: u8 = 0x10;

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_global_enables(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, User};
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x2f, User, "Get BMC Global Enables", Self::get_bmc_global_enables);
        let mut rows = rows.changing(Resource::GLOBAL_ENABLES);
        rows.add(0x2e, Administrator, "Set BMC Global Enables", Self::set_bmc_global_enables);
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
        self.deps.global_enables.set(enables);
        Ok(())
    }

    /// Get BMC Global Enables (IPMI v2.0 §22.2).
    async fn get_bmc_global_enables(self: Arc<Self>, _: Context) -> Result<u8, CompletionCode> {
        Ok(self.deps.global_enables.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::app::tests::{answer, commands};

    #[tokio::test]
    async fn what_linux_sets_reads_back() {
        let (commands, ..) = commands();
        assert_eq!(commands.send(0x2f, &[]).await, answer(&[0x08]));
        for enables in [0x08, 0x0d, 0xe7] {
            assert_eq!(commands.send(0x2e, &[enables]).await, answer(&[]));
            assert_eq!(commands.send(0x2f, &[]).await, answer(&[enables]));
        }
        assert_eq!(commands.send(0x2e, &[0x10]).await, Err(CompletionCode::INVALID_DATA_FIELD));
    }
}
