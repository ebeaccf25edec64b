//! The watchdog timer (IPMI v2.0 §27).
//!
//! The watchdog service counts down and executes the timeout action; it has no pre-timeout, which is stored and
//! timed here, and the use of the last expiry only, so that the flags of all are stored here too.

use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::codec::{Bits, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use tokio::task::{self, AbortHandle};
use tokio::time;
use tracing::{info, warn};

use super::{AppProvider, Platform};
use crate::model::persistent::lock;
use crate::platform::{
    WatchdogAction, WatchdogSettings, WatchdogState, timer_use_from, timer_use_number,
};
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// `80h`: attempt to start an uninitialized watchdog.
const NOT_INITIALIZED: CompletionCode = CompletionCode(0x80);

/// The countdown's unit, in milliseconds.
const COUNT: u64 = 100;

const INTERRUPT_NONE: u8 = 0;
const INTERRUPT_NMI: u8 = 2;
const INTERRUPT_MESSAGE: u8 = 3;

/// Called at a pre-timeout with messaging interrupt: sets the host's message flag.
#[derive(Clone, Default)]
pub struct PreTimeout(Option<Arc<dyn Fn() + Send + Sync>>);

impl PreTimeout {
    /// Calls `notify` at each pre-timeout whose interrupt is the messaging interrupt.
    pub fn new(notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(notify)))
    }
}

impl std::fmt::Debug for PreTimeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "PreTimeout" } else { "no PreTimeout" })
    }
}

/// Watchdog state that the watchdog service does not store.
#[derive(Debug, Default)]
pub struct WatchdogExtras {
    /// Pre-timeout interrupt, bits 6:4 of the actions byte.
    interrupt: u8,
    /// Seconds before the timeout at which the interrupt is raised.
    pre_timeout: u8,
    timer: Option<AbortHandle>,
}

