//! SOL settings and the console of the fake platform.

use super::super::*;
use super::*;

impl Sol for FakePlatform {
    async fn sol_settings(&self, _: &str) -> PlatformResult<SolSettings> {
        self.step().await;
        self.answer(|state| state.sol)
    }
    async fn change_sol(&self, _: &str, change: SolChange) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| match change {
            SolChange::Enable(value) => state.sol.enable = value,
            SolChange::Authentication { force_encryption, force_authentication, privilege } => {
                state.sol.force_encryption = force_encryption;
                state.sol.force_authentication = force_authentication;
                state.sol.privilege = privilege;
            }
            SolChange::Accumulate { interval, threshold } => {
                state.sol.accumulate_interval = interval;
                state.sol.threshold = threshold;
            }
            SolChange::Retry { count, interval } => {
                state.sol.retry_count = count;
                state.sol.retry_interval = interval;
            }
        })
    }
    async fn console_baud(&self) -> PlatformResult<u64> {
        self.step().await;
        self.answer(|state| state.console_baud)?.ok_or_else(absent)
    }
    async fn set_console_baud(&self, baud: u64) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| match &mut state.console_baud {
            Some(now) => {
                *now = baud;
                Ok(())
            }
            None => Err(absent()),
        })?
    }
}
