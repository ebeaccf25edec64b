//! The console and its payloads as the daemon's loop sees them.

use std::time::Instant;

use ipmi_proto::{Request, Response};
use rmcp_proto::server::{Accounts, Random, Reason, Server, SessionId};
use rmcp_proto::wire::v20::{PayloadType, Protection};
use tokio::sync::watch;

use super::{Holder, Hub, PayloadCaller, Settings, SolSection, Source, answer};

/// Serial over LAN of one front end.
///
/// After each call, [`drain`](Self::drain) what is to be sent.
pub struct Sol {
    hub: Hub,
    source: Source,
    settings: watch::Receiver<Settings>,
    /// Sessions of which the server knows that they have a payload.
    marked: Vec<SessionId>,
}

impl Sol {
    /// The console that `section` names, under `settings`.
    #[must_use]
    pub fn new(section: &SolSection, mut settings: watch::Receiver<Settings>) -> Self {
        let hub = Hub::new(section, *settings.borrow_and_update());
        Self { hub, source: Source::new(section.console.clone()), settings, marked: Vec::new() }
    }

    /// Waits until the host's console or the settings have something to do, and does it. Cancel safe.
    pub async fn step(&mut self) {
        tokio::select! {
            () = self.source.step(&mut self.hub) => return,
            Ok(()) = self.settings.changed() => {}
        }
        self.hub.set_settings(*self.settings.borrow_and_update());
    }

    /// Carries out a payload command.
    pub fn answer(&mut self, caller: &PayloadCaller, request: &Request) -> Response {
        // Whoever asks for the console wants it now.
        self.source.hurry();
        answer(&mut self.hub, caller, request)
    }

    /// Takes a SOL payload.
    ///
    /// # Errors
    ///
    /// Why it is dropped, as [`Hub::handle_packet`] says.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        id: SessionId,
        came: Protection,
        data: &[u8],
    ) -> Result<(), Reason> {
        self.hub.handle_packet(now, id, came, data)
    }

    /// A session ended: its instance is free.
    pub fn session_closed(&mut self, session: SessionId) {
        self.hub.session_closed(session);
    }

    /// Accounts changed: holders that may no longer have SOL lose it.
    pub fn retain(&mut self, keep: impl Fn(Holder) -> bool) {
        self.hub.retain(keep);
    }

    /// Acts on the time that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.hub.handle_timeout(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.hub.poll_timeout()
    }

    /// Sends all there is to send, and keeps the server informed of who has a payload.
    pub fn drain<A: Accounts, R: Random>(&mut self, now: Instant, server: &mut Server<A, R>) {
        while let Some(packet) = self.hub.poll_transmit(now) {
            server.send_payload(
                packet.session,
                PayloadType::SOL,
                packet.protection,
                &packet.payload,
            );
        }
        self.marked.retain(|session| {
            let serves = self.hub.serves(*session);
            if !serves {
                server.set_payload_active(*session, false);
            }
            serves
        });
        for session in self.hub.sessions() {
            if !self.marked.contains(&session) {
                server.set_payload_active(session, true);
                self.marked.push(session);
            }
        }
    }
}
