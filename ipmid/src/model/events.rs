//! Handling of event messages (IPMI v2.0 §22.1, §22.8, §29.3): they are added to the SEL and to the host's event
//! message buffer, as BMC Global Enables allow.
//!
//! Sensors, services, the host and satellites send events. A record that a client adds with Add SEL Entry is not an
//! event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use durable::Folder;
use ipmi_proto::sel::{Event, GeneratorId, SelBody, SelRecord, SelRecordId};

use crate::model::message_queue::Messages;
use crate::model::sel::SelStore;
use crate::model::{Clock, StoreError};

/// Record id of an event that is not logged, in the event message buffer.
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

/// Where an event message was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The host's system interface.
    Host,
    /// The BMC itself, a satellite or a console.
    Other,
}

/// State of the host's system interface.
#[derive(Clone, Debug, Default)]
pub struct HostSide {
    /// Its message queue, event message buffer and message flags.
    pub messages: Arc<Messages>,
    /// Interrupts, event buffer and logging.
    pub enables: Arc<GlobalEnables>,
}

/// Logs event messages and buffers them for the host.
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

    /// Logs and buffers `event` of `generator`. Returns its record id, `None` if logging is off.
    ///
    /// An event of the host itself is logged even then (IPMI v2.0 §22.1).
    ///
    /// # Errors
    ///
    /// Those of [`SelStore::add`]: the event is not in the log; it is in the buffer nevertheless.
    pub async fn handle(
        &self,
        source: Source,
        generator: GeneratorId,
        event: Event,
    ) -> Result<Option<SelRecordId>, StoreError> {
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

    /// A SEL of ten records, with the handler of its events.
    pub(crate) struct TestLog {
        pub(crate) sel: Arc<SelStore<Folder>>,
        host: HostSide,
        pub(crate) events: Arc<Events>,
        /// The folder of the log, deleted when this is dropped.
        pub(crate) state: tempfile::TempDir,
    }

    impl TestLog {
        pub(crate) fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            let folder = Folder::create(&state.path().join("state"), Modes::PRIVATE).unwrap();
            let sel = Arc::new(SelStore::open(folder, 10));
            let host = HostSide::default();
            let clock = Arc::new(Clock::new(Persistent::volatile()));
            let events = Arc::new(Events::new(Arc::clone(&sel), clock, host.clone()));
            Self { sel, host, events, state }
        }

        async fn handle(&self, source: Source) -> Option<u16> {
            let event = Event::from_bytes(hex!("04 01 30 01 59 66 64"));
            let handled = self.events.handle(source, GeneratorId::BMC, event).await;
            handled.unwrap().map(SelRecordId::value)
        }
    }

    #[tokio::test]
    async fn buffered_event_equals_the_logged_record() {
        let log = TestLog::new();
        assert_eq!(log.handle(Source::Other).await, Some(1));
        assert_eq!(log.host.messages.flags(), 0, "the buffer is off by default");
        log.host.enables.set(0x0d);
        assert_eq!(log.handle(Source::Other).await, Some(2));
        assert_eq!(log.host.messages.flags(), flag::EVENT_BUFFER_FULL);
        let buffered = log.host.messages.take_event().unwrap();
        assert_eq!(buffered, log.sel.get(2).unwrap().0.to_bytes());
        assert_eq!(buffered[..3], hex!("0200 02"));
        assert_eq!(buffered[7..], hex!("2000 04 01 30 01 59 66 64"));
    }

    #[tokio::test]
    async fn events_of_the_host_are_logged_even_if_logging_is_off() {
        let log = TestLog::new();
        log.host.enables.set(GlobalEnables::EVENT_BUFFER);
        assert_eq!(log.handle(Source::Other).await, None);
        assert_eq!(log.host.messages.take_event().unwrap()[..3], hex!("ffff 02"));
        assert_eq!(log.handle(Source::Host).await, Some(1));
        assert_eq!(log.sel.info().entries, 1);
    }
}
