//! Events of firmware changes, of the BMC and of the host (IPMI v2.0 Table 42-3, sensor type 2Bh).

use std::convert::Infallible;
use std::sync::Arc;

use daemon::Outage;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::model::events::{Events, Source};
use crate::model::persistent::Persistent;
use crate::model::sdr::OwnSource;
use crate::platform::{Bmc, PlatformError, PlatformResult};

/// Event data 1: firmware change detected, with what has changed in event data 2.
const FIRMWARE_CHANGED: u8 = 0xc0 | 0x01;
/// Event data 2: the management controller's firmware revision; system firmware.
const CONTROLLER: u8 = 0x02;
const HOST: u8 = 0x09;
/// Unspecified event data.
const UNSPECIFIED: u8 = 0xff;

/// The versions seen last; empty before the first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Versions {
    bmc: String,
    host: String,
}

/// Logs to `events` when the firmware of `platform` differs from the versions in `seen`, as long as the daemon runs.
pub async fn watch(
    platform: &impl Bmc,
    events: &Arc<Events>,
    seen: &Persistent<Versions>,
) -> Infallible {
    let unread = [Outage::new(), Outage::new()];
    loop {
        let before = seen.get();
        let [bmc, host] = &unread;
        let now = Versions {
            bmc: or_before(platform.firmware_version().await, &before.bmc, bmc),
            host: or_before(platform.host_firmware_version().await, &before.host, host),
        };
        // Saved before it is logged: a restart in between may lose an event, and never logs one twice.
        let is_saved = now == before || seen.update(|seen| *seen = now.clone()).await.is_ok();
        for (what, before, now) in
            [(CONTROLLER, &before.bmc, &now.bmc), (HOST, &before.host, &now.host)]
        {
            if is_saved && !before.is_empty() && before != now {
                log_change(events, what).await;
            }
        }
        platform.firmware_may_have_changed().await;
    }
}

/// The version now, or the one before when it cannot be read, which is logged once unless there is no such service.
fn or_before(now: PlatformResult<String>, before: &str, unread: &Outage<PlatformError>) -> String {
    match now {
        Ok(version) => {
            unread.end();
            version
        }
        Err(error) => {
            if !error.is_absent() && unread.begin_for(error.clone()) {
                warn!(%error, "cannot read a firmware version; a change of it is not logged in the SEL");
            }
            before.to_owned()
        }
    }
}

async fn log_change(events: &Arc<Events>, what: u8) {
    let data = [FIRMWARE_CHANGED, what, UNSPECIFIED];
    let (generator, event) = OwnSource::Version.event(data);
    if let Err(error) = events.handle(Source::Other, generator, event).await {
        warn!(%error, what, "a firmware change is not logged: the SEL cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hex_literal::hex;

    use super::*;
    use crate::model::events::tests::TestLog;
    use crate::platform::fake::{CapturedLog, FakePlatform, refusal};

    #[tokio::test(start_paused = true)]
    async fn firmware_change_is_logged_once() {
        let (platform, log) = (Arc::new(FakePlatform::default()), TestLog::new());
        let seen = Arc::new(Persistent::volatile());
        let (of, events, versions) =
            (Arc::clone(&platform), Arc::clone(&log.events), Arc::clone(&seen));
        let watching = tokio::spawn(async move { watch(&*of, &events, &versions).await });
        let settle = || tokio::time::sleep(Duration::from_secs(1));
        settle().await;
        assert_eq!(log.sel.info().entries, 0, "seen for the first time");
        platform.state().host_firmware = "host-1.3".to_owned();
        for _ in 0..2 {
            platform.change_firmware();
            settle().await;
        }
        assert_eq!(log.sel.info().entries, 1);
        let record = log.sel.get(1).unwrap().0.to_bytes();
        assert_eq!(record[7..], hex!("2000 04 2b 00 6f c1 09 ff"));
        // An absent service is no change.
        platform.state().error = Some(PlatformError::absent(&"no such service"));
        platform.change_firmware();
        settle().await;
        platform.state().error = None;
        platform.change_firmware();
        settle().await;
        assert_eq!(log.sel.info().entries, 1);
        assert_eq!(seen.get().host, "host-1.3");
        watching.abort();
    }

    #[test]
    fn failed_read_is_logged_once_and_an_absent_service_is_not() {
        let (log, unread) = (CapturedLog::start(), Outage::new());
        let absent = PlatformError::absent(&"no such service");
        for error in [absent, refusal(), refusal()] {
            assert_eq!(or_before(Err(error), "1.0", &unread), "1.0");
        }
        let lines = log.take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("Get xyz.example.State.Power of /xyz/example/state"),
            "{lines:?}"
        );
        assert_eq!(or_before(Ok("1.1".to_owned()), "1.0", &unread), "1.1");
        or_before(Err(refusal()), "1.1", &unread);
        assert_eq!(log.take().len(), 1, "after a success");
    }

    #[tokio::test(start_paused = true)]
    async fn firmware_change_before_the_start_is_logged() {
        let (platform, log) = (FakePlatform::default(), TestLog::new());
        let seen = Persistent::volatile();
        let old = Versions { bmc: "2.13.0".to_owned(), host: String::new() };
        seen.update(|seen| *seen = old).await.unwrap();
        let watching = watch(&platform, &log.events, &seen);
        let limit = tokio::time::timeout(Duration::from_secs(1), watching);
        assert!(limit.await.is_err());
        assert_eq!(log.sel.info().entries, 1);
        let record = log.sel.get(1).unwrap().0.to_bytes();
        assert_eq!(record[7..], hex!("2000 04 2b 00 6f c1 02 ff"));
    }
}