/// Timer use: use, reserved, don't stop or running, don't log.
type Use = (Bits<3>, Zero<3>, bool, bool);
/// Timer actions: timeout action, reserved, pre-timeout interrupt, reserved.
type Actions = (Bits<3>, Zero<1>, Bits<3>, Zero<1>);

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_watchdog(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x25, User, "Get Watchdog Timer", Self::get_watchdog_timer);
        let mut rows = rows.changing(Resource::WATCHDOG);
        rows.add(0x22, Operator, "Reset Watchdog Timer", Self::reset_watchdog_timer);
        rows.add(0x24, Operator, "Set Watchdog Timer", Self::set_watchdog_timer);
    }

    /// Reset Watchdog Timer (IPMI v2.0 §27.5): starts the timer from its interval.
    ///
    /// # Errors
    ///
    /// `80h` if the watchdog is uninitialized.
    async fn reset_watchdog_timer(self: Arc<Self>, _: Context) -> HandlerResult<()> {
        let state = self.platform.watchdog().await?;
        if !state.initialized {
            return Err(NOT_INITIALIZED.into());
        }
        self.platform.reset_watchdog().await?;
        self.deps.expiries.restart(0).await?;
        self.arm_pre_timeout(WatchdogSettings { running: true, ..state.settings });
        Ok(())
    }

    /// Set Watchdog Timer (IPMI v2.0 §27.6). Stops a running timer unless "don't stop" is set.
    ///
    /// # Errors
    ///
    /// `CCh` for an invalid use, action or interrupt, and for a pre-timeout that is not
    /// before the timeout.
    async fn set_watchdog_timer(
        self: Arc<Self>,
        _: Context,
        (timer_use, _, keep_running, no_log): Use,
        (action, _, interrupt, _): Actions,
        pre_timeout: u8,
        clear: u8,
        countdown: u16,
    ) -> HandlerResult<()> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let timer_use = timer_use_from(timer_use.value()).ok_or(invalid)?;
        let action = action_from(action.value()).ok_or(invalid)?;
        let interrupt = interrupt.value();
        let interval = u64::from(countdown) * COUNT;
        let known = [INTERRUPT_NONE, INTERRUPT_NMI, INTERRUPT_MESSAGE].contains(&interrupt);
        let in_time = interrupt == INTERRUPT_NONE || u64::from(pre_timeout) * 1000 <= interval;
        if !known || !in_time {
            return Err(invalid.into());
        }
        let state = self.watchdog_state().await?;
        let running = keep_running && state.settings.running;
        let settings = WatchdogSettings { running, timer_use, action, log: !no_log, interval };
        self.platform.set_watchdog(settings).await?;
        {
            let mut extras = lock(&self.watchdog);
            extras.interrupt = interrupt;
            extras.pre_timeout = pre_timeout;
        }
        self.deps.expiries.restart(clear).await?;
        self.arm_pre_timeout(settings);
        Ok(())
    }

    /// Get Watchdog Timer (IPMI v2.0 §27.7). The present countdown of a stopped timer is its initial one, and 0 after
    /// an expiry.
    #[allow(clippy::type_complexity)] // the reply's fields in their order
    async fn get_watchdog_timer(
        self: Arc<Self>,
        _: Context,
    ) -> HandlerResult<(Use, Actions, u8, u8, u16, u16)> {
        let WatchdogState { settings, remaining, .. } = self.watchdog_state().await?;
        let (interrupt, pre_timeout) = {
            let extras = lock(&self.watchdog);
            (extras.interrupt, extras.pre_timeout)
        };
        let remaining = match (settings.running, self.deps.expiries.has_elapsed()) {
            (true, _) => remaining,
            (false, true) => 0,
            (false, false) => settings.interval,
        };
        let timer_use = Bits::low(timer_use_number(settings.timer_use));
        Ok((
            (timer_use, Zero, settings.running, !settings.log),
            (Bits::low(action_number(settings.action)), Zero, Bits::low(interrupt), Zero),
            pre_timeout,
            self.deps.expiries.flags(),
            counts(settings.interval),
            counts(remaining),
        ))
    }

    /// The state of the timer. An expiry that came while this daemon did not run is noted first.
    async fn watchdog_state(&self) -> HandlerResult<WatchdogState> {
        let state = self.platform.watchdog().await?;
        self.deps.expiries.settle(timer_use_number(state.expired_use)).await;
        Ok(state)
    }

    /// Restarts or stops the timer of the pre-timeout interrupt.
    fn arm_pre_timeout(self: &Arc<Self>, settings: WatchdogSettings) {
        let mut extras = lock(&self.watchdog);
        if let Some(timer) = extras.timer.take() {
            timer.abort();
        }
        let interrupt = extras.interrupt;
        if !settings.running || interrupt == INTERRUPT_NONE {
            return;
        }
        let before = Duration::from_secs(extras.pre_timeout.into());
        let delay = Duration::from_millis(settings.interval).saturating_sub(before);
        let provider = Arc::clone(self);
        let wait = async move {
            time::sleep(delay).await;
            provider.raise_interrupt(interrupt).await;
        };
        extras.timer = Some(task::spawn(wait).abort_handle());
    }

    async fn raise_interrupt(&self, interrupt: u8) {
        info!("watchdog pre-timeout");
        if interrupt == INTERRUPT_NMI {
            if let Err(error) = self.platform.pulse_nmi().await {
                warn!(%error, "cannot raise the watchdog's pre-timeout interrupt; the timer goes on");
            }
        } else if let Some(notify) = &self.deps.pre_timeout.0 {
            notify();
        }
    }
}

fn counts(milliseconds: u64) -> u16 {
    u16::try_from(milliseconds / COUNT).unwrap_or(u16::MAX)
}

const ACTIONS: [WatchdogAction; 4] = [
    WatchdogAction::None,
    WatchdogAction::HardReset,
    WatchdogAction::PowerOff,
    WatchdogAction::PowerCycle,
];

fn action_from(number: u8) -> Option<WatchdogAction> {
    ACTIONS.get(usize::from(number)).copied()
}

