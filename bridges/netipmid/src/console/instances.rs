//! The payload instances of the host's console: which session has which, and what they read and write.
//!
//! Without I/O, as the state machines in it: output of the host and packets of sessions come in, packets and
//! input for the host come out.

mod local_input;

use std::collections::VecDeque;
use std::time::Instant;

use ipmi_proto::Privilege;
use rmcp_proto::server::{Reason, SessionId};
use rmcp_proto::sol::{Counts, Event, Instance, Ring, Seq};
use rmcp_proto::wire::v20::Protection;
use tracing::{debug, info, warn};

use self::local_input::LocalInput;
use super::{ActivateError, Holder, HostInput, InstanceNumber, Outgoing, Settings, SolSection};

/// Ended instances whose notice to the session is under way; beyond that the oldest notice is dropped.
const MAX_CLOSING: usize = 8;

/// An instance, and the session that has it.
#[derive(Debug)]
struct ActiveInstance {
    holder: Holder,
    protection: Protection,
    /// As the response to the activation reported it.
    max_payload: u16,
    instance: Instance,
}

/// The payload instances of one console.
#[derive(Debug)]
pub struct PayloadInstances {
    ring: Ring,
    /// As many as there may be instances, or have been.
    slots: Vec<Option<ActiveInstance>>,
    capacity: usize,
    closing: VecDeque<ActiveInstance>,
    settings: Settings,
    scrollback: u64,
    max_payload: u16,
    /// Position up to which writers have had the output.
    shown: u64,
    /// Position from which on a writer that has gone had not acknowledged the output: the next one begins there.
    unread: Option<u64>,
    available: bool,
    local_input: LocalInput,
    /// Characters that were written to the host's console.
    input_len: u64,
}

impl PayloadInstances {
    /// No active instance, and no connection to the host's console yet.
    #[must_use]
    pub fn new(section: &SolSection, settings: Settings) -> Self {
        let mut instances = Self {
            ring: Ring::new(section.ring),
            slots: Vec::new(),
            capacity: 0,
            closing: VecDeque::new(),
            settings,
            scrollback: 0,
            max_payload: 0,
            shown: 0,
            unread: None,
            available: false,
            local_input: LocalInput::default(),
            input_len: 0,
        };
        instances.reconfigure(section);
        instances
    }

    /// Applies the section, but for the ring, to instances that are activated from now on.
    pub fn reconfigure(&mut self, section: &SolSection) {
        self.scrollback = section.scrollback as u64;
        self.max_payload = section.max_payload;
        self.capacity = 1 + usize::from(section.viewers);
        if self.slots.len() < self.capacity {
            self.slots.resize_with(self.capacity, || None);
        }
    }

