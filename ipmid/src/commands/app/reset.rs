//! Cold and warm reset: answered first, done after.

use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::{CompletionCode, NetFn, Privilege};
use tokio::{task, time};
use tracing::{info, warn};

use super::{AppProvider, Platform};
use crate::platform::BmcTransition;
use crate::request::command::{Command, Registrar, Resource};
use crate::request::context::Context;

const COLD_RESET: Command =
    Command::standard(NetFn::APP, 0x02, Privilege::Administrator, "Cold Reset")
        .changes(Resource::BMC);
const WARM_RESET: Command =
    Command::standard(NetFn::APP, 0x03, Privilege::Administrator, "Warm Reset")
        .changes(Resource::BMC);

/// Time for the answer to reach the requester before what carries it goes down.
const ANSWER_FIRST: Duration = Duration::from_millis(500);

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_reset(self: &Arc<Self>, table: &mut Registrar<'_>) {
        table.add(COLD_RESET, self, Self::cold_reset);
        table.add(WARM_RESET, self, Self::warm_reset);
    }

    /// Cold Reset (IPMI v2.0 §20.2): reboots the BMC through its state manager.
    ///
    /// # Errors
    ///
    /// `D5h` when there is no state manager, `C3h` when it does not answer.
    async fn cold_reset(self: Arc<Self>, _: Context) -> Result<(), CompletionCode> {
        self.platform.is_ready().await?; // somebody is there to do it
        info!("cold reset");
        task::spawn(async move {
            time::sleep(ANSWER_FIRST).await;
            if let Err(error) = self.platform.request_bmc(BmcTransition::Reboot).await {
                warn!(%error, "the BMC is not reset");
            }
        });
        Ok(())
    }

    /// Warm Reset (IPMI v2.0 §20.3): this daemon starts anew, sessions and settings live on.
    async fn warm_reset(self: Arc<Self>, _: Context) -> Result<(), CompletionCode> {
        info!("warm reset");
        task::spawn(async move {
            time::sleep(ANSWER_FIRST).await;
            self.parts.restart.notify_one();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::app::tests::{answer, bench};
    use crate::platform::PlatformError;

    #[tokio::test(start_paused = true)]
    async fn cold_reset_answers_before_it_resets() {
        let (bench, ..) = bench();
        assert_eq!(bench.send(0x02, &[]).await, answer(&[]));
        assert!(bench.platform.state().bmc_requests.is_empty());
        time::sleep(ANSWER_FIRST * 2).await;
        assert_eq!(bench.platform.state().bmc_requests, [BmcTransition::Reboot]);
    }

    #[tokio::test]
    async fn cold_reset_without_a_state_manager_is_d5h() {
        let (bench, ..) = bench();
        bench.platform.state().error = Some(PlatformError::Absent);
        assert_eq!(bench.send(0x02, &[]).await, Err(CompletionCode::NOT_IN_PRESENT_STATE));
    }

    #[tokio::test(start_paused = true)]
    async fn warm_reset_has_the_daemon_start_anew() {
        let (bench, _, restart) = bench();
        assert_eq!(bench.send(0x03, &[]).await, answer(&[]));
        restart.notified().await;
    }
}
