//! Chassis Identify: the LED that shows which chassis is meant.
//!
//! When the LED goes off is stored, so that it does in time when this daemon is restarted meanwhile.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daemon::RateLimit;
use ipmi_proto::codec::Zero;
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use serde::{Deserialize, Serialize};
use tokio::task::{self, AbortHandle};
use tokio::time;
use tracing::warn;

use super::{ChassisProvider, Platform, lock};
use crate::platform::PlatformResult;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// How long the LED is on when no interval is given, in seconds (IPMI v2.0 §28.5).
const DEFAULT_INTERVAL: u8 = 15;

/// Time between two attempts to switch the LED off.
const RETRY: Duration = Duration::from_secs(1);
/// A failure that lasts is logged once a minute.
static STAYS_ON: RateLimit = RateLimit::new(1, Duration::from_secs(60));

/// When the LED goes off by itself.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentifyEnd {
    /// Seconds since 1970; 0 while it does not.
    off_at: u64,
}

impl IdentifyEnd {
    fn after(interval: Duration) -> Self {
        Self { off_at: (now() + interval).as_secs() }
    }

    /// How long the LED stays on; `None` where it does not go off by itself. At most the longest interval, since the
    /// clock may have been set back.
    fn remaining(self) -> Option<Duration> {
        let remaining = Duration::from_secs(self.off_at).saturating_sub(now());
        (self.off_at > 0).then(|| remaining.min(Duration::from_secs(u8::MAX.into())))
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The timer that will switch the LED off.
#[derive(Debug, Default)]
pub(super) struct Identify(Option<AbortHandle>);

impl Identify {
    /// Whether the LED goes off by itself.
    pub(super) fn is_timed(&self) -> bool {
        self.0.as_ref().is_some_and(|timer| !timer.is_finished())
    }

    fn replace(&mut self, timer: Option<AbortHandle>) {
        if let Some(old) = std::mem::replace(&mut self.0, timer) {
            old.abort();
        }
    }
}

impl<P: Platform> ChassisProvider<P> {
    pub(super) fn register_identify(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::Operator;
        let mut rows = table.rows(NetFn::CHASSIS, self).changing(Resource::IDENTIFY);
        rows.add(0x04, Operator, "Chassis Identify", Self::chassis_identify);
        // An interval that an earlier run of the daemon did not live to end.
        if let Some(remaining) = self.identify_end.get().remaining() {
            self.switch_off_after(remaining);
        }
    }

    /// Chassis Identify (IPMI v2.0 §28.5): on for so many seconds (15 when none are given, 0 for
    /// off), or until switched off when forced.
    async fn chassis_identify(
        self: Arc<Self>,
        _: Context,
        interval: Option<u8>,
        force: Option<(bool, Zero<7>)>,
    ) -> HandlerResult<()> {
        let forced = force.is_some_and(|(force, _)| force);
        let interval = Duration::from_secs(interval.unwrap_or(DEFAULT_INTERVAL).into());
        let _writer = self.identify_writer.lock().await;
        let timed = !forced && !interval.is_zero();
        // The end is stored before the LED is on, and deleted after it is off, so that a crash between the two leaves
        // no LED on.
        if timed {
            self.identify_end.update(|end| *end = IdentifyEnd::after(interval)).await?;
        }
        self.platform.set_identify(forced || timed).await?;
        if timed {
            self.switch_off_after(interval);
        } else {
            lock(&self.identify).replace(None);
            self.forget_identify_end().await?;
        }
        Ok(())
    }

    /// Replaces the LED's timer.
    fn switch_off_after(self: &Arc<Self>, interval: Duration) {
        let provider = Arc::clone(self);
        let off = async move {
            time::sleep(interval).await;
            // A request that sets the LED meanwhile ends this timer, and is not undone by it. Between two attempts
            // requests get the lock.
            while let Err(error) = provider.switch_off().await {
                if let Some(pass) = STAYS_ON.admit() {
                    let swallowed = pass.swallowed;
                    warn!(%error, swallowed, "the identify LED stays on; trying again");
                }
                time::sleep(RETRY).await;
            }
        };
        lock(&self.identify).replace(Some(task::spawn(off).abort_handle()));
    }

    /// Switches the LED off at the end of its interval.
    async fn switch_off(&self) -> PlatformResult<()> {
        let _writer = self.identify_writer.lock().await;
        self.platform.set_identify(false).await?;
        let _logged = self.forget_identify_end().await;
        Ok(())
    }

    async fn forget_identify_end(&self) -> Result<(), CompletionCode> {
        if self.identify_end.get().remaining().is_some() {
            self.identify_end.update(|end| *end = IdentifyEnd::default()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::chassis::tests::{TestCommands, answer};
    use crate::model::persistent::Persistent;
    use crate::platform::PlatformError;
    use crate::platform::fake::FakePlatform;
    use crate::request::command::{CommandTable, Priority};

    #[tokio::test(start_paused = true)]
    async fn led_goes_off_after_its_interval() {
        let commands = TestCommands::new();
        for (request, seconds) in [(&[][..], 15), (&[3], 3), (&[200, 0], 200)] {
            assert_eq!(commands.send(0x04, request).await, answer(&[]));
            time::sleep(Duration::from_millis(seconds * 1000 - 10)).await;
            assert!(commands.platform.state().identify, "{request:?}");
            time::sleep(Duration::from_millis(20)).await;
            assert!(!commands.platform.state().identify, "{request:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn led_goes_off_in_time_when_the_daemon_is_restarted() {
        let platform = Arc::new(FakePlatform::default());
        let end = Persistent::volatile();
        end.update(|end| *end = IdentifyEnd::after(Duration::from_secs(30))).await.unwrap();
        platform.state().identify = true;
        let (boot, updates) = (Persistent::volatile(), Arc::default());
        let provider = ChassisProvider::new(Arc::clone(&platform), boot, end, updates);
        provider.register(&mut CommandTable::default().at(Priority::BASE));
        time::sleep(Duration::from_secs(28)).await;
        assert!(platform.state().identify);
        time::sleep(Duration::from_secs(3)).await;
        assert!(!platform.state().identify);
        assert_eq!(provider.identify_end.get().remaining(), None);
    }

    #[test]
    fn led_is_on_for_the_longest_interval_at_most_when_the_clock_was_set_back() {
        let end = IdentifyEnd { off_at: u64::MAX };
        assert_eq!(end.remaining(), Some(Duration::from_secs(255)));
        assert_eq!(IdentifyEnd { off_at: 1 }.remaining(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_answered_while_the_timer_cannot_switch_the_led_off() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x04, &[1]).await, answer(&[]));
        commands.platform.state().error = Some(PlatformError::absent(&"no such service"));
        time::sleep(Duration::from_secs(5)).await;
        let absent = Err(CompletionCode::NOT_IN_PRESENT_STATE);
        assert_eq!(commands.send(0x04, &[0, 1]).await, absent);
        commands.platform.state().error = None;
        assert_eq!(commands.send(0x04, &[0, 1]).await, answer(&[]));
        time::sleep(Duration::from_secs(5)).await;
        assert!(commands.platform.state().identify, "forced since");
    }

    #[tokio::test(start_paused = true)]
    async fn forced_led_stays_on_until_switched_off() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x04, &[5]).await, answer(&[]));
        assert_eq!(commands.send(0x04, &[0, 1]).await, answer(&[]));
        time::sleep(Duration::from_secs(600)).await;
        assert!(commands.platform.state().identify);
        assert_eq!(commands.send(0x04, &[0]).await, answer(&[]));
        assert!(!commands.platform.state().identify);
    }
}
