//! Events about the SEL itself: almost full, full, cleared (IPMI v2.0 Table 42-3, sensor
//! type 10h).

use std::convert::Infallible;
use std::sync::Arc;

use durable::Folder;
use tracing::warn;

use crate::model::events::{Events, Source};
use crate::model::live::Live;
use crate::model::sdr::OwnSource;
use crate::model::sel::{SelInfo, SelStore};

/// Event offset "log area reset/cleared".
const CLEARED: u8 = 2;
/// Unspecified event data.
const UNSPECIFIED: u8 = 0xff;

/// How full the log is, at the levels that have an event.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Level {
    /// Less than 90 % of the records are in use.
    Room,
    /// At least 90 % of the records are in use.
    AlmostFull,
    /// The next record replaces the oldest.
    Full,
}

impl Level {
    fn of(info: &SelInfo) -> Self {
        let capacity = info.entries + info.free;
        match info.free {
            0 => Self::Full,
            _ if info.entries * 10 >= capacity * 9 => Self::AlmostFull,
            _ => Self::Room,
        }
    }

    const fn offset(self) -> Option<u8> {
        match self {
            Self::Room => None,
            Self::AlmostFull => Some(5),
            Self::Full => Some(4),
        }
    }
}

/// The level that was last logged, `before`, lowered where the fill level in `info` allows it: only below 80 %, so that
/// single records that are added and deleted do not log an event each time.
fn lowered(before: Level, info: &SelInfo) -> Level {
    let capacity = info.entries + info.free;
    if info.entries * 10 < capacity * 8 { Level::Room } else { before }
}

/// Logs to `events`, which go to `sel`, when the log becomes almost full or full, and while `log_clears` when it was
/// cleared, as long as the daemon runs.
pub async fn watch(
    sel: &SelStore<Folder>,
    events: &Arc<Events>,
    log_clears: &Live<bool>,
) -> Infallible {
    let mut logged = Level::of(&sel.info());
    loop {
        tokio::select! {
            biased;
            () = sel.cleared() => if log_clears.get() { log_event(events, CLEARED).await },
            () = sel.changed() => {}
        }
        let info = sel.info();
        let (level, before) = (Level::of(&info), lowered(logged, &info));
        logged = level.max(before);
        if let Some(offset) = level.offset().filter(|_| level > before) {
            log_event(events, offset).await;
        }
    }
}

async fn log_event(events: &Arc<Events>, offset: u8) {
    let data = [offset, UNSPECIFIED, UNSPECIFIED];
    let (generator, event) = OwnSource::EventLog.event(data);
    if let Err(error) = events.handle(Source::Other, generator, event).await {
        warn!(%error, offset, "an event about the SEL is not logged: the SEL cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use ipmi_proto::sel::SelRecord;
    use tokio::task;

    use super::*;
    use crate::model::events::tests::TestLog;

    /// A watched log with room for ten records.
    struct Watched {
        log: TestLog,
        watch: task::JoinHandle<()>,
    }

    impl Watched {
        fn new(log_clears: bool) -> Self {
            let log = TestLog::new();
            let (sel, events) = (Arc::clone(&log.sel), Arc::clone(&log.events));
            let watch =
                tokio::spawn(
                    async move { match watch(&sel, &events, &log_clears.into()).await {} },
                );
            Self { log, watch }
        }

        /// Adds `count` records, each after the events of the one before are in the log.
        async fn add(&self, count: usize) {
            for _ in 0..count {
                let record = SelRecord::from_bytes(hex!("0000 e0 00000000 00000000 00000000 00"));
                self.log.sel.add(record, 1).await.unwrap();
                self.settle().await;
            }
        }

        /// Waits until the monitor is idle: it waits for nothing but the log's writer.
        async fn settle(&self) {
            for _ in 0..200 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }

        /// The offsets of the logged events, oldest first.
        fn logged(&self) -> Vec<u8> {
            let mut logged = Vec::new();
            let mut next = Some(0);
            while let Some((record, after)) = next.and_then(|id| self.log.sel.get(id)) {
                let bytes = record.to_bytes();
                if bytes[2] == 0x02 {
                    assert_eq!(bytes[7..13], hex!("2003 04 10 fe 6f"));
                    assert_eq!(bytes[14..], hex!("ff ff"));
                    logged.push(bytes[13]);
                }
                next = after;
            }
            logged
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.watch.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn almost_full_and_full_are_logged_once() {
        let watched = Watched::new(false);
        watched.settle().await;
        watched.add(8).await;
        assert_eq!(watched.logged(), [0_u8; 0]);
        // The ninth record is "almost full", whose event is the tenth: "full", whose event replaces the first record.
        watched.add(1).await;
        assert_eq!(watched.logged(), [5, 4]);
        watched.add(3).await;
        assert_eq!(watched.logged(), [5, 4]);
        watched.log.sel.clear(1, None).await.unwrap();
        watched.settle().await;
        assert_eq!(watched.log.sel.info().entries, 0);
        watched.add(9).await;
        assert_eq!(watched.logged(), [5, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn clearing_is_logged_if_configured() {
        let watched = Watched::new(true);
        watched.add(2).await;
        watched.log.sel.clear(1, None).await.unwrap();
        watched.settle().await;
        assert_eq!(watched.logged(), [2]);
        assert_eq!(watched.log.sel.info().entries, 1);
    }

    #[test]
    fn level_is_lowered_when_a_fifth_is_free() {
        let info = |entries| SelInfo {
            entries,
            free: 100 - entries,
            last_add: 0,
            last_erase: 0,
            overflow: false,
        };
        for (entries, level) in [(89, Level::Room), (90, Level::AlmostFull), (100, Level::Full)] {
            assert_eq!(Level::of(&info(entries)), level);
        }
        assert_eq!(lowered(Level::Full, &info(80)), Level::Full);
        assert_eq!(lowered(Level::Full, &info(79)), Level::Room);
    }
}
