//! What waits for the host's system management software (IPMI v2.0 §6.13, §22).
//!
//! The receive message queue, the event message buffer and the message flags. [`Messages::watch`] follows the
//! flags, for the host's attention flag (SMS_ATN), which is set while any message flag is. The host reads the
//! commands that services send to it from the event message buffer too, as with OpenBMC
//! (`systemintfcmds.cpp`).

use std::collections::VecDeque;
use std::sync::Mutex;

use ipmi_proto::ChannelNumber;
use tokio::sync::{oneshot, watch};

use crate::model::StoreError;
use crate::model::persistent::lock;

/// Messages that may wait. Bounds the memory for a host that does not fetch them.
const MAX_MESSAGES: usize = 64;
/// Commands to the host that may wait.
const MAX_HOST_COMMANDS: usize = 8;

/// One event, as the log has it (IPMI v2.0 §32.1).
pub type EventRecord = [u8; 16];

/// A message flag (IPMI v2.0 §22.4).
pub mod flag {
    /// A message is in the receive message queue.
    pub const RECEIVE_MESSAGE: u8 = 0x01;
    /// The event message buffer is full.
    pub const EVENT_BUFFER_FULL: u8 = 0x02;
    /// The watchdog's pre-timeout passed.
    pub const WATCHDOG_PRE_TIMEOUT: u8 = 0x08;
}

/// A message in the receive message queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The channel it came on.
    pub channel: ChannelNumber,
    /// The sender's privilege level; 0 on a session-less channel.
    pub privilege: u8,
    /// The message in the form of its channel's medium (IPMI v2.0 Table 22-10).
    pub data: Vec<u8>,
}

/// Message queue, event message buffer and message flags of the host.
#[derive(Debug)]
pub struct Messages {
    state: Mutex<State>,
    flags: watch::Sender<u8>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Message>,
    event: Option<EventRecord>,
    /// Commands of services to the host, each with the channel that reports that the host has read it.
    host_commands: VecDeque<(EventRecord, oneshot::Sender<()>)>,
    pre_timeout: bool,
}

impl State {
    fn flags(&self) -> u8 {
        let mut flags = 0;
        if !self.queue.is_empty() {
            flags |= flag::RECEIVE_MESSAGE;
        }
        if self.event.is_some() || !self.host_commands.is_empty() {
            flags |= flag::EVENT_BUFFER_FULL;
        }
        if self.pre_timeout {
            flags |= flag::WATCHDOG_PRE_TIMEOUT;
        }
        flags
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self { state: Mutex::default(), flags: watch::Sender::new(0) }
    }
}

