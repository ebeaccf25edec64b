//! The watchdog timer (IPMI v2.0 §27).
//!
//! The watchdog service counts down and acts; pre-timeout and expiry flags, of which it knows
//! nothing, are kept and timed here.

use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::codec::{BitSet, Bits, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use tokio::task::{self, AbortHandle};
use tokio::time;
use tracing::{info, warn};

use super::{AppProvider, Platform};
use crate::model::persistent::lock;
use crate::platform::{WatchdogAction, WatchdogSettings, WatchdogState, WatchdogUse};
use crate::request::command::{Command, Registrar, Resource};
use crate::request::context::Context;

const RESET_WATCHDOG_TIMER: Command =
    Command::standard(NetFn::APP, 0x22, Privilege::Operator, "Reset Watchdog Timer")
        .changes(Resource::WATCHDOG);
const SET_WATCHDOG_TIMER: Command =
    Command::standard(NetFn::APP, 0x24, Privilege::Operator, "Set Watchdog Timer")
        .changes(Resource::WATCHDOG);
const GET_WATCHDOG_TIMER: Command =
    Command::standard(NetFn::APP, 0x25, Privilege::User, "Get Watchdog Timer");

/// `80h`: attempt to start a timer that was never set up.
const NOT_INITIALIZED: CompletionCode = CompletionCode(0x80);

/// The countdown's unit, in milliseconds.
const COUNT: u64 = 100;

const INTERRUPT_NONE: u8 = 0;
const INTERRUPT_NMI: u8 = 2;
const INTERRUPT_MESSAGE: u8 = 3;

/// Where a pre-timeout by message interrupt is told: sets the host's message flag.
#[derive(Clone, Default)]
pub struct PreTimeout(Option<Arc<dyn Fn() + Send + Sync>>);

impl PreTimeout {
    /// Calls `tell` at each pre-timeout whose interrupt is the messaging interrupt.
    pub fn new(tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }
}

impl std::fmt::Debug for PreTimeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "PreTimeout" } else { "no PreTimeout" })
    }
}

/// What the watchdog service does not keep.
#[derive(Debug, Default)]
pub struct WatchdogExtras {
    /// Pre-timeout interrupt, bits 6:4 of the actions byte.
    interrupt: u8,
    /// Seconds before the end at which it is given.
    pre_timeout: u8,
    /// Flags of earlier expiries that a host has cleared: the service keeps only the last use.
    cleared: Option<WatchdogUse>,
    timer: Option<AbortHandle>,
}

