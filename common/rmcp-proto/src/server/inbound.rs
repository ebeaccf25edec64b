//! A datagram's way in: RMCP, then ASF or IPMI, outside a session or within one.

use std::time::Instant;

use ipmi_proto::ipmb::{IpmbRequest, IpmbResponse};
use ipmi_proto::{CompletionCode, Privilege, Request, Response};

use super::accounts::{Accounts, Random};
use super::commands::{self, SessionCommand};
use super::event::{
    CloseReason, Event, Format, Outside, Route, SessionId, SessionInfo, Token, Transmit,
};
use super::exchanges::Arrival;
use super::reject::Reason;
use super::session::SessionLink;
use super::v15::Trust;
use super::{Server, send, sessionless};
use crate::wire::asf::{PresencePing, PresencePong};
use crate::wire::rmcp::{Class, RmcpMessage};
use crate::wire::v15::{self, AuthType, V15Packet};
use crate::wire::v20::{self, PayloadType, Protection, V20Header, V20Packet};

impl<A: Accounts, R: Random> Server<A, R> {
    /// Takes one datagram; afterwards drain [`Self::poll_transmit`] and [`Self::poll_event`].
    pub fn handle_datagram(&mut self, now: Instant, route: Route, bytes: &[u8]) {
        if let Err(reason) = self.on_datagram(now, route, bytes) {
            self.reject(route.peer, reason);
        }
    }

    fn on_datagram(&mut self, now: Instant, route: Route, bytes: &[u8]) -> Result<(), Reason> {
        let message = RmcpMessage::parse(bytes).map_err(|_| Reason::MalformedRmcp)?;
        let RmcpMessage::Data { sequence, class, body } = message else {
            return Ok(()); // nothing we send asks for an acknowledge
        };
        if let Some(sequence) = sequence {
            self.admit_packet(now, route)?;
            let mut bytes = Vec::new();
            RmcpMessage::Ack { sequence, class }.emit(&mut bytes);
            self.transmits.push_back(Transmit { route, bytes });
        }
        match class {
            Class::Asf => {
                self.admit_packet(now, route)?;
                self.on_asf(route, body)
            }
            Class::Ipmi if v15::is_rmcp_plus(body) => self.on_v20(now, route, body),
            Class::Ipmi => self.on_v15(now, route, body),
            Class::Oem => Err(Reason::UnsupportedClass),
        }
    }

    fn on_asf(&mut self, route: Route, body: &[u8]) -> Result<(), Reason> {
        let PresencePing { tag } = PresencePing::parse(body).map_err(|_| Reason::MalformedAsf)?;
        let mut pong = Vec::new();
        PresencePong { tag, dcmi: true }.emit(&mut pong);
        let mut bytes = Vec::new();
        RmcpMessage::Data { sequence: None, class: Class::Asf, body: &pong }.emit(&mut bytes);
        self.transmits.push_back(Transmit { route, bytes });
        Ok(())
    }

    fn on_v15(&mut self, now: Instant, route: Route, body: &[u8]) -> Result<(), Reason> {
        let packet = V15Packet::parse(body).map_err(|_| Reason::MalformedPacket)?;
        match (packet.session_id, packet.auth) {
            (0, AuthType::None) => {
                self.admit_packet(now, route)?;
                self.on_sessionless(now, route, Format::V15, packet.message)
            }
            (0, _) => Err(Reason::NotNegotiated),
            _ => self.on_v15_packet(now, route, &packet),
        }
    }

    fn on_v20(&mut self, now: Instant, route: Route, body: &[u8]) -> Result<(), Reason> {
        let packet = V20Packet::parse(body).map_err(|_| Reason::MalformedPacket)?;
        if packet.header.session_id != 0 {
            return self.on_session_packet(now, route, &packet);
        }
        if packet.header.protection != Protection::NONE {
            return Err(Reason::NotNegotiated);
        }
        self.admit_packet(now, route)?;
        match packet.header.payload_type {
            PayloadType::IPMI => self.on_sessionless(now, route, Format::V20, packet.payload),
            PayloadType::OPEN_SESSION_REQUEST => self.on_open_session(now, route, packet.payload),
            PayloadType::RAKP_1 => self.on_rakp_1(route, packet.payload),
            PayloadType::RAKP_3 => self.on_rakp_3(now, route, packet.payload),
            _ => Err(Reason::UnsupportedPayload),
        }
    }

    fn on_sessionless(
        &mut self,
        now: Instant,
        route: Route,
        format: Format,
        message: &[u8],
    ) -> Result<(), Reason> {
        let frame = IpmbRequest::parse(message).map_err(|_| Reason::MalformedMessage)?;
        let request = frame.to_request();
        let asked = Outside { route, format, header: frame.header };
        if sessionless::is_for_bmc(&request) {
            self.events.push_back(Event::Outside { asked, request });
            return Ok(());
        }
        let login = match format {
            Format::V15 => self.challenge(now, route, &request),
            Format::V20 => None,
        };
        let response = login
            .or_else(|| sessionless::answer(&request, &self.config, &self.accounts))
            .ok_or(Reason::NeedsSession)?;
        self.answer_outside(&asked, &response)
    }