fn action_number(action: WatchdogAction) -> u8 {
    (0..).zip(ACTIONS).find(|(_, known)| *known == action).map_or(0, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::app::tests::{answer, commands};
    use crate::platform::WatchdogUse;

    #[tokio::test]
    async fn what_linux_and_ipmitool_set_reads_back() {
        let (commands, ..) = commands();
        assert_eq!(commands.send(0x22, &[]).await, Err(NOT_INITIALIZED));
        // ipmi_watchdog at load: SMS/OS, no action, 30 s.
        assert_eq!(commands.send(0x24, &hex!("04 00 00 00 2c 01")).await, answer(&[]));
        let golden = answer(&hex!("04 00 00 00 2c 01 2c 01"));
        assert_eq!(commands.send(0x25, &[]).await, golden);
        // At open: keep running if it runs, hard reset.
        assert_eq!(commands.send(0x24, &hex!("44 01 00 00 2c 01")).await, answer(&[]));
        assert_eq!(commands.send(0x22, &[]).await, answer(&[]));
        assert_eq!(commands.platform.state().watchdog_resets, 1);
        let golden = answer(&hex!("44 01 00 00 2c 01 2c 01"));
        assert_eq!(commands.send(0x25, &[]).await, golden);
        // Still running after a second set-up that says so; stopped by one that does not.
        assert_eq!(commands.send(0x24, &hex!("44 01 00 00 58 02")).await, answer(&[]));
        assert!(commands.platform.state().watchdog.settings.running);
        assert_eq!(commands.send(0x24, &hex!("84 00 00 00 58 02")).await, answer(&[]));
        assert!(!commands.platform.state().watchdog.settings.running);
        let golden = answer(&hex!("84 00 00 00 58 02 58 02"));
        assert_eq!(commands.send(0x25, &[]).await, golden);
    }

    #[tokio::test]
    async fn flags_accumulate_until_the_host_clears_them() {
        let (commands, ..) = commands();
        let flags = async || commands.send(0x25, &[]).await.unwrap()[3];
        commands.platform.state().watchdog.expired_use = WatchdogUse::SMSOS;
        assert_eq!(flags().await, 0x10);
        commands.platform.state().watchdog.expired_use = WatchdogUse::OSLoad;
        assert_eq!(flags().await, 0x18);
        assert_eq!(commands.send(0x24, &hex!("04 00 00 10 2c 01")).await, answer(&[]));
        assert_eq!(flags().await, 0x08);
    }

    #[tokio::test]
    async fn present_countdown_is_the_initial_one_until_the_timer_runs_and_0_after_an_expiry() {
        let (commands, ..) = commands();
        commands.send(0x24, &hex!("04 00 00 00 2c 01")).await.unwrap();
        commands.platform.state().watchdog.remaining = 0; // as OpenBMC's service has it of a stopped timer
        let countdown = async || commands.send(0x25, &[]).await.unwrap()[6..].to_vec();
        assert_eq!(countdown().await, hex!("2c 01"));
        commands.platform.state().watchdog.expired_use = WatchdogUse::SMSOS;
        assert_eq!(countdown().await, hex!("00 00"));
        commands.send(0x24, &hex!("04 00 00 00 2c 01")).await.unwrap();
        assert_eq!(countdown().await, hex!("2c 01"));
    }

    #[tokio::test]
    async fn expiry_shows_until_the_host_clears_it() {
        let (commands, ..) = commands();
        commands.platform.state().watchdog.expired_use = WatchdogUse::SMSOS;
        assert_eq!(commands.send(0x25, &[]).await.unwrap()[3], 0x10);
        assert_eq!(commands.send(0x24, &hex!("04 00 00 10 2c 01")).await, answer(&[]));
        assert_eq!(commands.send(0x25, &[]).await.unwrap()[3], 0x00);
    }

    #[tokio::test(start_paused = true)]
    async fn pre_timeout_interrupt_comes_before_the_end_and_moves_with_each_reset() {
        let (commands, ..) = commands();
        // SMS/OS, NMI 10 s before the end, 30 s.
        assert_eq!(commands.send(0x24, &hex!("04 20 0a 00 2c 01")).await, answer(&[]));
        assert_eq!(commands.send(0x22, &[]).await, answer(&[]));
        time::sleep(Duration::from_secs(15)).await;
        assert_eq!(commands.send(0x22, &[]).await, answer(&[]));
        time::sleep(Duration::from_secs(19)).await;
        assert_eq!(commands.platform.state().nmi_pulses, 0);
        time::sleep(Duration::from_secs(2)).await;
        assert_eq!(commands.platform.state().nmi_pulses, 1);
    }

    #[tokio::test]
    async fn invalid_uses_actions_and_interrupts_are_refused() {
        let (commands, ..) = commands();
        for request in [
            hex!("06 00 00 00 2c 01"), // use
            hex!("04 04 00 00 2c 01"), // action
            hex!("04 10 00 00 2c 01"), // SMI: not supported by any platform
            hex!("04 20 0a 00 0a 00"), // 10 s before the end of 1 s
            hex!("0c 00 00 00 2c 01"), // reserved bit
        ] {
            let refused = Err(CompletionCode::INVALID_DATA_FIELD);
            assert_eq!(commands.send(0x24, &request).await, refused, "{request:02x?}");
        }
    }
}
