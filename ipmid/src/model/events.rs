//! What becomes of an event message (IPMI v2.0 §22.1, §22.8, §29.3): it goes to the log and to the
//! host's event message buffer, each as the host's global enables have it.
//!
//! Events are what sensors, services, the host and satellites report. Records that a client adds to
//! the log are none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use durable::Folder;
use ipmi_proto::sel::{Event, GeneratorId, SelBody, SelRecord, SelRecordId};

use crate::model::Clock;
use crate::model::message_queue::Messages;
use crate::model::sel::{SelError, SelStore};

/// In place of the record id of an event that is not in the log.
const NOT_LOGGED: u16 = 0xffff;

/// BMC Global Enables (IPMI v2.0 §22.1): which interrupts, event buffer and logging are on.
#[derive(Debug)]
pub struct GlobalEnables(AtomicU8);

impl GlobalEnables {
    /// Receive message queue interrupt.
    pub const RECEIVE_QUEUE_INTERRUPT: u8 = 0x01;
    /// Event message buffer full interrupt.
    pub const EVENT_BUFFER_INTERRUPT: u8 = 0x02;
    /// Event message buffer.
    pub const EVENT_BUFFER: u8 = 0x04;
    /// System event logging.
    pub const SEL_LOGGING: u8 = 0x08;

    /// Whether `enable` is on.
    #[must_use]
    pub fn is_on(&self, enable: u8) -> bool {
        self.get() & enable != 0
    }

    /// All of them.
    #[must_use]
    pub fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces all of them.
    pub fn set(&self, enables: u8) {
        self.0.store(enables, Ordering::Relaxed);
    }
}

impl Default for GlobalEnables {
    /// After a reset: events are logged, nothing else is on.
    fn default() -> Self {
        Self(AtomicU8::new(Self::SEL_LOGGING))
    }
}

/// Who an event message came by way of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The host's system interface.
    Host,
    /// The BMC itself, a satellite or a console.
    Other,
}

/// What the host's software enables, and what waits for it.
#[derive(Clone, Debug, Default)]
pub struct HostSide {
    /// Its message queue, event message buffer and message flags.
    pub messages: Arc<Messages>,
    /// Interrupts, event buffer and logging.
    pub enables: Arc<GlobalEnables>,
}

/// Takes event messages.
#[derive(Debug)]
pub struct Events {
    sel: Arc<SelStore<Folder>>,
    clock: Arc<Clock>,
    host: HostSide,
}

impl Events {
    /// Events go to `sel`, stamped by `clock`, and to the host's buffer, by its enables.
    #[must_use]
    pub const fn new(sel: Arc<SelStore<Folder>>, clock: Arc<Clock>, host: HostSide) -> Self {
        Self { sel, clock, host }
    }

    /// Takes `event` of `generator`; gives its record's id, `None` where logging is off.
    ///
    /// What the host itself sends is logged even then (IPMI v2.0 §22.1).
    ///
    /// # Errors
    ///
    /// [`SelError`]: the event is not in the log; the buffer has it all the same.
    pub async fn take(
        &self,
        source: Source,
        generator: GeneratorId,
        event: Event,
    ) -> Result<Option<SelRecordId>, SelError> {
        let timestamp = self.clock.now();
        let body = SelBody::System { timestamp, generator, event };
        let HostSide { messages, enables } = &self.host;
        let logged = source == Source::Host || enables.is_on(GlobalEnables::SEL_LOGGING);
        let added = if logged {
            let record = SelRecord { id: 0, body };
            self.sel.add(record, timestamp).await.map(Some)
        } else {
            Ok(None)
        };
        if enables.is_on(GlobalEnables::EVENT_BUFFER) {
            let id = added.ok().flatten().map_or(NOT_LOGGED, SelRecordId::value);
            messages.offer_event(SelRecord { id, body }.to_bytes());
        }
        added
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use durable::Modes;
    use hex_literal::hex;

    use super::*;
    use crate::model::message_queue::flag;
    use crate::model::persistent::Persistent;

    /// A log, and what takes events to it.
    pub(crate) struct Rig {
        pub(crate) sel: Arc<SelStore<Folder>>,
        host: HostSide,
        pub(crate) events: Arc<Events>,
        /// Where the log is, as long as this lives.
        pub(crate) state: tempfile::TempDir,
    }

    impl Rig {
        pub(crate) fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            let folder = Folder::create(&state.path().join("state"), Modes::PRIVATE).unwrap();
            let sel = Arc::new(SelStore::open(folder, 10));
            let host = HostSide::default();
            let clock = Arc::new(Clock::new(Persistent::volatile()));
            let events = Arc::new(Events::new(Arc::clone(&sel), clock, host.clone()));
            Self { sel, host, events, state }
        }

        async fn take(&self, source: Source) -> Option<u16> {
            let event = Event::from_bytes(hex!("04 01 30 01 59 66 64"));
            let taken = self.events.take(source, GeneratorId::BMC, event).await;
            taken.unwrap().map(SelRecordId::value)
        }
    }

    #[tokio::test]
    async fn event_is_logged_and_buffered_as_the_log_has_it() {
        let rig = Rig::new();
        assert_eq!(rig.take(Source::Other).await, Some(1));
        assert_eq!(rig.host.messages.flags(), 0, "no buffer until the host wants it");
        rig.host.enables.set(0x0d);
        assert_eq!(rig.take(Source::Other).await, Some(2));
        assert_eq!(rig.host.messages.flags(), flag::EVENT_BUFFER_FULL);
        let buffered = rig.host.messages.take_event().unwrap();
        assert_eq!(buffered, rig.sel.get(2).unwrap().0.to_bytes());
        assert_eq!(buffered[..3], hex!("0200 02"));
        assert_eq!(buffered[7..], hex!("2000 04 01 30 01 59 66 64"));
    }

    #[tokio::test]
    async fn logging_that_is_off_spares_what_the_host_sends() {
        let rig = Rig::new();
        rig.host.enables.set(GlobalEnables::EVENT_BUFFER);
        assert_eq!(rig.take(Source::Other).await, None);
        assert_eq!(rig.host.messages.take_event().unwrap()[..3], hex!("ffff 02"));
        assert_eq!(rig.take(Source::Host).await, Some(1));
        assert_eq!(rig.sel.info().entries, 1);
    }
}