impl Messages {
    /// Follows the message flags.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u8> {
        self.flags.subscribe()
    }

    /// The message flags.
    #[must_use]
    pub fn flags(&self) -> u8 {
        lock(&self.state).flags()
    }

    /// Clears the queue, buffer or flag of each bit in `flags` (Clear Message Flags, IPMI v2.0 §22.3).
    pub fn clear(&self, flags: u8) {
        self.change(|state| {
            if flags & flag::RECEIVE_MESSAGE != 0 {
                state.queue.clear();
            }
            if flags & flag::EVENT_BUFFER_FULL != 0 {
                state.event = None;
                state.host_commands.clear();
            }
            if flags & flag::WATCHDOG_PRE_TIMEOUT != 0 {
                state.pre_timeout = false;
            }
        });
    }

    /// Puts a message into the receive message queue.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] when it is full.
    pub fn receive(&self, message: Message) -> Result<(), StoreError> {
        self.change(|state| {
            if state.queue.len() >= MAX_MESSAGES {
                return Err(StoreError::Busy);
            }
            state.queue.push_back(message);
            Ok(())
        })
    }

    /// Takes the oldest message out of the queue.
    pub fn take(&self) -> Option<Message> {
        self.change(|state| state.queue.pop_front())
    }

    /// Puts an event into the event message buffer, unless one is in it (IPMI v2.0 §22.8: the first
    /// stays, the log has them all).
    pub fn offer_event(&self, event: EventRecord) {
        self.change(|state| {
            state.event.get_or_insert(event);
        });
    }

    /// Queues a command to the host as `record`, which the host reads before any event. The receiver completes once
    /// the host has read it, and fails when the host has cleared the buffer instead.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] when too many wait already.
    pub fn queue_host_command(
        &self,
        record: EventRecord,
    ) -> Result<oneshot::Receiver<()>, StoreError> {
        self.change(|state| {
            if state.host_commands.len() >= MAX_HOST_COMMANDS {
                return Err(StoreError::Busy);
            }
            let (read, is_read) = oneshot::channel();
            state.host_commands.push_back((record, read));
            Ok(is_read)
        })
    }

    /// Removes the commands to the host whose callers have stopped waiting.
    pub fn remove_abandoned(&self) {
        self.change(|state| state.host_commands.retain(|(_, read)| !read.is_closed()));
    }

    /// Takes the oldest command to the host, or else the event, out of the buffer.
    pub fn take_event(&self) -> Option<EventRecord> {
        self.change(|state| match state.host_commands.pop_front() {
            Some((record, read)) => {
                let _abandoned = read.send(());
                Some(record)
            }
            None => state.event.take(),
        })
    }

    /// The watchdog's pre-timeout passed, and its interrupt is the messaging interrupt.
    pub fn set_pre_timeout(&self) {
        self.change(|state| state.pre_timeout = true);
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = lock(&self.state);
        let result = change(&mut state);
        let flags = state.flags();
        // Published under the lock, so that two changes cannot be published in the wrong order.
        self.flags.send_if_modified(|published| {
            let changed = *published != flags;
            *published = flags;
            changed
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(byte: u8) -> Message {
        Message { channel: ChannelNumber::IPMB, privilege: 0, data: vec![byte] }
    }

    #[test]
    fn messages_come_out_in_their_order_and_the_flag_follows() {
        let messages = Messages::default();
        assert_eq!((messages.flags(), messages.take()), (0, None));
        messages.receive(message(1)).unwrap();
        messages.receive(message(2)).unwrap();
        assert_eq!(messages.flags(), flag::RECEIVE_MESSAGE);
        assert_eq!(messages.take(), Some(message(1)));
        assert_eq!(messages.flags(), flag::RECEIVE_MESSAGE);
        assert_eq!(messages.take(), Some(message(2)));
        assert_eq!(messages.flags(), 0);
    }

    #[test]
    fn queue_is_bounded() {
        let messages = Messages::default();
        for _ in 0..MAX_MESSAGES {
            messages.receive(message(1)).unwrap();
        }
        assert_eq!(messages.receive(message(2)), Err(StoreError::Busy));
        messages.clear(flag::RECEIVE_MESSAGE);
        assert_eq!(messages.flags(), 0);
        messages.receive(message(2)).unwrap();
    }

    #[test]
    fn commands_to_the_host_come_before_events_and_are_bounded() {
        let messages = Messages::default();
        messages.offer_event([1; 16]);
        let mut read: Vec<_> =
            (0..8).map(|n| messages.queue_host_command([n; 16]).unwrap()).collect();
        assert!(messages.queue_host_command([9; 16]).is_err());
        assert_eq!(messages.take_event(), Some([0; 16]));
        assert_eq!(read.remove(0).try_recv(), Ok(()));
        drop(read.remove(0));
        messages.remove_abandoned();
        assert_eq!(messages.take_event(), Some([2; 16]));
        // The host clears the buffer, and the event with it.
        messages.clear(flag::EVENT_BUFFER_FULL);
        assert_eq!((messages.flags(), messages.take_event()), (0, None));
        assert!(read.remove(1).try_recv().is_err());
        // The flag is cleared when the only command is removed.
        let last = messages.queue_host_command([3; 16]).unwrap();
        assert_eq!(messages.flags(), flag::EVENT_BUFFER_FULL);
        drop(last);
        messages.remove_abandoned();
        assert_eq!(messages.flags(), 0);
    }

    #[test]
    fn first_event_stays_until_it_is_read() {
        let messages = Messages::default();
        messages.offer_event([1; 16]);
        messages.offer_event([2; 16]);
        assert_eq!(messages.flags(), flag::EVENT_BUFFER_FULL);
        assert_eq!(messages.take_event(), Some([1; 16]));
        assert_eq!((messages.flags(), messages.take_event()), (0, None));
    }

    #[test]
    fn watchers_are_notified_of_changes_only() {
        let messages = Messages::default();
        let mut flags = messages.watch();
        messages.set_pre_timeout();
        assert!(flags.has_changed().unwrap());
        assert_eq!(*flags.borrow_and_update(), flag::WATCHDOG_PRE_TIMEOUT);
        messages.set_pre_timeout();
        assert!(!flags.has_changed().unwrap());
        messages.offer_event([1; 16]);
        assert_eq!(
            *flags.borrow_and_update(),
            flag::WATCHDOG_PRE_TIMEOUT | flag::EVENT_BUFFER_FULL
        );
        messages.clear(0xff);
        assert_eq!(*flags.borrow_and_update(), 0);
    }
}