/// Timer use: who, reserved, keep running or is running, do not log.
type Use = (Bits<3>, Zero<3>, bool, bool);
/// Timer actions: at the end, reserved, before the end, reserved.
type Actions = (Bits<3>, Zero<1>, Bits<3>, Zero<1>);

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_watchdog(self: &Arc<Self>, table: &mut Registrar<'_>) {
        table.add(RESET_WATCHDOG_TIMER, self, Self::reset_watchdog_timer);
        table.add(SET_WATCHDOG_TIMER, self, Self::set_watchdog_timer);
        table.add(GET_WATCHDOG_TIMER, self, Self::get_watchdog_timer);
    }

    /// Reset Watchdog Timer (IPMI v2.0 §27.5): starts it from its interval.
    ///
    /// # Errors
    ///
    /// `80h` when it was never set up.
    async fn reset_watchdog_timer(self: Arc<Self>, _: Context) -> Result<(), CompletionCode> {
        let state = self.platform.watchdog().await?;
        if !state.initialized {
            return Err(NOT_INITIALIZED);
        }
        self.platform.reset_watchdog().await?;
        self.arm_pre_timeout(WatchdogSettings { running: true, ..state.settings });
        Ok(())
    }

    /// Set Watchdog Timer (IPMI v2.0 §27.6). Stops it unless told to keep a running one going.
    ///
    /// # Errors
    ///
    /// `CCh` for a use, action or interrupt that is none, and for a pre-timeout that is not
    /// before the end.
    async fn set_watchdog_timer(
        self: Arc<Self>,
        _: Context,
        (timer_use, _, keep_running, no_log): Use,
        (action, _, interrupt, _): Actions,
        pre_timeout: u8,
        clear: BitSet<8>,
        countdown: u16,
    ) -> Result<(), CompletionCode> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let timer_use = use_from(timer_use.value()).ok_or(invalid)?;
        let action = action_from(action.value()).ok_or(invalid)?;
        let interrupt = interrupt.value();
        let interval = u64::from(countdown) * COUNT;
        let known = [INTERRUPT_NONE, INTERRUPT_NMI, INTERRUPT_MESSAGE].contains(&interrupt);
        let in_time = interrupt == INTERRUPT_NONE || u64::from(pre_timeout) * 1000 <= interval;
        if !known || !in_time {
            return Err(invalid);
        }
        let state = self.platform.watchdog().await?;
        let running = keep_running && state.settings.running;
        let settings = WatchdogSettings { running, timer_use, action, log: !no_log, interval };
        self.platform.set_watchdog(settings).await?;
        {
            let mut extras = lock(&self.watchdog);
            extras.interrupt = interrupt;
            extras.pre_timeout = pre_timeout;
            if clear.contains(use_number(state.expired_use).into()) {
                extras.cleared = Some(state.expired_use);
            }
        }
        self.arm_pre_timeout(settings);
        Ok(())
    }

    /// Get Watchdog Timer (IPMI v2.0 §27.7).
    #[allow(clippy::type_complexity)] // the reply's fields in their order
    async fn get_watchdog_timer(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(Use, Actions, u8, BitSet<8>, u16, u16), CompletionCode> {
        let state = self.platform.watchdog().await?;
        let WatchdogState { settings, .. } = state;
        let extras = lock(&self.watchdog);
        let expired = match state.expired_use {
            WatchdogUse::Reserved => BitSet::default(),
            expired if extras.cleared == Some(expired) => BitSet::default(),
            expired => BitSet::from_iter([use_number(expired).into()]),
        };
        let timer_use = Bits::low(use_number(settings.timer_use));
        Ok((
            (timer_use, Zero, settings.running, !settings.log),
            (Bits::low(action_number(settings.action)), Zero, Bits::low(extras.interrupt), Zero),
            extras.pre_timeout,
            expired,
            counts(settings.interval),
            counts(state.remaining),
        ))
    }

    /// Times the interrupt before the end anew, or stops timing it.
    fn arm_pre_timeout(self: &Arc<Self>, settings: WatchdogSettings) {
        let mut extras = lock(&self.watchdog);
        if let Some(timer) = extras.timer.take() {
            timer.abort();
        }
        if settings.running {
            extras.cleared = None; // whatever expires from now on is news
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
            provider.give_interrupt(interrupt).await;
        };
        extras.timer = Some(task::spawn(wait).abort_handle());
    }

    async fn give_interrupt(&self, interrupt: u8) {
        info!("watchdog pre-timeout");
        if interrupt == INTERRUPT_NMI {
            if let Err(error) = self.platform.pulse_nmi().await {
                warn!(%error, "the watchdog's pre-timeout interrupt is not given");
            }
        } else if let Some(tell) = &self.parts.pre_timeout.0 {
            tell();
        }
    }
}

fn counts(milliseconds: u64) -> u16 {
    u16::try_from(milliseconds / COUNT).unwrap_or(u16::MAX)
}

const USES: [WatchdogUse; 6] = [
    WatchdogUse::Reserved,
    WatchdogUse::BIOSFRB2,
    WatchdogUse::BIOSPOST,
    WatchdogUse::OSLoad,
    WatchdogUse::SMSOS,
    WatchdogUse::OEM,
];
const ACTIONS: [WatchdogAction; 4] = [
    WatchdogAction::None,
    WatchdogAction::HardReset,
    WatchdogAction::PowerOff,
    WatchdogAction::PowerCycle,
];

fn use_from(number: u8) -> Option<WatchdogUse> {
    USES.get(usize::from(number)).copied()
}

