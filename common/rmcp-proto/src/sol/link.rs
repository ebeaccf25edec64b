//! The two halves of a SOL connection's end: one packet under way out, the last one answered in.
//!
//! IPMI v2.0 §15.11: one packet is outstanding each way; a retried packet has the same number and its
//! characters; one that came before is acknowledged again, because the first acknowledgement may
//! have been lost. Neither half knows what the characters are.

use std::time::{Duration, Instant};

use super::Parameters;
use super::packet::{Ack, Control, Packet, Seq};

/// A packet further ahead than this is taken for a late copy of an earlier one. A console that gives up a
/// packet continues with the next number, so that a few may be missing.
const MAX_SKIPPED: u8 = 3;

/// Refusals are answered no faster than this: clients repeat a refused packet at once.
const REFUSAL_PACE: Duration = Duration::from_millis(250);

/// How often at most a packet is sent again after its retries have run out.
const PATIENT_INTERVAL: Duration = Duration::from_millis(250);

/// A peer that has used up all retries is taken for gone after so much silence, not earlier: with short
/// retry intervals a bad network may well lose as many in a row.
const SILENCE: Duration = Duration::from_secs(5);

/// The sending half.
#[derive(Debug)]
pub(super) struct Sender<C> {
    next: Seq,
    outstanding: Option<OutstandingPacket<C>>,
    /// After a refusal, nothing new is sent before.
    not_before: Option<Instant>,
    retry_count: u8,
    retry_interval: Duration,
}

#[derive(Debug)]
struct OutstandingPacket<C> {
    seq: Seq,
    control: C,
    chars: Vec<u8>,
    retries_left: u8,
    exhausted: bool,
    due: Instant,
    /// When the peer was last heard, or else the packet first sent.
    quiet_since: Instant,
}

/// The peer's acknowledgement of the outstanding packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Acknowledged<C> {
    /// Characters that it accepted.
    pub(super) accepted: usize,
    /// Whether it refused the packet.
    pub(super) refused: bool,
    /// Whether the packet had no characters.
    pub(super) empty: bool,
    /// Operation or status of the packet.
    pub(super) control: C,
}

/// What is due after a retry time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Resend {
    /// Nothing is due.
    No,
    /// The packet is to be sent again.
    Again,
    /// The same, and the retries are used up: from now on it is sent at a slower pace.
    Exhausted,
    /// The same, and the peer has been silent for so long that it is considered gone.
    Gone,
}

impl<C: Control> Sender<C> {
    pub(super) fn new(parameters: &Parameters) -> Self {
        Self {
            next: Seq::FIRST,
            outstanding: None,
            not_before: None,
            retry_count: parameters.retry_count,
            retry_interval: parameters.retry_interval,
        }
    }

    /// Gives the next packet the number `seq`.
    pub(super) fn continue_from(&mut self, seq: Seq) {
        self.next = seq;
    }

    /// The number of the next packet.
    pub(super) fn next_seq(&self) -> Seq {
        self.next
    }

    /// Whether a new packet may be sent.
    pub(super) fn ready(&self, now: Instant) -> bool {
        self.outstanding.is_none() && self.not_before.is_none_or(|time| time <= now)
    }

