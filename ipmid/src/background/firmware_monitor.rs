//! Events of firmware that has become another: the BMC's, the host's (IPMI v2.0 Table 42-3, sensor type 2Bh).

use std::convert::Infallible;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::model::events::{Events, Source};
use crate::model::persistent::Persistent;
use crate::model::sdr::OwnSource;
use crate::platform::Bmc;

/// Event data 1: firmware change detected, with what has changed in event data 2.
const FIRMWARE_CHANGED: u8 = 0xc0 | 0x01;
/// Event data 2: the management controller's firmware revision; system firmware.
const CONTROLLER: u8 = 0x02;
const HOST: u8 = 0x09;
/// Event data that tells nothing.
const UNSPECIFIED: u8 = 0xff;

/// The versions that were seen last; empty for none yet.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Versions {
    bmc: String,
    host: String,
}

/// Tells `events` when the firmware of `platform` is another than what `kept` has, for as long as the daemon
/// lives.
pub async fn watch(
    platform: &impl Bmc,
    events: &Arc<Events>,
    kept: &Persistent<Versions>,
) -> Infallible {
    loop {
        let before = kept.get();
        let now = Versions {
            bmc: or_before(platform.firmware_version().await.ok(), &before.bmc),
            host: or_before(platform.host_firmware_version().await.ok(), &before.host),
        };
        // Kept first: a change is told once, whatever happens meanwhile.
        let is_kept = now == before || kept.update(|kept| *kept = now.clone()).await.is_ok();
        for (what, before, now) in
            [(CONTROLLER, &before.bmc, &now.bmc), (HOST, &before.host, &now.host)]
        {
            if is_kept && !before.is_empty() && before != now {
                tell(events, what).await;
            }
        }
        platform.firmware_may_have_changed().await;
    }
}

/// What could not be asked is as it was.
fn or_before(now: Option<String>, before: &str) -> String {
    now.unwrap_or_else(|| before.to_owned())
}

async fn tell(events: &Arc<Events>, what: u8) {
    let data = [FIRMWARE_CHANGED, what, UNSPECIFIED];
    let (generator, event) = OwnSource::Version.event(data);
    if let Err(error) = events.take(Source::Other, generator, event).await {
        warn!(%error, what, "it is not logged that firmware has changed");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hex_literal::hex;

    use super::*;
    use crate::model::events::tests::Rig;
    use crate::platform::PlatformError;
    use crate::platform::fake::FakePlatform;

    #[tokio::test(start_paused = true)]
    async fn firmware_that_changed_is_told_once() {
        let (platform, rig) = (Arc::new(FakePlatform::default()), Rig::new());
        let kept = Arc::new(Persistent::volatile());
        let (of, events, versions) =
            (Arc::clone(&platform), Arc::clone(&rig.events), Arc::clone(&kept));
        let watching = tokio::spawn(async move { watch(&*of, &events, &versions).await });
        let settle = || tokio::time::sleep(Duration::from_secs(1));
        settle().await;
        assert_eq!(rig.sel.info().entries, 0, "seen for the first time");
        platform.state().host_firmware = "host-1.3".to_owned();
        for _ in 0..2 {
            platform.change_firmware();
            settle().await;
        }
        assert_eq!(rig.sel.info().entries, 1);
        let record = rig.sel.get(1).unwrap().0.to_bytes();
        assert_eq!(record[7..], hex!("2000 04 2b 00 6f c1 09 ff"));
        // A service that is away has changed nothing.
        platform.state().error = Some(PlatformError::Absent);
        platform.change_firmware();
        settle().await;
        platform.state().error = None;
        platform.change_firmware();
        settle().await;
        assert_eq!(rig.sel.info().entries, 1);
        assert_eq!(kept.get().host, "host-1.3");
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_with_other_firmware_is_told() {
        let (platform, rig) = (FakePlatform::default(), Rig::new());
        let kept = Persistent::volatile();
        let old = Versions { bmc: "2.13.0".to_owned(), host: String::new() };
        kept.update(|kept| *kept = old).await.unwrap();
        let watching = watch(&platform, &rig.events, &kept);
        let limit = tokio::time::timeout(Duration::from_secs(1), watching);
        assert!(limit.await.is_err());
        assert_eq!(rig.sel.info().entries, 1);
        let record = rig.sel.get(1).unwrap().0.to_bytes();
        assert_eq!(record[7..], hex!("2000 04 2b 00 6f c1 02 ff"));
    }
}