fn action_from(number: u8) -> Option<WatchdogAction> {
    ACTIONS.get(usize::from(number)).copied()
}

fn use_number(timer_use: WatchdogUse) -> u8 {
    (0..).zip(USES).find(|(_, known)| *known == timer_use).map_or(0, |(number, _)| number)
}

fn action_number(action: WatchdogAction) -> u8 {
    (0..).zip(ACTIONS).find(|(_, known)| *known == action).map_or(0, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::app::tests::{answer, bench};

    #[tokio::test]
    async fn what_linux_and_ipmitool_set_reads_back() {
        let (bench, ..) = bench();
        assert_eq!(bench.send(0x22, &[]).await, Err(NOT_INITIALIZED));
        // ipmi_watchdog at load: SMS/OS, no action, 30 s.
        assert_eq!(bench.send(0x24, &hex!("04 00 00 00 2c 01")).await, answer(&[]));
        let golden = answer(&hex!("04 00 00 00 2c 01 2c 01"));
        assert_eq!(bench.send(0x25, &[]).await, golden);
        // At open: keep running if it runs, hard reset.
        assert_eq!(bench.send(0x24, &hex!("44 01 00 00 2c 01")).await, answer(&[]));
        assert_eq!(bench.send(0x22, &[]).await, answer(&[]));
        assert_eq!(bench.platform.state().watchdog_resets, 1);
        let golden = answer(&hex!("44 01 00 00 2c 01 2c 01"));
        assert_eq!(bench.send(0x25, &[]).await, golden);
        // Still running after a second set-up that says so; stopped by one that does not.
        assert_eq!(bench.send(0x24, &hex!("44 01 00 00 58 02")).await, answer(&[]));
        assert!(bench.platform.state().watchdog.settings.running);
        assert_eq!(bench.send(0x24, &hex!("84 00 00 00 58 02")).await, answer(&[]));
        assert!(!bench.platform.state().watchdog.settings.running);
        let golden = answer(&hex!("84 00 00 00 58 02 58 02"));
        assert_eq!(bench.send(0x25, &[]).await, golden);
    }

    #[tokio::test]
    async fn expiry_shows_until_the_host_clears_it() {
        let (bench, ..) = bench();
        bench.platform.state().watchdog.expired_use = WatchdogUse::SMSOS;
        assert_eq!(bench.send(0x25, &[]).await.unwrap()[3], 0x10);
        assert_eq!(bench.send(0x24, &hex!("04 00 00 10 2c 01")).await, answer(&[]));
        assert_eq!(bench.send(0x25, &[]).await.unwrap()[3], 0x00);
    }

    #[tokio::test(start_paused = true)]
    async fn pre_timeout_interrupt_comes_before_the_end_and_moves_with_each_reset() {
        let (bench, ..) = bench();
        // SMS/OS, NMI 10 s before the end, 30 s.
        assert_eq!(bench.send(0x24, &hex!("04 20 0a 00 2c 01")).await, answer(&[]));
        assert_eq!(bench.send(0x22, &[]).await, answer(&[]));
        time::sleep(Duration::from_secs(15)).await;
        assert_eq!(bench.send(0x22, &[]).await, answer(&[]));
        time::sleep(Duration::from_secs(19)).await;
        assert_eq!(bench.platform.state().nmi_pulses, 0);
        time::sleep(Duration::from_secs(2)).await;
        assert_eq!(bench.platform.state().nmi_pulses, 1);
    }

    #[tokio::test]
    async fn what_is_no_use_action_or_interrupt_is_refused() {
        let (bench, ..) = bench();
        for request in [
            hex!("06 00 00 00 2c 01"), // use
            hex!("04 04 00 00 2c 01"), // action
            hex!("04 10 00 00 2c 01"), // SMI: no platform has it
            hex!("04 20 0a 00 0a 00"), // 10 s before the end of 1 s
            hex!("0c 00 00 00 2c 01"), // reserved bit
        ] {
            let refused = Err(CompletionCode::INVALID_DATA_FIELD);
            assert_eq!(bench.send(0x24, &request).await, refused, "{request:02x?}");
        }
    }
}