    /// Sends an answer outside a session.
    pub(super) fn answer_outside(
        &mut self,
        asked: &Outside,
        response: &Response,
    ) -> Result<(), Reason> {
        let (mut reply, mut bytes) = (Vec::new(), Vec::new());
        IpmbResponse::answering(&asked.header, response).emit(&mut reply);
        let emitted = match asked.format {
            Format::V15 => v15::emit_sessionless(&reply, &mut bytes),
            Format::V20 => {
                let header = V20Header::sessionless(PayloadType::IPMI);
                v20::emit_plain(&header, &reply, &mut bytes)
            }
        };
        emitted.map_err(|_| Reason::MalformedMessage)?;
        self.transmits.push_back(Transmit { route: asked.route, bytes });
        Ok(())
    }

    fn on_session_packet(
        &mut self,
        now: Instant,
        route: Route,
        packet: &V20Packet<'_>,
    ) -> Result<(), Reason> {
        let id = SessionId(packet.header.session_id);
        let slot = self.slot_of(id).ok_or(Reason::UnknownSession)?;
        let session =
            self.sessions.get_mut(slot).and_then(Option::as_mut).ok_or(Reason::UnknownSession)?;
        if self.config.bound_to_peer && session.route.peer != route.peer {
            return Err(Reason::OtherAddress);
        }
        let kind = packet.header.payload_type;
        if kind != PayloadType::IPMI && !(session.has_payload && kind == PayloadType::SOL) {
            return Err(Reason::UnsupportedPayload);
        }
        let SessionLink::V20(link) = &mut session.link else {
            return Err(Reason::UnknownSession);
        };
        link.open(packet, &mut self.plain)?;
        session.heard(now);
        session.route = route;
        if kind == PayloadType::IPMI {
            let plain = std::mem::take(&mut self.plain);
            let result = self.on_message(now, slot, Trust::Full, &plain);
            self.plain = plain;
            return result;
        }
        let protection = packet.header.protection;
        let data = self.plain.clone();
        self.events.push_back(Event::Payload { session: id, kind, protection, data });
        Ok(())
    }

    /// An IPMI message of the session in `slot`.
    pub(super) fn on_message(
        &mut self,
        now: Instant,
        slot: usize,
        trust: Trust,
        message: &[u8],
    ) -> Result<(), Reason> {
        let frame = IpmbRequest::parse(message).map_err(|_| Reason::MalformedMessage)?;
        let limit = self.config.requests;
        let session =
            self.sessions.get_mut(slot).and_then(Option::as_mut).ok_or(Reason::UnknownSession)?;
        if session.is_parting() && !session.takes_leave_by(message, &frame.to_request()) {
            return Err(Reason::UnknownSession);
        }
        let (id, mut info) = (session.id(), *session.info());
        if trust == Trust::UserLevel {
            info.privilege = info.privilege.min(Privilege::User);
        }
        match session.exchanges.arrive(now, frame.header, message, limit) {
            Arrival::New(serial) => {
                let token = Token { session: id, serial };
                self.on_request(now, slot, trust, token, info, frame.to_request());
                Ok(())
            }
            Arrival::StillRunning => Err(Reason::DuplicateRequest),
            Arrival::Answered(reply) => {
                let reply = reply.to_vec();
                for message in &reply {
                    send(&mut self.transmits, &mut self.random, session, message);
                }
                Ok(())
            }
            Arrival::TooMany => {
                let request = frame.to_request();
                let busy = Response::failure(&request, CompletionCode::BUSY);
                self.reply(slot, &frame.header, &busy);
                Err(Reason::TooManyRequests)
            }
        }
    }

    fn on_request(
        &mut self,
        now: Instant,
        slot: usize,
        trust: Trust,
        token: Token,
        session: SessionInfo,
        request: Request,
    ) {
        let command = self.command_of(slot, &request);
        if trust != Trust::Full && command != SessionCommand::Other {
            let refusal = Response::failure(&request, CompletionCode::INSUFFICIENT_PRIVILEGE);
            return self.respond(now, token, &refusal);
        }
        match command {
            SessionCommand::SetPrivilege => {
                let response = self.set_privilege(slot, &request);
                self.respond(now, token, &response);
            }
            SessionCommand::CloseOwn => {
                let done = Response::failure(&request, CompletionCode::OK);
                self.respond(now, token, &done);
                self.close_slot(slot, CloseReason::Requested);
            }
            // There are no payloads in the format of IPMI 1.5.
            SessionCommand::Payload if session.suite.is_none() => {
                let refusal = Response::failure(&request, CompletionCode::NOT_IN_PRESENT_STATE);
                self.respond(now, token, &refusal);
            }
            SessionCommand::Payload => {
                self.events.push_back(Event::PayloadCommand { token, session, request });
            }
            SessionCommand::Other => {
                let config = &self.config;
                match sessionless::answer_in_session(&request, config, &self.accounts) {
                    Some(response) => self.respond(now, token, &response),
                    None => self.events.push_back(Event::Request { token, session, request }),
                }
            }
        }
    }

    fn command_of(&self, slot: usize, request: &Request) -> SessionCommand {
        let session = self.sessions.get(slot).and_then(Option::as_ref);
        session.map_or(SessionCommand::Other, |session| SessionCommand::of(request, session))
    }

    fn set_privilege(&mut self, slot: usize, request: &Request) -> Response {
        let Some(session) = self.sessions.get_mut(slot).and_then(Option::as_mut) else {
            return Response::failure(request, CompletionCode::UNSPECIFIED);
        };
        let before = *session.info();
        let result = commands::set_privilege(request, session);
        if *session.info() != before {
            self.events.push_back(Event::Changed(*session.info()));
        }
        match result {
            Ok(level) => Response::to(request, CompletionCode::OK, vec![level.value()]),
            Err(code) => Response::failure(request, code),
        }
    }
}
