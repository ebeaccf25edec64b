//! Events of the log itself: it is almost full, it is full, it was cleared (IPMI v2.0 Table 42-3, sensor
//! type 10h).

use std::convert::Infallible;
use std::sync::Arc;

use durable::Folder;
use tracing::warn;

use crate::model::events::{Events, Source};
use crate::model::sdr::OwnSource;
use crate::model::sel::{SelInfo, SelStore};

/// Offset of a log that was cleared.
const CLEARED: u8 = 2;
/// Event data that tells nothing.
const UNSPECIFIED: u8 = 0xff;

/// How full the log is, as far as it is told.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Level {
    /// There is room.
    Room,
    /// Nine records of ten are taken.
    AlmostFull,
    /// The next record takes the place of the oldest.
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

/// The level that was told when the log became what `info` says, after `before`. It falls only when two
/// records of ten are free again, so that single records that come and go are not told each time.
fn fallen(before: Level, info: &SelInfo) -> Level {
    let capacity = info.entries + info.free;
    if info.entries * 10 < capacity * 8 { Level::Room } else { before }
}

/// Tells `events`, which end in `sel`, how full it becomes, and whether it was cleared if that is wanted
/// (`tell_clears`), for as long as the daemon lives.
pub async fn watch(sel: &SelStore<Folder>, events: &Arc<Events>, tell_clears: bool) -> Infallible {
    let mut told = Level::of(&sel.info());
    loop {
        tokio::select! {
            biased;
            () = sel.cleared() => if tell_clears { tell(events, CLEARED).await },
            () = sel.changed() => {}
        }
        let info = sel.info();
        let (level, before) = (Level::of(&info), fallen(told, &info));
        told = level.max(before);
        if let Some(offset) = level.offset().filter(|_| level > before) {
            tell(events, offset).await;
        }
    }
}

async fn tell(events: &Arc<Events>, offset: u8) {
    let data = [offset, UNSPECIFIED, UNSPECIFIED];
    let (generator, event) = OwnSource::EventLog.event(data);
    if let Err(error) = events.take(Source::Other, generator, event).await {
        warn!(%error, offset, "an event of the log is lost");
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use ipmi_proto::sel::SelRecord;
    use tokio::task;

    use super::*;
    use crate::model::events::tests::Rig;

    /// A watched log with room for ten records.
    struct Watched {
        rig: Rig,
        watch: task::JoinHandle<()>,
    }

    impl Watched {
        fn new(tell_clears: bool) -> Self {
            let rig = Rig::new();
            let (sel, events) = (Arc::clone(&rig.sel), Arc::clone(&rig.events));
            let watch =
                tokio::spawn(async move { match watch(&sel, &events, tell_clears).await {} });
            Self { rig, watch }
        }

        /// Adds so many records, each once what the one before has led to is in the log.
        async fn add(&self, count: usize) {
            for _ in 0..count {
                let record = SelRecord::from_bytes(hex!("0000 e0 00000000 00000000 00000000 00"));
                self.rig.sel.add(record, 1).await.unwrap();
                self.settle().await;
            }
        }

        /// Waits until the watch has done what there was to do: it has nothing to wait for but the log's writer.
        async fn settle(&self) {
            for _ in 0..200 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }

        /// The offsets that were told, oldest first.
        fn told(&self) -> Vec<u8> {
            let mut told = Vec::new();
            let mut next = Some(0);
            while let Some((record, after)) = next.and_then(|id| self.rig.sel.get(id)) {
                let bytes = record.to_bytes();
                if bytes[2] == 0x02 {
                    assert_eq!(bytes[7..13], hex!("2003 04 10 fe 6f"));
                    assert_eq!(bytes[14..], hex!("ff ff"));
                    told.push(bytes[13]);
                }
                next = after;
            }
            told
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.watch.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn log_tells_that_it_is_almost_full_and_full_once() {
        let watched = Watched::new(false);
        watched.settle().await;
        watched.add(8).await;
        assert_eq!(watched.told(), [0_u8; 0]);
        // The ninth; that this is told is the tenth, and that of it takes the first one's place.
        watched.add(1).await;
        assert_eq!(watched.told(), [5, 4]);
        watched.add(3).await;
        assert_eq!(watched.told(), [5, 4]);
        watched.rig.sel.clear(1, None).await.unwrap();
        watched.settle().await;
        assert_eq!(watched.rig.sel.info().entries, 0);
        watched.add(9).await;
        assert_eq!(watched.told(), [5, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn clearing_is_told_where_it_is_wanted() {
        let watched = Watched::new(true);
        watched.add(2).await;
        watched.rig.sel.clear(1, None).await.unwrap();
        watched.settle().await;
        assert_eq!(watched.told(), [2]);
        assert_eq!(watched.rig.sel.info().entries, 1);
    }

    #[test]
    fn level_falls_when_a_fifth_is_free() {
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
        assert_eq!(fallen(Level::Full, &info(80)), Level::Full);
        assert_eq!(fallen(Level::Full, &info(79)), Level::Room);
    }
}
