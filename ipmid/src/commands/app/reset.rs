//! Cold and warm reset: executed after the reply.

use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::{CompletionCode, NetFn, Privilege};
use tokio::{task, time};
use tracing::{info, warn};

use super::{AppProvider, Platform};
use crate::platform::BmcTransition;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// Delay of the reset, so that the reply reaches the requester while the bridges still run.
const REPLY_DELAY: Duration = Duration::from_millis(500);

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_reset(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::Administrator;
        let mut rows = table.rows(NetFn::APP, self).changing(Resource::BMC);
        rows.add(0x02, Administrator, "Cold Reset", Self::cold_reset);
        rows.add(0x03, Administrator, "Warm Reset", Self::warm_reset);
    }

    /// Cold Reset (IPMI v2.0 §20.2): reboots the BMC through its state manager.
    ///
    /// # Errors
    ///
    /// `D5h` when there is no state manager, `C3h` when it does not answer.
    async fn cold_reset(self: Arc<Self>, _: Context) -> HandlerResult<()> {
        self.platform.is_ready().await?; // refuse before the reply if no state manager runs
        info!("cold reset");
        task::spawn(async move {
            time::sleep(REPLY_DELAY).await;
            if let Err(error) = self.platform.request_bmc(BmcTransition::Reboot).await {
                warn!(%error, "cannot reset the BMC; it goes on");
            }
        });
        Ok(())
    }

    /// Warm Reset (IPMI v2.0 §20.3): restarts this daemon; sessions and settings are preserved.
    async fn warm_reset(self: Arc<Self>, _: Context) -> Result<(), CompletionCode> {
        info!("warm reset");
        task::spawn(async move {
            time::sleep(REPLY_DELAY).await;
            self.deps.restart.notify_one();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::app::tests::{answer, commands};
    use crate::platform::PlatformError;

    #[tokio::test(start_paused = true)]
    async fn cold_reset_answers_before_it_resets() {
        let (commands, ..) = commands();
        assert_eq!(commands.send(0x02, &[]).await, answer(&[]));
        assert!(commands.platform.state().bmc_requests.is_empty());
        time::sleep(REPLY_DELAY * 2).await;
        assert_eq!(commands.platform.state().bmc_requests, [BmcTransition::Reboot]);
    }

    #[tokio::test]
    async fn cold_reset_without_a_state_manager_is_d5h() {
        let (commands, ..) = commands();
        commands.platform.state().error = Some(PlatformError::absent(&"no such service"));
        assert_eq!(commands.send(0x02, &[]).await, Err(CompletionCode::NOT_IN_PRESENT_STATE));
    }

    #[tokio::test(start_paused = true)]
    async fn warm_reset_has_the_daemon_start_anew() {
        let (commands, _, restart) = commands();
        assert_eq!(commands.send(0x03, &[]).await, answer(&[]));
        restart.notified().await;
    }
}
