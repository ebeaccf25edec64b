//! The clock of log and repository (IPMI v2.0 §31.10-31.11a, §33.17-33.18): one and the same.

use std::sync::Arc;

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{Platform, StorageProvider};
use crate::platform::PlatformError;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// The furthest that local time is from UTC, in minutes (§31.11a), and "not specified".
const MAX_OFFSET: u16 = 1440;
const UNSPECIFIED_OFFSET: i16 = 0x07ff;
/// No time, or one that is not known (§37).
const UNKNOWN_TIME: u32 = u32::MAX;

impl<P: Platform> StorageProvider<P> {
    pub(super) fn register_time(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::STORAGE, self);
        rows.add(0x5c, User, "Get SEL Time UTC Offset", Self::get_sel_time_utc_offset);
        let mut rows = rows.changing(Resource::CLOCK);
        rows.add(0x28, User, "Get SDR Repository Time", Self::get_sel_time);
        rows.add(0x29, Operator, "Set SDR Repository Time", Self::set_sel_time);
        rows.add(0x48, User, "Get SEL Time", Self::get_sel_time);
        rows.add(0x49, Operator, "Set SEL Time", Self::set_sel_time);
        rows.add(0x5d, Operator, "Set SEL Time UTC Offset", Self::set_sel_time_utc_offset);
    }

    /// Get SEL Time (IPMI v2.0 §31.10): the BMC's clock if there is a time service, else the log's own.
    async fn get_sel_time(self: Arc<Self>, _: Context) -> Result<u32, CompletionCode> {
        if let Ok(seconds) = self.platform.bmc_time().await {
            let now = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.stores.clock.set(now).await?;
        }
        Ok(self.stores.clock.now())
    }

    /// Set SEL Time (IPMI v2.0 §31.11): sets the BMC's clock, and the log's.
    ///
    /// # Errors
    ///
    /// - `CCh` for FFFFFFFFh, which stands for a time that is not known (§37).
    /// - `D5h` while the clock follows the network, as in OpenBMC (`storagehandler.cpp`).
    async fn set_sel_time(self: Arc<Self>, _: Context, seconds: u32) -> HandlerResult<()> {
        if seconds == UNKNOWN_TIME {
            return Err(CompletionCode::INVALID_DATA_FIELD.into());
        }
        if self.platform.follows_network().await == Ok(true) {
            return Err(CompletionCode::NOT_IN_PRESENT_STATE.into());
        }
        match self.platform.set_bmc_time(u64::from(seconds)).await {
            Ok(()) | Err(PlatformError::Absent(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.stores.clock.set(seconds).await?)
    }

    /// Get SEL Time UTC Offset (IPMI v2.0 §31.11a): minutes that local time is ahead of UTC.
    async fn get_sel_time_utc_offset(self: Arc<Self>, _: Context) -> Result<i16, CompletionCode> {
        Ok(self.stores.clock.utc_offset())
    }

    /// Set SEL Time UTC Offset (IPMI v2.0 §31.11b).
    ///
    /// # Errors
    ///
    /// `C9h` beyond a day, unless it is 07FFh, "not specified".
    async fn set_sel_time_utc_offset(
        self: Arc<Self>,
        _: Context,
        minutes: i16,
    ) -> Result<(), CompletionCode> {
        if minutes.unsigned_abs() > MAX_OFFSET && minutes != UNSPECIFIED_OFFSET {
            return Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        }
        Ok(self.stores.clock.set_utc_offset(minutes).await?)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::storage::tests::{TestStorage, answer};

    #[tokio::test]
    async fn sel_time_is_the_bmcs_clock() {
        let commands = TestStorage::new();
        commands.platform.state().bmc_time = Some(0x6000_0000);
        assert_eq!(commands.send(0x48, &[]).await, answer(&hex!("00000060")));
        assert_eq!(commands.send(0x49, &hex!("00000050")).await, answer(&[]));
        assert_eq!(commands.platform.state().bmc_time, Some(0x5000_0000));
        assert_eq!(commands.send(0x28, &[]).await, answer(&hex!("00000050")));
    }

    #[tokio::test]
    async fn sel_time_is_the_logs_own_clock_without_a_time_service() {
        let commands = TestStorage::new();
        commands.platform.state().bmc_time = None;
        assert_eq!(commands.send(0x29, &hex!("00000050")).await, answer(&[]));
        let unknown = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x49, &hex!("ffffffff")).await, unknown);
        let now = commands.send(0x48, &[]).await.unwrap();
        assert_eq!(now[1..], hex!("000050"));
    }

    #[tokio::test]
    async fn clock_that_follows_the_network_is_not_set() {
        let commands = TestStorage::new();
        commands.platform.state().follows_network = true;
        let refused = Err(CompletionCode::NOT_IN_PRESENT_STATE);
        assert_eq!(commands.send(0x49, &hex!("00000050")).await, refused);
    }

    #[tokio::test]
    async fn utc_offset_is_a_day_at_most() {
        let commands = TestStorage::new();
        assert_eq!(commands.send(0x5c, &[]).await, answer(&hex!("0000")));
        assert_eq!(commands.send(0x5d, &hex!("c4ff")).await, answer(&[]));
        assert_eq!(commands.send(0x5c, &[]).await, answer(&hex!("c4ff")));
        assert_eq!(commands.send(0x5d, &hex!("ff07")).await, answer(&[]));
        let beyond = Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        assert_eq!(commands.send(0x5d, &hex!("a105")).await, beyond);
    }
}
