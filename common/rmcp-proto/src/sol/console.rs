//! The remote console's end of one activated SOL payload.

use std::collections::VecDeque;
use std::time::Instant;

use super::input::Input;
use super::link::{Arrival, Receiver, Resend, Sender, earlier};
use super::packet::{Ack, HEADER_LEN, MAX_CHARS, Operation, Packet, Status, ToConsole, Truncated};
use super::{Lines, Parameters};

/// Characters that may wait to be sent.
const OUTGOING_LEN: usize = 4096;

/// The events of the remote console's end, in the order of the host's output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConsoleEvent {
    /// Output of the host.
    Chars(Vec<u8>),
    /// Output of the host was lost here.
    Overrun,
    /// The host sent a break.
    Break,
    /// Whether the host's console takes characters.
    Available(bool),
    /// Characters or a break were refused; they are sent again later.
    Refused,
    /// The BMC ended the payload.
    Deactivated,
    /// The BMC did not answer, and all retries are used up. The packet is still sent, at a slower pace.
    Unanswered,
}

/// The remote console's end of one activated SOL payload.
#[derive(Debug)]
pub struct Console {
    sender: Sender<Operation>,
    receiver: Receiver,
    outgoing: Input,
    /// The next packet begins with a break.
    breaks: bool,
    /// What the next packet asks for once.
    operation: Operation,
    lines: Lines,
    /// No packet has had the lines yet.
    lines_due: bool,
    max_chars: usize,
    room: usize,
    events: VecDeque<ConsoleEvent>,
    unavailable: bool,
    again: bool,
}

