//! The console and its payloads as the daemon's loop sees them.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use ipmi_proto::{Request, Response};
use rmcp_proto::server::{Accounts, Random, Reason, Server, SessionId};
use rmcp_proto::sol::Counts;
use rmcp_proto::wire::v20::{PayloadType, Protection};
use tokio::sync::watch;

use super::{
    ConsoleAddress, Holder, HostConsole, LocalConsoles, PayloadCaller, PayloadInstances, Settings,
    SolRequest, SolSection, SolState, answer,
};

/// Serial over LAN of one front end.
///
/// After each call, [`drain`](Self::drain) what is to be sent.
pub struct Sol {
    instances: PayloadInstances,
    host_console: HostConsole,
    address: ConsoleAddress,
    local: LocalConsoles,
    settings: watch::Receiver<Settings>,
    /// The sessions that the server has marked as having a payload.
    marked: Vec<SessionId>,
}

impl Sol {
    /// SOL over the console of `section`, under `settings`.
    #[must_use]
    pub fn new(section: &SolSection, mut settings: watch::Receiver<Settings>) -> Self {
        let instances = PayloadInstances::new(section, *settings.borrow_and_update());
        let host_console = HostConsole::new(section.console.clone());
        Self {
            instances,
            host_console,
            address: section.console.clone(),
            local: LocalConsoles::default(),
            settings,
            marked: Vec::new(),
        }
    }

    /// Handles one event of the host's console or of a program that is attached to it, or a change of the settings.
    /// Cancel safe.
    pub async fn step(&mut self) {
        let (head, room) = (self.instances.output_len(), self.instances.local_input().room());
        tokio::select! {
            () = self.host_console.step(&mut self.instances) => return,
            index = self.local.ready(head, room) => {
                return self.local.transfer(index, &mut self.instances);
            }
            Ok(()) = self.settings.changed() => {}
        }
        self.instances.set_settings(*self.settings.borrow_and_update());
    }

    /// Applies a changed section; see [`PayloadInstances::reconfigure`] and [`HostConsole::set_address`].
    pub fn reconfigure(&mut self, section: &SolSection) {
        self.instances.reconfigure(section);
        self.host_console.set_address(&section.console, &mut self.instances);
        self.address = section.console.clone();
    }

    /// Executes a payload command.
    pub fn answer(&mut self, caller: &PayloadCaller, request: &Request) -> Response {
        // The next attempt to connect may be half a minute away.
        self.host_console.connect_now();
        answer(&mut self.instances, caller, request)
    }

    /// Handles a request of a program on the BMC.
    pub fn handle_request(&mut self, request: SolRequest) {
        // The program may have disconnected: then nobody waits for the result.
        match request {
            SolRequest::State(answer) => {
                let _ = answer.send(self.state());
            }
            SolRequest::Release(number, answer) => {
                let _ = answer.send(self.instances.release_by_operator(number));
            }
            SolRequest::Attach(writes, answer) => {
                let _ = answer.send(self.attach(writes));
            }
        }
    }

    fn state(&self) -> SolState {
        let instance = |(number, holder, protection): (u8, Holder, Protection)| {
            (number, holder.session.0, holder.user_id, protection.encrypted)
        };
        SolState {
            console: self.address.to_string(),
            connected: self.instances.is_available(),
            enabled: self.instances.settings().enable,
            capacity: u8::try_from(self.instances.capacity()).unwrap_or(u8::MAX),
            instances: self.instances.active().map(instance).collect(),
            attached: self.local.len(),
            bytes_from_host: self.instances.output_len(),
            bytes_to_host: self.instances.input_len(),
        }
    }

    fn attach(&mut self, writes: bool) -> io::Result<OwnedFd> {
        if self.address == ConsoleAddress::None {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.host_console.connect_now();
        self.local.attach(&self.instances, writes)
    }

    /// Handles a SOL payload.
    ///
    /// # Errors
    ///
    /// Why it is dropped; see [`PayloadInstances::handle_packet`].
    pub fn handle_packet(
        &mut self,
        now: Instant,
        id: SessionId,
        came: Protection,
        data: &[u8],
    ) -> Result<(), Reason> {
        self.instances.handle_packet(now, id, came, data)
    }

    /// Ends the instance of a session that was closed.
    pub fn session_closed(&mut self, session: SessionId) {
        self.instances.session_closed(session);
    }

    /// Ends the instances for whose holder `keep` is false: the accounts have changed.
    pub fn retain(&mut self, keep: impl Fn(Holder) -> bool) {
        self.instances.retain(keep);
    }

    /// What each active instance has counted since this was last called.
    pub fn take_counts(&mut self) -> impl Iterator<Item = Counts> + '_ {
        self.instances.take_counts()
    }

    /// Acts on the time that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.instances.handle_timeout(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.instances.poll_timeout()
    }

    /// Sends all packets, and marks the sessions that have a payload in the server.
    pub fn drain<A: Accounts, R: Random>(&mut self, now: Instant, server: &mut Server<A, R>) {
        while let Some(packet) = self.instances.poll_transmit(now) {
            server.send_payload(
                packet.session,
                PayloadType::SOL,
                packet.protection,
                &packet.payload,
            );
        }
        self.marked.retain(|session| {
            let serves = self.instances.serves(*session);
            if !serves {
                server.set_payload_active(*session, false);
            }
            serves
        });
        for session in self.instances.sessions() {
            if !self.marked.contains(&session) {
                server.set_payload_active(session, true);
                self.marked.push(session);
            }
        }
    }
}