    /// When a new packet may be sent, if a refusal put it off.
    pub(super) fn ready_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.outstanding.is_none())
    }

    /// Starts on a new packet.
    pub(super) fn start(&mut self, now: Instant, control: C, chars: Vec<u8>) {
        self.outstanding = Some(OutstandingPacket {
            seq: self.next,
            control,
            chars,
            retries_left: self.retry_count,
            exhausted: false,
            due: now + self.retry_interval,
            quiet_since: now,
        });
        self.next = self.next.next();
        self.not_before = None;
    }

    /// The packet under way, if any.
    pub(super) fn packet(&self) -> Option<Packet<'_, C>> {
        self.outstanding.as_ref().map(|packet| Packet {
            seq: Some(packet.seq),
            ack: None,
            control: packet.control,
            chars: &packet.chars,
        })
    }

    /// Whether the packet under way is to be sent again now.
    pub(super) fn resend(&mut self, now: Instant) -> Resend {
        let Some(packet) = self.outstanding.as_mut().filter(|packet| packet.due <= now) else {
            return Resend::No;
        };
        if let Some(left) = packet.retries_left.checked_sub(1) {
            packet.retries_left = left;
            packet.due = now + self.retry_interval;
            return Resend::Again;
        }
        packet.due = now + self.retry_interval.max(PATIENT_INTERVAL);
        let was_exhausted = std::mem::replace(&mut packet.exhausted, true);
        if now.saturating_duration_since(packet.quiet_since) >= SILENCE {
            return Resend::Gone;
        }
        if was_exhausted { Resend::Again } else { Resend::Exhausted }
    }

    /// The peer was heard: retries are counted anew, and a packet whose retries had run out is sent
    /// again at once.
    pub(super) fn peer_heard(&mut self, now: Instant) {
        let Some(packet) = &mut self.outstanding else {
            return;
        };
        packet.quiet_since = now;
        packet.retries_left = self.retry_count;
        if std::mem::take(&mut packet.exhausted) {
            packet.due = now;
        }
    }

    /// Handles the peer's acknowledgement of a packet; `None` if that is not the outstanding one.
    pub(super) fn handle_ack(
        &mut self,
        now: Instant,
        ack: Ack,
        refused: bool,
    ) -> Option<Acknowledged<C>> {
        let packet = self.outstanding.take_if(|packet| packet.seq == ack.seq)?;
        let accepted = usize::from(ack.accepted).min(packet.chars.len());
        if accepted == 0 && !packet.chars.is_empty() {
            self.hold(now);
        }
        let empty = packet.chars.is_empty();
        Some(Acknowledged { accepted, refused, empty, control: packet.control })
    }

    /// Sends nothing new for the time of a retry.
    pub(super) fn hold(&mut self, now: Instant) {
        self.not_before = Some(now + self.retry_interval);
    }

    /// Sets the retry parameters, from the next packet on.
    pub(super) fn set_retries(&mut self, parameters: &Parameters) {
        self.retry_count = parameters.retry_count;
        self.retry_interval = parameters.retry_interval;
    }

    /// Gives up the packet under way and any delay.
    pub(super) fn abandon(&mut self) {
        self.outstanding = None;
        self.not_before = None;
    }

    /// When [`resend`](Self::resend) must be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|packet| packet.due)
    }
}

/// The receiving half.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// The last packet accepted or refused, and the answer to it.
    last: Option<(Ack, bool)>,
    /// When the answer is to be sent, if it is owed.
    owed: Option<Instant>,
    last_refusal: Option<Instant>,
}

/// How a packet relates to those before, by its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrival {
    /// Not seen before.
    New,
    /// The one answered last.
    Again,
    /// A copy of an earlier one, whose answer is not waited for any more.
    Stale,
}

impl Receiver {
    /// Classifies a packet by its number; any number is right for the first one.
    pub(super) fn arrival(&self, seq: Seq) -> Arrival {
        match self.last.map(|(last, _)| seq.steps_after(last.seq)) {
            Some(0) => Arrival::Again,
            Some(steps) if steps > 1 + MAX_SKIPPED => Arrival::Stale,
            _ => Arrival::New,
        }
    }

    /// Notes the answer to a new packet.
    pub(super) fn answer(&mut self, now: Instant, ack: Ack, refused: bool) {
        self.last = Some((ack, refused));
        self.repeat(now);
    }

    /// The last packet came again: its answer is owed again.
    pub(super) fn repeat(&mut self, now: Instant) {
        let refused = self.last.is_some_and(|(_, refused)| refused);
        let earliest = self.last_refusal.filter(|_| refused).map(|time| time + REFUSAL_PACE);
        self.owed = Some(earliest.map_or(now, |time| time.max(now)));
    }

    /// The answer to be given now; it is not owed any more then.
    pub(super) fn take_owed(&mut self, now: Instant) -> Option<(Ack, bool)> {
        self.owed.take_if(|time| *time <= now)?;
        let (ack, refused) = self.last?;
        if refused {
            self.last_refusal = Some(now);
        }
        Some((ack, refused))
    }

    /// When an answer is owed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.owed
    }
}