impl Console {
    /// A console whose packets have at most `parameters.max_chars` characters.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            sender: Sender::new(parameters),
            receiver: Receiver::default(),
            outgoing: Input::new(OUTGOING_LEN),
            breaks: false,
            operation: Operation::NONE,
            lines: Lines::default(),
            lines_due: false,
            max_chars: parameters.max_chars,
            room: usize::MAX,
            events: VecDeque::new(),
            unavailable: false,
            again: false,
        }
    }

    /// Queues characters for the host, as many as there is room for; returns how many.
    pub fn type_chars(&mut self, chars: &[u8]) -> usize {
        self.outgoing.push(chars)
    }

    /// Queues a break behind the characters; `false` if too many are queued already.
    pub fn type_break(&mut self) -> bool {
        self.outgoing.push_break()
    }

    /// Asks with the next packet that the BMC drop its output that is not sent yet.
    pub fn flush_outbound(&mut self) {
        self.operation = self.operation.with(Operation::FLUSH_OUTBOUND);
    }

    /// Asks with the next packet that the BMC drop the typed characters that still wait there.
    pub fn flush_inbound(&mut self) {
        self.operation = self.operation.with(Operation::FLUSH_INBOUND);
    }

    /// Drives the modem lines from the next packet on, which is sent for it.
    pub fn set_lines(&mut self, lines: Lines) {
        self.lines_due |= self.lines != lines;
        self.lines = lines;
    }

    /// Accepts at most so many further characters of the host's output.
    pub fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Whether everything typed has been acknowledged.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.outgoing.is_empty() && !self.breaks && self.sender.packet().is_none()
    }

    /// Handles one SOL payload from the BMC; afterwards drain all `poll_*`.
    ///
    /// # Errors
    ///
    /// [`Truncated`] for a payload shorter than a header, which has no other effect.
    pub fn handle_packet(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Truncated> {
        let packet = ToConsole::parse(bytes)?;
        let refused = packet.control.contains(Status::NACK);
        if let Some(acknowledged) =
            packet.ack.and_then(|ack| self.sender.handle_ack(now, ack, refused))
        {
            self.outgoing.consume(acknowledged.accepted);
            if acknowledged.refused {
                self.breaks |= acknowledged.control.contains(Operation::BREAK);
                self.sender.hold(now);
                self.events.push_back(ConsoleEvent::Refused);
            }
        }
        match packet.seq.map(|seq| (seq, self.receiver.arrival(seq))) {
            Some((_, Arrival::Stale)) | None => {}
            Some((_, Arrival::Again)) => self.receiver.repeat(now),
            Some((seq, Arrival::New)) => {
                let (accepted, refused) = self.accept(&packet);
                self.receiver.answer(now, Ack { seq, accepted }, refused);
            }
        }
        self.note_status(packet.control);
        self.sender.peer_heard(now);
        self.handle_timeout(now);
        Ok(())
    }

    /// Acts on the time that has passed; afterwards drain all `poll_*`.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.sender.resend(now) {
            Resend::No => {}
            Resend::Again | Resend::Gone => self.again = true,
            Resend::Exhausted => {
                self.again = true;
                self.events.push_back(ConsoleEvent::Unanswered);
            }
        }
    }

    /// The next packet to send, until `None`.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let sends = std::mem::take(&mut self.again) || self.start_packet(now);
        let owed = self.receiver.take_owed(now);
        if !sends && owed.is_none() {
            return None;
        }
        let operation = Operation::NONE
            .with_if(owed.is_some_and(|(_, refused)| refused), Operation::NACK)
            .with_if(self.lines.cts_hold, Operation::CTS_HOLD)
            .with_if(self.lines.dcd_dsr_dropped, Operation::DROP_DCD_DSR);
        let acknowledges = Packet { seq: None, ack: None, control: Operation::NONE, chars: &[] };
        let packet = self.sender.packet().filter(|_| sends).unwrap_or(acknowledges);
        let mut out = Vec::with_capacity(HEADER_LEN + packet.chars.len());
        let control = packet.control.with(operation);
        Packet { ack: owed.map(|(ack, _)| ack), control, ..packet }.emit(&mut out);
        Some(out)
    }

    /// The next event, until `None`.
    pub fn poll_event(&mut self) -> Option<ConsoleEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and drain `poll_*` at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.breaks || self.lines_due || !self.outgoing.is_empty();
        earlier(
            earlier(self.sender.due(), self.receiver.due()),
            self.sender.ready_at().filter(|_| waiting),
        )
    }

    /// Accepts what it can of a new packet: how many characters, and whether it is refused.
    fn accept(&mut self, packet: &ToConsole<'_>) -> (u8, bool) {
        let len = packet.chars.len().min(self.room).min(MAX_CHARS);
        if len == 0 && !packet.chars.is_empty() {
            return (0, true);
        }
        if packet.control.contains(Status::OVERRUN) {
            self.events.push_back(ConsoleEvent::Overrun);
        }
        if packet.control.contains(Status::BREAK_DETECTED) {
            self.events.push_back(ConsoleEvent::Break);
        }
        if len > 0 {
            self.room -= len;
            let chars = packet.chars.get(..len).unwrap_or(packet.chars);
            self.events.push_back(ConsoleEvent::Chars(chars.to_vec()));
        }
        (u8::try_from(len).unwrap_or(u8::MAX), false)
    }

    fn note_status(&mut self, status: Status) {
        let unavailable = status.contains(Status::UNAVAILABLE);
        if unavailable != self.unavailable {
            self.unavailable = unavailable;
            self.events.push_back(ConsoleEvent::Available(!unavailable));
        }
        if status.contains(Status::DEACTIVATED) {
            self.events.push_back(ConsoleEvent::Deactivated);
        }
    }

    /// Starts on a packet, if there is anything to send.
    fn start_packet(&mut self, now: Instant) -> bool {
        let breaks = self.breaks || self.outgoing.take_break();
        let chars = self.outgoing.chars();
        let asks = breaks || self.lines_due || self.operation != Operation::NONE;
        if !self.sender.ready(now) || !asks && chars.is_empty() {
            self.breaks = breaks;
            return false;
        }
        let chars = chars.get(..self.max_chars).unwrap_or(chars).to_vec();
        self.breaks = false;
        self.lines_due = false;
        let operation = std::mem::take(&mut self.operation).with_if(breaks, Operation::BREAK);
        self.sender.start(now, operation, chars);
        true
    }
}
