//! Received datagrams: RMCP, then ASF or IPMI, outside a session or within one.

use std::time::Instant;

use ipmi_proto::Response;
use ipmi_proto::ipmb::{IpmbRequest, IpmbResponse};

use super::accounts::{Accounts, Random};
use super::event::{Event, Format, Outside, Route, SessionId, Transmit};
use super::reject::Reason;
use super::session::SessionLink;
use super::v15_link::Trust;
use super::{Server, sessionless};
use crate::wire::asf::{PresencePing, PresencePong};
use crate::wire::rmcp::{Class, RmcpMessage};
use crate::wire::v15::{self, AuthType, V15Packet};
use crate::wire::v20::{self, PayloadType, Protection, V20Header, V20Packet};

impl<A: Accounts, R: Random> Server<A, R> {
    /// Handles one datagram; afterwards drain [`Self::poll_transmit`] and [`Self::poll_event`].
    pub fn handle_datagram(&mut self, now: Instant, route: Route, bytes: &[u8]) {
        if let Err(reason) = self.on_datagram(now, route, bytes) {
            self.core.reject(route.peer, reason);
        }
    }

    fn on_datagram(&mut self, now: Instant, route: Route, bytes: &[u8]) -> Result<(), Reason> {
        let message = RmcpMessage::parse(bytes).map_err(|_| Reason::MalformedRmcp)?;
        let RmcpMessage::Data { sequence, class, body } = message else {
            return Ok(()); // no message of the server's asks for an acknowledge
        };
        if let Some(sequence) = sequence {
            self.core.admit_packet(now, route)?;
            let mut bytes = Vec::new();
            RmcpMessage::Ack { sequence, class }.emit(&mut bytes);
            self.core.transmits.push_back(Transmit { route, bytes });
        }
        match class {
            Class::Asf => {
                self.core.admit_packet(now, route)?;
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
        self.core.transmits.push_back(Transmit { route, bytes });
        Ok(())
    }

    fn on_v15(&mut self, now: Instant, route: Route, body: &[u8]) -> Result<(), Reason> {
        let packet = V15Packet::parse(body).map_err(|_| Reason::MalformedPacket)?;
        match (packet.session_id, packet.auth) {
            (0, AuthType::None) => {
                self.core.admit_packet(now, route)?;
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
        self.core.admit_packet(now, route)?;
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
            self.core.events.push_back(Event::Outside { asked, request });
            return Ok(());
        }
        let login = match format {
            Format::V15 => self.challenge(now, route, &request),
            Format::V20 => None,
        };
        let response = login
            .or_else(|| sessionless::answer(&request, &self.core.config, &self.core.accounts))
            .ok_or(Reason::NeedsSession)?;
        self.answer_outside(&asked, &response)?;
        self.core.events.push_back(Event::Answered { session: None, request, response });
        Ok(())
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
        self.core.transmits.push_back(Transmit { route: asked.route, bytes });
        Ok(())
    }

    fn on_session_packet(
        &mut self,
        now: Instant,
        route: Route,
        packet: &V20Packet<'_>,
    ) -> Result<(), Reason> {
        let id = SessionId(packet.header.session_id);
        let session = self.sessions.get_mut(id).ok_or(Reason::UnknownSession)?;
        if self.core.config.bound_to_peer && session.route.peer != route.peer {
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
        session.packet_received(now, route);
        if kind == PayloadType::IPMI {
            let after = self.core.on_message(session, now, Trust::Full, &self.plain)?;
            self.close_if_requested(id, after);
            return Ok(());
        }
        let protection = packet.header.protection;
        let data = self.plain.clone();
        self.core.events.push_back(Event::Payload { session: id, kind, protection, data });
        Ok(())
    }
}