/// The earlier of two times that may not be set.
pub(super) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::Operation;
    use super::super::testing::origin;
    use super::*;

    fn seq(value: u8) -> Seq {
        Seq::new(value).unwrap()
    }

    fn taken(value: u8) -> Receiver {
        let mut receiver = Receiver::default();
        receiver.answer(origin(), Ack { seq: seq(value), accepted: 0 }, false);
        receiver
    }

    #[test]
    fn numbers_a_little_ahead_are_new_and_others_stale() {
        let receiver = taken(14);
        assert_eq!(receiver.arrival(seq(14)), Arrival::Again);
        for ahead in [15, 1, 2, 3] {
            assert_eq!(receiver.arrival(seq(ahead)), Arrival::New, "{ahead}");
        }
        for behind in 4..14 {
            assert_eq!(receiver.arrival(seq(behind)), Arrival::Stale, "{behind}");
        }
        assert_eq!(Receiver::default().arrival(seq(9)), Arrival::New);
    }

    #[test]
    fn refusals_are_paced_and_acknowledgements_are_not() {
        let now = origin();
        let mut receiver = Receiver::default();
        receiver.answer(now, Ack { seq: seq(1), accepted: 0 }, true);
        assert!(receiver.take_owed(now).is_some());
        receiver.answer(now, Ack { seq: seq(2), accepted: 0 }, true);
        assert_eq!(receiver.take_owed(now), None);
        assert_eq!(receiver.due(), Some(now + REFUSAL_PACE));
        assert!(receiver.take_owed(now + REFUSAL_PACE).is_some());
        receiver.answer(now + REFUSAL_PACE, Ack { seq: seq(3), accepted: 1 }, false);
        assert!(receiver.take_owed(now + REFUSAL_PACE).is_some());
        assert!(receiver.take_owed(now + REFUSAL_PACE).is_none());
    }

    #[test]
    fn retries_run_out_into_patience_and_return_when_the_peer_is_heard() {
        let mut now = origin();
        let parameters = Parameters::from_wire(20, 1, 2, 10);
        let mut sender = Sender::new(&parameters);
        sender.start(now, Operation::NONE, b"x".to_vec());
        for expected in [Resend::Again, Resend::Again, Resend::Exhausted] {
            assert_eq!(sender.resend(now), Resend::No);
            now += parameters.retry_interval;
            assert_eq!(sender.resend(now), expected);
        }
        assert_eq!(sender.due(), Some(now + PATIENT_INTERVAL));
        now += PATIENT_INTERVAL;
        assert_eq!(sender.resend(now), Resend::Again);
        sender.peer_heard(now);
        assert_eq!(sender.resend(now), Resend::Again);
        assert_eq!(sender.due(), Some(now + parameters.retry_interval));
    }

    /// When the peer is taken for gone, in milliseconds, and how often the packet was sent until then.
    fn gone_after(retry_count: u8, retry_interval: u8, heard_at: Option<u64>) -> (u64, usize) {
        let start = origin();
        let mut sender = Sender::new(&Parameters::from_wire(20, 1, retry_count, retry_interval));
        sender.start(start, Operation::NONE, b"x".to_vec());
        let mut sent = 1;
        for time in 1..60_000 {
            let now = start + Duration::from_millis(time);
            if heard_at == Some(time) {
                sender.peer_heard(now);
            }
            match sender.resend(now) {
                Resend::No => {}
                Resend::Again | Resend::Exhausted => sent += 1,
                Resend::Gone => return (time, sent),
            }
        }
        panic!("never");
    }

    #[test]
    fn a_silent_peer_is_gone_when_its_retries_are_used_up_and_not_too_soon() {
        assert_eq!(gone_after(7, 100, None), (8_000, 8), "the default");
        assert_eq!(gone_after(7, 255, None), (20_400, 8));
        assert_eq!(gone_after(0, 1, None), (5_010, 21), "for lack of patience");
        let (time, _) = gone_after(7, 100, Some(7_500));
        assert_eq!(time, 15_000, "all retries anew");
    }

    #[test]
    fn a_peer_that_takes_nothing_is_not_asked_again_at_once() {
        let now = origin();
        let parameters = Parameters::default();
        let mut sender = Sender::new(&parameters);
        sender.start(now, Operation::NONE, b"xy".to_vec());
        assert_eq!(sender.handle_ack(now, Ack { seq: seq(2), accepted: 2 }, false), None);
        let answer = sender.handle_ack(now, Ack { seq: seq(1), accepted: 0 }, true).unwrap();
        assert!(answer.refused && !answer.empty);
        assert_eq!(answer.accepted, 0);
        assert!(!sender.ready(now));
        assert_eq!(sender.ready_at(), Some(now + parameters.retry_interval));
        assert!(sender.ready(now + parameters.retry_interval));
    }

    #[test]
    fn more_characters_than_sent_cannot_be_acknowledged() {
        let now = origin();
        let mut sender = Sender::new(&Parameters::default());
        sender.start(now, Operation::NONE, b"xy".to_vec());
        let answer = sender.handle_ack(now, Ack { seq: seq(1), accepted: 200 }, false).unwrap();
        assert_eq!(answer.accepted, 2);
    }
}
