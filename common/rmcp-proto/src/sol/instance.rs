//! The BMC's end of one activated SOL payload.

use std::collections::VecDeque;
use std::time::Instant;

use super::input::Input;
use super::link::{Arrival, Receiver, Resend, Sender, earlier};
use super::packet::{Ack, HEADER_LEN, MAX_CHARS, Operation, Packet, Seq, Status, ToBmc, Truncated};
use super::{Parameters, Ring};

/// Typed characters that may be queued for the host.
const INPUT_LEN: usize = 1024;

/// Events that may wait to be polled; beyond that the oldest are dropped.
const EVENTS: usize = 16;

/// What an instance may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Reads and types.
    Writer,
    /// Reads; what it types is refused.
    Viewer,
}

/// The modem lines that the remote console drives. All are asserted at first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lines {
    /// CTS is deasserted: the host shall pause.
    pub cts_hold: bool,
    /// DCD and DSR are deasserted.
    pub dcd_dsr_dropped: bool,
}

/// The events of an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// The console changed the modem lines.
    Lines(Lines),
    /// The console asks for a ring indication.
    Ring,
    /// The console did not answer, and all retries are used up. The packet is still sent, at a slower pace.
    Unanswered,
    /// The same, and the console has been silent for so long that it is considered gone.
    Gone,
    /// The deactivation notice was acknowledged, or its retries are used up.
    Closed,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    /// To be closed: the notice is to be sent.
    Closing,
    /// The notice is under way.
    Noticed,
    Closed,
}

/// What an instance has counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Characters that the console has acknowledged.
    pub to_console: u64,
    /// Characters of the console that were queued for the host.
    pub from_console: u64,
    /// Packets that were sent again.
    pub retries: u64,
    /// Packets before which characters are missing, because the console was too slow.
    pub overruns: u64,
}

/// The BMC's end of one activated SOL payload.
///
/// Characters from the host are read from the [`Ring`] at the instance's own position. Those for the host are
/// queued in the instance ([`chars`](Self::chars), [`take_break`](Self::take_break)) until the host accepts
/// them; while it does not, packets are accepted in part or refused.
#[derive(Debug)]
pub struct Instance {
    role: Role,
    parameters: Parameters,
    state: State,
    sender: Sender<Status>,
    receiver: Receiver,
    input: Input,
    lines: Lines,
    events: VecDeque<Event>,
    /// Position in the ring of the first character that the console has not acknowledged.
    position: u64,
    /// Characters before `position` are missing.
    gap: bool,
    /// When the line last sent characters to the console.
    last_sent: Option<Instant>,
    /// The line has just become free: waiting characters go now.
    turn: bool,
    /// The packet under way is to be sent again.
    again: bool,
    flush: bool,
    unavailable: bool,
    break_detected: bool,
    /// A status change that no packet has reported yet.
    notice: bool,
    counts: Counts,
}

impl Instance {
    /// An instance that begins to read at `position`; with `gap`, characters before it are lost to every
    /// reader.
    #[must_use]
    pub fn new(role: Role, parameters: Parameters, position: u64, gap: bool) -> Self {
        Self {
            role,
            parameters,
            state: State::Open,
            sender: Sender::new(&parameters),
            receiver: Receiver::default(),
            input: Input::new(if role == Role::Writer { INPUT_LEN } else { 0 }),
            lines: Lines::default(),
            events: VecDeque::new(),
            position,
            gap,
            last_sent: None,
            turn: false,
            again: false,
            flush: false,
            unavailable: false,
            break_detected: false,
            notice: false,
            counts: Counts::default(),
        }
    }

    /// What was counted since this was last called.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Numbers the packets from `seq` on: a console that had an instance in the same session would take a
    /// packet with the number of the last one for a copy of it.
    pub fn continue_from(&mut self, seq: Seq) {
        self.sender.continue_from(seq);
    }

