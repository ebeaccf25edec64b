//! Chassis Identify: the identify LED.

use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::codec::Ignored;
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use tokio::task::{self, AbortHandle};
use tokio::time;
use tracing::warn;

use super::{ChassisProvider, Platform, lock};
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// How long the LED is on when no interval is given, in seconds (IPMI v2.0 §28.5).
const DEFAULT_INTERVAL: u8 = 15;

/// The timer that switches the LED off.
#[derive(Debug, Default)]
pub(super) struct Identify(Option<AbortHandle>);

impl Identify {
    /// Whether the LED is to be switched off by a timer.
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
    }

    /// Chassis Identify (IPMI v2.0 §28.5): on for so many seconds (15 when none are given, 0 for
    /// off), or until the next request if forced.
    async fn chassis_identify(
        self: Arc<Self>,
        _: Context,
        interval: Option<u8>,
        force: Option<(bool, Ignored<7>)>,
    ) -> Result<(), CompletionCode> {
        let forced = force.is_some_and(|(force, _)| force);
        let interval = interval.unwrap_or(DEFAULT_INTERVAL);
        let _writer = self.identify_writer.lock().await;
        self.platform.set_identify(forced || interval > 0).await?;
        let timer = (!forced && interval > 0).then(|| {
            let provider = Arc::clone(&self);
            let off = async move {
                time::sleep(Duration::from_secs(interval.into())).await;
                // A later request aborts this timer, so that the timer does not undo it.
                let _writer = provider.identify_writer.lock().await;
                if let Err(error) = provider.platform.set_identify(false).await {
                    warn!(%error, "cannot switch the identify LED off; it stays on");
                }
            };
            task::spawn(off).abort_handle()
        });
        lock(&self.identify).replace(timer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::chassis::tests::{TestCommands, answer};

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
