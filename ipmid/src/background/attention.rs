//! The attention of the host's interfaces (SMS_ATN over KCS and BT, an alert over SSIF), which follows the host's
//! message flags (IPMI v2.0 §9.4, §11.6).

use daemon::Outage;
use tracing::{debug, warn};

use crate::model::message_queue::Messages;
use crate::platform::{Attention, PlatformError};

/// Sets and clears the attention of `channels` by the flags of `messages`, as long as the daemon runs: set while any
/// message flag is set, and set again for each further flag, because the host may have enabled the interrupt of that
/// flag only.
///
/// When a bridge starts, which `bridge_started` reports, a flag that is set is signalled again: our bridges ask
/// for the message flags when they start, OpenBMC's do not.
pub async fn follow_flags<P: Attention, F: Future<Output = ()>>(
    platform: &P,
    messages: &Messages,
    channels: &[String],
    bridge_started: impl Fn() -> F,
) {
    let mut watched = messages.watch();
    let mut signalled: Option<u8> = None;
    let outages: Vec<_> = channels.iter().map(|_| Outage::new()).collect();
    loop {
        let flags = *watched.borrow_and_update();
        let is_new = |before: u8| (flags == 0) != (before == 0) || flags & !before != 0;
        if signalled.is_none_or(is_new) {
            for (channel, outage) in channels.iter().zip(&outages) {
                match platform.set_attention(channel, flags != 0).await {
                    Ok(()) => drop(outage.end()),
                    Err(error) => log_failure(channel, flags, error, outage),
                }
            }
        }
        signalled = Some(flags);
        tokio::select! {
            changed = watched.changed() => if changed.is_err() { return },
            () = bridge_started() => signalled = signalled.filter(|&flags| flags == 0),
        }
    }
}

/// Logs that the bridge of `channel` does not set the attention. A bridge that does not run is no failure: its start is
/// followed.
fn log_failure(channel: &str, flags: u8, error: PlatformError, outage: &Outage<PlatformError>) {
    let text = "cannot set the bridge's attention flag; retrying at the next change";
    if error.is_absent() {
        debug!(%error, channel, flags, "{text}");
    } else if outage.begin_for(error.clone()) {
        warn!(%error, channel, flags, "{text}");
    }
}

#[cfg(test)]
mod tests {
    use std::mem;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time;

    use super::*;
    use crate::model::message_queue::flag;
    use crate::platform::PlatformResult;
    use crate::platform::fake::{CapturedLog, refusal};

    /// A bridge that records its attention flag, unless it is absent.
    #[derive(Debug, Default)]
    struct FakeBridge {
        attention: Mutex<Vec<(String, bool)>>,
        absent: Mutex<bool>,
    }

    impl FakeBridge {
        fn take(&self) -> Vec<(String, bool)> {
            mem::take(&mut *self.attention.lock().unwrap())
        }
    }

    impl Attention for FakeBridge {
        async fn set_attention(&self, channel: &str, on: bool) -> PlatformResult<()> {
            if *self.absent.lock().unwrap() {
                return Err(PlatformError::absent(&"no such service"));
            }
            self.attention.lock().unwrap().push((channel.to_owned(), on));
            Ok(())
        }
    }

    #[test]
    fn bridge_that_fails_is_logged_once_and_one_that_is_absent_is_not() {
        let log = CapturedLog::start();
        let outage = Outage::new();
        let absent = PlatformError::absent(&"no such service");
        for error in [absent, refusal(), refusal()] {
            log_failure("kcs0", 1, error, &outage);
        }
        let lines = log.take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("Get xyz.example.State.Power of /xyz/example/state"),
            "{lines:?}"
        );
    }

    async fn settle() {
        time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn attention_follows_the_flags_even_after_a_bridge_was_absent() {
        let (bridge, messages) = (Arc::<FakeBridge>::default(), Arc::<Messages>::default());
        let bridge_started = Arc::new(Notify::new());
        let follower = tokio::spawn({
            let (bridge, messages) = (Arc::clone(&bridge), Arc::clone(&messages));
            let started = Arc::clone(&bridge_started);
            async move {
                let channels = ["kcs0".to_owned()];
                follow_flags(&*bridge, &messages, &channels, || started.notified()).await;
            }
        });
        let set = |on| [("kcs0".to_owned(), on)];
        settle().await;
        assert_eq!(bridge.take(), set(false));
        bridge_started.notify_one();
        settle().await;
        assert_eq!(bridge.take(), []);
        messages.set_pre_timeout();
        settle().await;
        assert_eq!(bridge.take(), set(true));
        bridge_started.notify_one();
        settle().await;
        assert_eq!(bridge.take(), set(true));
        // Another flag may be one whose interrupt is on; a flag that is cleared is nothing new.
        messages.offer_event([7; 16]);
        settle().await;
        assert_eq!(bridge.take(), set(true));
        messages.take_event();
        settle().await;
        assert_eq!(bridge.take(), []);
        *bridge.absent.lock().unwrap() = true;
        messages.clear(flag::WATCHDOG_PRE_TIMEOUT);
        settle().await;
        *bridge.absent.lock().unwrap() = false;
        messages.offer_event([7; 16]);
        settle().await;
        assert_eq!(bridge.take(), set(true));
        follower.abort();
    }
}