    /// The settings as they are now.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sets the settings, which apply at once; disabling SOL ends all instances.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
        for slot in self.slots.iter_mut().flatten() {
            let max_payload = usize::from(slot.max_payload);
            slot.instance.set_parameters(settings.parameters.with_max_payload(max_payload));
        }
        if !settings.enable {
            self.retain(|_| false);
        }
    }

    /// Largest payload to a console.
    #[must_use]
    pub fn max_payload(&self) -> u16 {
        self.max_payload
    }

    /// How many instances can be active.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether there is an instance `number`: one that can be activated, or that was when there could be more.
    #[must_use]
    pub fn has(&self, number: InstanceNumber) -> bool {
        number.index() < self.capacity || self.slot(number).is_some()
    }

    /// The session that has instance `number`.
    #[must_use]
    pub fn holder(&self, number: InstanceNumber) -> Option<Holder> {
        self.slot(number).map(|slot| slot.holder)
    }

    /// Whether a session has an instance, or a notice that it lost one is under way.
    #[must_use]
    pub fn serves(&self, session: SessionId) -> bool {
        let mut slots = self.slots.iter().flatten().chain(&self.closing);
        slots.any(|slot| slot.holder.session == session)
    }

    /// The sessions that have an instance.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.slots.iter().flatten().map(|slot| slot.holder.session)
    }

    /// Gives instance `number` to `holder`, whose session gives up any other instance. Another session of the
    /// same user loses the instance, with a notice.
    ///
    /// # Errors
    ///
    /// [`ActivateError`]; nothing has changed then.
    pub fn activate(
        &mut self,
        number: InstanceNumber,
        holder: Holder,
        protection: Protection,
    ) -> Result<(), ActivateError> {
        if !self.has(number) {
            return Err(ActivateError::NoSuchInstance);
        }
        if self.holder(number).is_some_and(|old| old.user_id != holder.user_id) {
            return Err(ActivateError::HeldByOtherUser);
        }
        let next_seq = self.next_seq(holder.session);
        let old_position = self.release(number, Some(holder.session));
        let taken_over = old_position.is_some();
        let unread = self.unread.take_if(|_| number == InstanceNumber::WRITER);
        let old_position = old_position.or(unread);
        // Packets do not carry the instance number: a session has one instance, and has switched to this one.
        self.session_closed(holder.session);
        let parameters = self.settings.parameters.with_max_payload(usize::from(self.max_payload));
        let (position, gap) = self.start_position(number, old_position);
        let mut instance = Instance::new(number.role(), parameters, position, gap);
        instance.set_available(self.available);
        if let Some(seq) = next_seq {
            instance.continue_from(seq);
        }
        if let Some(slot) = self.slots.get_mut(number.index()) {
            let max_payload = self.max_payload;
            *slot = Some(ActiveInstance { holder, protection, max_payload, instance });
        }
        info!(
            instance = number.index() + 1,
            session = format_args!("{:08x}", holder.session.0),
            user = holder.user_id,
            taken_over,
            "SOL activated"
        );
        Ok(())
    }

    /// Ends instance `number`, with a notice to its session unless that is `by`; `false` if it was not active.
    pub fn deactivate(&mut self, number: InstanceNumber, by: SessionId) -> bool {
        self.release(number, Some(by)).is_some()
    }

    /// Ends the instance of a session that was closed.
    pub fn session_closed(&mut self, session: SessionId) {
        self.closing.retain(|slot| slot.holder.session != session);
        for index in 0..self.slots.len() {
            let held = self.slots.get(index).and_then(Option::as_ref);
            if held.is_some_and(|slot| slot.holder.session == session) {
                self.release_index(index, Some(session));
            }
        }
    }

    /// Ends all instances for whose holder `keep` is false, with a notice to the session.
    pub fn retain(&mut self, keep: impl Fn(Holder) -> bool) {
        for index in 0..self.slots.len() {
            let held = self.slots.get(index).and_then(Option::as_ref);
            if held.is_some_and(|slot| !keep(slot.holder)) {
                self.release_index(index, None);
            }
        }
    }

    /// How the packets of the session's instance `number` are protected; `None` if the session does not have it.
    #[must_use]
    pub fn protection(&self, number: InstanceNumber, session: SessionId) -> Option<Protection> {
        self.slot(number).filter(|slot| slot.holder.session == session).map(|slot| slot.protection)
    }

    /// Sets whether the packets of instance `number` are encrypted.
    pub fn set_encrypted(&mut self, number: InstanceNumber, encrypted: bool) {
        if let Some(slot) = self.slots.get_mut(number.index()).and_then(Option::as_mut) {
            slot.protection.encrypted = encrypted;
        }
    }

    /// Handles a SOL payload of `session`.
    ///
    /// # Errors
    ///
    /// Why it is dropped: it is not a SOL packet, has less protection than was agreed, or the session has no
    /// instance.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        session: SessionId,
        came: Protection,
        payload: &[u8],
    ) -> Result<(), Reason> {
        let slots = self.slots.iter_mut().flatten().chain(self.closing.iter_mut());
        let slot = slots
            .into_iter()
            .find(|slot| slot.holder.session == session)
            .ok_or(Reason::UnsupportedPayload)?;
        let agreed = slot.protection;
        if agreed.encrypted && !came.encrypted || agreed.authenticated && !came.authenticated {
            return Err(Reason::Unprotected);
        }
        let taken = slot.instance.handle_packet(now, payload);
        taken.map_err(|_| Reason::MalformedMessage)
    }

    /// What each active instance has counted since this was last called.
    pub fn take_counts(&mut self) -> impl Iterator<Item = Counts> + '_ {
        self.slots.iter_mut().flatten().map(|slot| slot.instance.take_counts())
    }

    /// Acts on the time that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for slot in self.slots.iter_mut().flatten().chain(self.closing.iter_mut()) {
            slot.instance.handle_timeout(now);
        }
    }

    /// The next packet to send, until `None`.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Outgoing> {
        let slots = self.slots.iter_mut().flatten().chain(self.closing.iter_mut());
        for slot in slots {
            if let Some(payload) = slot.instance.poll_transmit(now, &self.ring) {
                let ActiveInstance { holder, protection, .. } = *slot;
                return Some(Outgoing { session: holder.session, protection, payload });
            }
        }
        // A console that has gone gets a notice, in case it comes back.
        if self.end_gone() {
            return self.poll_transmit(now);
        }
        self.forget_closed();
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and drain
    /// [`poll_transmit`](Self::poll_transmit) at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let slots = self.slots.iter().flatten().chain(&self.closing);
        slots.filter_map(|slot| slot.instance.poll_timeout(&self.ring)).min()
    }

    /// How many bytes may be read from the host's console now: with a writer, no more than the ring can hold for it.
    #[must_use]
    pub fn room(&self) -> usize {
        match self.writer() {
            Some(slot) if slot.instance.lines().cts_hold => 0,
            Some(slot) => self.ring.room(slot.instance.position()),
            None => usize::MAX,
        }
    }

    /// Handles output of the host.
    pub fn handle_output(&mut self, bytes: &[u8]) {
        self.ring.write(bytes);
    }

    /// The host sent a break.
    pub fn handle_break(&mut self) {
        for slot in self.slots.iter_mut().flatten() {
            slot.instance.handle_break();
        }
    }

    /// Sets whether the host's console is connected. After a reconnection, output in between may be lost.
    pub fn set_available(&mut self, available: bool, may_have_lost: bool) {
        self.available = available;
        if may_have_lost {
            self.ring.mark_loss();
        }
        for slot in self.slots.iter_mut().flatten() {
            slot.instance.set_available(available);
        }
    }

    /// Whether the host's console is connected.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.available
    }

    /// The number of bytes of output so far.
    #[must_use]
    pub fn output_len(&self) -> u64 {
        self.ring.head()
    }

    /// The number of characters that were written to the host's console so far.
    #[must_use]
    pub fn input_len(&self) -> u64 {
        self.input_len
    }

    /// The position at which the scrollback begins.
    #[must_use]
    pub fn scrollback(&self) -> u64 {
        self.ring.head().saturating_sub(self.scrollback).max(self.ring.tail())
    }

    /// Appends to `out` up to `max` characters of output from `position` on; returns the position of the first. It is
    /// a later one where output was overwritten.
    pub fn read_output(&self, position: u64, max: usize, out: &mut Vec<u8>) -> u64 {
        let position = position.max(self.ring.tail());
        self.ring.read(position, max, out);
        position
    }

    /// The input of programs on the BMC.
    pub const fn local_input(&mut self) -> &mut LocalInput {
        &mut self.local_input
    }

    /// The active instances: number, holder, and protection.
    pub fn active(&self) -> impl Iterator<Item = (u8, Holder, Protection)> + '_ {
        let slots = (1..=u8::MAX).zip(&self.slots);
        slots.filter_map(|(number, slot)| {
            slot.as_ref().map(|slot| (number, slot.holder, slot.protection))
        })
    }

    /// Ends instance `number`, with a notice to its session; `false` if it was not active.
    pub fn release_by_operator(&mut self, number: InstanceNumber) -> bool {
        self.release(number, None).is_some()
    }

    /// Whether the writer or a program on the BMC has input for the host.
    #[must_use]
    pub fn has_input(&self) -> bool {
        let writer = self.writer().is_some_and(|slot| slot.instance.has_input());
        writer || !self.local_input.chars().is_empty()
    }

    /// The next input for the host: the writer's before that of programs on the BMC.
    pub fn host_input(&mut self) -> Option<HostInput<'_>> {
        if let Some(slot) = self.slots.first_mut().and_then(Option::as_mut) {
            if slot.instance.take_break() {
                return Some(HostInput::Break);
            }
            let chars = slot.instance.chars();
            if !chars.is_empty() {
                return Some(HostInput::Chars(chars));
            }
        }
        Some(self.local_input.chars()).filter(|chars| !chars.is_empty()).map(HostInput::Chars)
    }

    /// Removes `count` characters of what [`host_input`](Self::host_input) returned, which were written to the host's
    /// console.
    pub fn consume(&mut self, count: usize) {
        self.input_len = self.input_len.saturating_add(count as u64);
        match self.slots.first_mut().and_then(Option::as_mut) {
            Some(slot) if !slot.instance.chars().is_empty() => slot.instance.consume(count),
            _ => self.local_input.consume(count),
        }
    }

    /// Whether `privilege` is enough for SOL.
    #[must_use]
    pub fn permits(&self, privilege: Privilege) -> bool {
        privilege >= self.settings.privilege
    }

    /// The number of the next packet to a session that has an instance.
    fn next_seq(&self, session: SessionId) -> Option<Seq> {
        let mut slots = self.slots.iter().flatten();
        let slot = slots.find(|slot| slot.holder.session == session)?;
        Some(slot.instance.next_seq())
    }

    fn slot(&self, number: InstanceNumber) -> Option<&ActiveInstance> {
        self.slots.get(number.index())?.as_ref()
    }

    fn writer(&self) -> Option<&ActiveInstance> {
        self.slots.first()?.as_ref()
    }

    fn release(&mut self, number: InstanceNumber, by: Option<SessionId>) -> Option<u64> {
        self.release_index(number.index(), by)
    }

    /// Ends an instance; returns the position up to which it has read.
    fn release_index(&mut self, index: usize, by: Option<SessionId>) -> Option<u64> {
        let mut slot = self.slots.get_mut(index)?.take()?;
        let position = slot.instance.position();
        if index == InstanceNumber::WRITER.index() {
            self.shown = position;
        }
        if by != Some(slot.holder.session) {
            slot.instance.deactivate();
            if self.closing.len() == MAX_CLOSING {
                self.closing.pop_front();
            }
            self.closing.push_back(slot);
        }
        info!(instance = index + 1, "SOL deactivated");
        Some(position)
    }

    /// The position at which a new instance begins to read, and whether unread output before it is lost.
    fn start_position(&self, number: InstanceNumber, old_position: Option<u64>) -> (u64, bool) {
        let scrollback = self.scrollback();
        match (number, old_position) {
            (InstanceNumber::WRITER, Some(position)) => {
                (scrollback.min(position).max(self.ring.tail()), position < self.ring.tail())
            }
            (InstanceNumber::WRITER, None) => (scrollback, self.shown < scrollback),
            _ => (scrollback, false),
        }
    }

    /// Ends the instances whose console has gone; whether there were any.
    fn end_gone(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            let mut gone = false;
            while let Some(event) = slot.instance.poll_event() {
                debug!(session = ?slot.holder.session, ?event, "SOL");
                gone |= event == Event::Gone;
            }
            if !gone {
                continue;
            }
            any = true;
            let session = format_args!("{:08x}", slot.holder.session.0);
            warn!(
                instance = index + 1,
                session, "remote console does not answer: its SOL instance ends"
            );
            let position = self.release_index(index, None);
            if index == InstanceNumber::WRITER.index() {
                self.unread = position;
            }
        }
        any
    }

    /// Drops the ended instances whose notice was acknowledged.
    fn forget_closed(&mut self) {
        self.closing.retain_mut(|slot| {
            std::iter::from_fn(|| slot.instance.poll_event()).all(|event| event != Event::Closed)
        });
    }
}

#[cfg(test)]
mod tests;