    /// The number that the next packet will have.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.sender.next_seq()
    }

    /// The role it was made with.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Position in the ring of the first character that the console has not acknowledged.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The lines as the console last set them.
    #[must_use]
    pub fn lines(&self) -> Lines {
        self.lines
    }

    /// Sets the parameters, from the next packet on.
    pub fn set_parameters(&mut self, parameters: Parameters) {
        self.parameters = parameters;
        self.sender.set_retries(&parameters);
    }

    /// Handles one SOL payload from the console; afterwards drain all `poll_*`.
    ///
    /// # Errors
    ///
    /// [`Truncated`] for a payload shorter than a header, which has no other effect.
    pub fn handle_packet(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Truncated> {
        let packet = ToBmc::parse(bytes)?;
        let refused = packet.control.contains(Operation::NACK);
        if let Some(acknowledged) =
            packet.ack.and_then(|ack| self.sender.handle_ack(now, ack, refused))
        {
            self.position += acknowledged.accepted as u64;
            self.counts.to_console += acknowledged.accepted as u64;
            self.turn = true;
            if acknowledged.accepted == 0 && !acknowledged.empty {
                self.gap |= acknowledged.control.contains(Status::OVERRUN);
                self.break_detected |= acknowledged.control.contains(Status::BREAK_DETECTED);
            }
            if self.state == State::Noticed {
                self.close();
            }
        }
        match packet.seq.map(|seq| (seq, self.receiver.arrival(seq))) {
            Some((_, Arrival::Stale)) => {}
            Some((_, Arrival::Again)) => self.receiver.repeat(now),
            Some((seq, Arrival::New)) => {
                let (accepted, refused) = self.accept(&packet);
                self.receiver.answer(now, Ack { seq, accepted }, refused);
            }
            // A late acknowledgement has an earlier state of the lines.
            None if packet.ack.is_none() || self.turn => self.operate(packet.control),
            None => {}
        }
        self.sender.peer_heard(now);
        self.handle_timeout(now);
        Ok(())
    }

    /// Sets whether the host can accept characters at all; the next packet reports it.
    pub fn set_available(&mut self, available: bool) {
        self.notice |= self.unavailable == available;
        self.unavailable = !available;
    }

    /// The host sent a break; the next packet reports it.
    pub fn handle_break(&mut self) {
        self.break_detected = true;
    }

    /// Ends the instance: a notice is sent to the console, with retries, and [`Event::Closed`] follows.
    pub fn deactivate(&mut self) {
        if self.state == State::Open {
            self.state = State::Closing;
            self.sender.abandon();
            self.again = false;
            self.input.clear();
        }
    }

    /// Acts on the time that has passed; afterwards drain all `poll_*`.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.sender.resend(now) {
            Resend::No => {}
            Resend::Exhausted | Resend::Gone if self.state == State::Noticed => self.close(),
            Resend::Exhausted => {
                self.again = true;
                self.push_event(Event::Unanswered);
            }
            Resend::Gone => self.push_event(Event::Gone),
            Resend::Again => self.again = true,
        }
    }

    /// The next packet to send, until `None`.
    pub fn poll_transmit(&mut self, now: Instant, ring: &Ring) -> Option<Vec<u8>> {
        if std::mem::take(&mut self.flush) {
            self.sender.abandon();
            self.again = false;
            self.gap = false;
            self.position = ring.head();
        }
        let sends = match self.state {
            State::Closed => return None,
            State::Closing => {
                self.sender.start(now, Status::DEACTIVATED, Vec::new());
                self.state = State::Noticed;
                true
            }
            State::Open | State::Noticed if std::mem::take(&mut self.again) => {
                self.counts.retries += 1;
                true
            }
            State::Open => self.start_packet(now, ring),
            State::Noticed => false,
        };
        let owed = self.receiver.take_owed(now);
        if !sends && owed.is_none() && !(self.notice && self.state == State::Open) {
            self.turn = false;
            return None;
        }
        Some(self.emit(sends, owed))
    }

    /// The next event, until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and drain `poll_*` at the latest.
    #[must_use]
    pub fn poll_timeout(&self, ring: &Ring) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        let waiting = self.state == State::Open
            && self.sender.packet().is_none()
            && ring.available(self.position) > 0;
        let accumulated = self
            .last_sent
            .filter(|_| waiting)
            .map(|time| time + self.parameters.accumulate)
            .max(self.sender.ready_at().filter(|_| waiting));
        earlier(earlier(self.sender.due(), self.receiver.due()), accumulated)
    }

    /// Whether characters or breaks for the host wait.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// The next characters for the host; empty if there are none or a break comes first.
    #[must_use]
    pub fn chars(&self) -> &[u8] {
        self.input.chars()
    }

    /// The source took `count` of the [`chars`](Self::chars).
    pub fn consume(&mut self, count: usize) {
        self.input.consume(count);
    }

    /// Removes a break for the host that comes before the next characters; whether there was one.
    pub fn take_break(&mut self) -> bool {
        self.input.take_break()
    }

    /// Accepts what it can of a new packet: how many characters, and whether it is refused.
    fn accept(&mut self, packet: &ToBmc<'_>) -> (u8, bool) {
        let breaks = packet.control.contains(Operation::BREAK);
        let able = self.state == State::Open && self.role == Role::Writer && !self.unavailable;
        self.operate(packet.control);
        let chars_fit = packet.chars.is_empty() || able && self.input.room() > 0;
        let break_fits = !breaks || able && self.input.has_break_room();
        if !chars_fit || !break_fits {
            return (0, true);
        }
        if breaks {
            self.input.push_break();
        }
        let chars = packet.chars.get(..MAX_CHARS).unwrap_or(packet.chars);
        let accepted = u8::try_from(self.input.push(chars)).unwrap_or(u8::MAX);
        self.counts.from_console += u64::from(accepted);
        (accepted, false)
    }

    /// Executes the operations of a packet other than its break.
    fn operate(&mut self, operation: Operation) {
        if self.role != Role::Writer || self.state != State::Open {
            return;
        }
        if operation.contains(Operation::FLUSH_INBOUND) {
            self.input.clear();
        }
        self.flush |= operation.contains(Operation::FLUSH_OUTBOUND);
        if operation.contains(Operation::RING) {
            self.push_event(Event::Ring);
        }
        let lines = Lines {
            cts_hold: operation.contains(Operation::CTS_HOLD),
            dcd_dsr_dropped: operation.contains(Operation::DROP_DCD_DSR),
        };
        if lines != self.lines {
            self.lines = lines;
            self.push_event(Event::Lines(lines));
        }
    }

    /// Starts on a packet, if it is time for one.
    fn start_packet(&mut self, now: Instant, ring: &Ring) -> bool {
        if !self.sender.ready(now) {
            return false;
        }
        if self.position < ring.tail() {
            self.position = ring.tail();
            self.gap = true;
        }
        let available = ring.available(self.position);
        let idle = self.last_sent.is_none_or(|time| time + self.parameters.accumulate <= now);
        let chars_due =
            available > 0 && (idle || self.turn || available >= self.parameters.threshold);
        if !chars_due && !self.break_detected {
            return false;
        }
        let mut chars = Vec::with_capacity(available.min(self.parameters.max_chars));
        ring.read(self.position, self.parameters.max_chars, &mut chars);
        let lost = !chars.is_empty() && (self.gap || ring.lost_before(self.position));
        self.gap &= chars.is_empty();
        self.counts.overruns += u64::from(lost);
        let status = Status::NONE
            .with_if(lost, Status::OVERRUN)
            .with_if(std::mem::take(&mut self.break_detected), Status::BREAK_DETECTED);
        self.sender.start(now, status, chars);
        self.last_sent = Some(now);
        true
    }

    fn emit(&mut self, sends: bool, owed: Option<(Ack, bool)>) -> Vec<u8> {
        let status = Status::NONE
            .with_if(owed.is_some_and(|(_, refused)| refused), Status::NACK)
            .with_if(self.unavailable, Status::UNAVAILABLE)
            .with_if(self.state != State::Open, Status::DEACTIVATED);
        self.notice = false;
        let informs = Packet { seq: None, ack: None, control: Status::NONE, chars: &[] };
        let packet = self.sender.packet().filter(|_| sends).unwrap_or(informs);
        let mut out = Vec::with_capacity(HEADER_LEN + packet.chars.len());
        Packet { ack: owed.map(|(ack, _)| ack), control: packet.control.with(status), ..packet }
            .emit(&mut out);
        out
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.sender.abandon();
        self.push_event(Event::Closed);
    }

    fn push_event(&mut self, event: Event) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

#[cfg(test)]
mod tests;
