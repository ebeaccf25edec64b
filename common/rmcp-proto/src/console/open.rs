//! The client's side of Open Session and RAKP 1 to 4, a type per state.

use super::{ConsoleError, Credentials};
use crate::crypto::mac::Digest;
use crate::crypto::{Exchange, Protector};
use crate::link::Link;
use crate::server::Random;
use crate::wire::StatusCode;
use crate::wire::open_session::{OpenSessionRequest, OpenSessionResponse};
use crate::wire::rakp::{Rakp1, Rakp2, Rakp3, Rakp4, RakpHeader};
use crate::wire::v20::{self, PayloadType, V20Header, V20Packet};

/// The tag of every set-up message: the payload type distinguishes them.
const TAG: u8 = 0;

/// What the console waits for.
pub(super) enum Opening {
    /// The Open Session Response.
    Response { console_id: u32 },
    /// RAKP 2.
    Rakp2 { console_id: u32, rakp_1: Rakp1 },
    /// RAKP 4.
    Rakp4 { console_id: u32, managed_id: u32, check: Digest, protector: Protector },
}

/// What a set-up message led to.
pub(super) enum Opened {
    /// The next state, and the datagram to send.
    Next(Box<Opening>, Vec<u8>),
    /// The session is open.
    Done(Box<Link>),
    /// The message was not the one waited for.
    Ignored(Box<Opening>),
}

impl Opening {
    /// The first state, and the Open Session Request.
    pub(super) fn start(credentials: &Credentials, console_id: u32) -> (Self, Vec<u8>) {
        let request = OpenSessionRequest {
            tag: TAG,
            role: credentials.role.privilege(),
            console_id,
            proposals: credentials.suite.algorithms().into(),
        };
        let mut payload = Vec::new();
        request.emit(&mut payload);
        (Self::Response { console_id }, datagram(PayloadType::OPEN_SESSION_REQUEST, &payload))
    }

    /// Handles a set-up message.
    pub(super) fn advance(
        self: Box<Self>,
        packet: &V20Packet<'_>,
        credentials: &Credentials,
        random: &mut impl Random,
    ) -> Result<Opened, ConsoleError> {
        match (*self, packet.header.payload_type) {
            (Self::Response { console_id }, PayloadType::OPEN_SESSION_RESPONSE) => {
                on_response(console_id, packet.payload, credentials, random)
            }
            (Self::Rakp2 { console_id, rakp_1 }, PayloadType::RAKP_2) => {
                on_rakp_2(console_id, rakp_1, packet.payload, credentials)
            }
            (state @ Self::Rakp4 { .. }, PayloadType::RAKP_4) => on_rakp_4(state, packet.payload),
            (state, _) => Ok(Opened::Ignored(Box::new(state))),
        }
    }
}

fn on_response(
    wanted_id: u32,
    payload: &[u8],
    credentials: &Credentials,
    random: &mut impl Random,
) -> Result<Opened, ConsoleError> {
    let same = Opening::Response { console_id: wanted_id };
    match OpenSessionResponse::parse(payload) {
        Ok(OpenSessionResponse::Accepted { console_id, managed_id, algorithms, .. })
            if console_id == wanted_id && algorithms == credentials.suite.algorithms() =>
        {
            let mut console_random = [0; 16];
            random.fill(&mut console_random);
            let rakp_1 = Rakp1 {
                tag: TAG,
                managed_id,
                console_random,
                role: credentials.role,
                name_length: credentials.user.length(),
                name: Some(credentials.user),
            };
            let mut payload = Vec::new();
            rakp_1.emit(&mut payload);
            let next = Opening::Rakp2 { console_id, rakp_1 };
            Ok(Opened::Next(Box::new(next), datagram(PayloadType::RAKP_1, &payload)))
        }
        Ok(OpenSessionResponse::Refused { status, console_id, .. }) if console_id == wanted_id => {
            Err(ConsoleError::Refused(status))
        }
        _ => Ok(Opened::Ignored(Box::new(same))),
    }
}

fn on_rakp_2(
    console_id: u32,
    rakp_1: Rakp1,
    payload: &[u8],
    credentials: &Credentials,
) -> Result<Opened, ConsoleError> {
    let ignored = Ok(Opened::Ignored(Box::new(Opening::Rakp2 { console_id, rakp_1 })));
    let Ok(Rakp2 { header, body }) = Rakp2::parse(payload) else {
        return ignored;
    };
    let Some(body) = body else {
        return Err(ConsoleError::Refused(header.status));
    };
    if header.session_id != console_id {
        return ignored;
    }
    let managed_id = rakp_1.managed_id;
    let exchange = Exchange {
        algorithms: credentials.suite.algorithms(),
        console_id,
        managed_id,
        console_random: rakp_1.console_random,
        managed_random: body.managed_random,
        guid: body.guid,
        role: credentials.role,
        name: credentials.user,
    };
    if !exchange.rakp_2_code(&credentials.key).matches(body.code) {
        return Err(ConsoleError::WrongProof);
    }
    let code = exchange.rakp_3_code(&credentials.key);
    let header = RakpHeader { tag: TAG, status: StatusCode::OK, session_id: managed_id };
    let mut payload = Vec::new();
    Rakp3 { header, code: code.as_bytes() }.emit(&mut payload);
    let sik = exchange.session_integrity_key(&credentials.key, credentials.kg.as_ref());
    let next = Opening::Rakp4 {
        console_id,
        managed_id,
        check: exchange.rakp_4_check(&sik),
        protector: exchange.protector(&sik, &credentials.key),
    };
    Ok(Opened::Next(Box::new(next), datagram(PayloadType::RAKP_3, &payload)))
}

fn on_rakp_4(state: Opening, payload: &[u8]) -> Result<Opened, ConsoleError> {
    let ignored = |state| Ok(Opened::Ignored(Box::new(state)));
    let Ok(Rakp4 { header, check: code }) = Rakp4::parse(payload) else {
        return ignored(state);
    };
    let Opening::Rakp4 { console_id, managed_id, check, protector } = state else {
        return ignored(state);
    };
    if header.session_id != console_id {
        return ignored(Opening::Rakp4 { console_id, managed_id, check, protector });
    }
    if !header.status.is_ok() {
        return Err(ConsoleError::Refused(header.status));
    }
    if !check.matches(code) {
        return Err(ConsoleError::WrongProof);
    }
    Ok(Opened::Done(Box::new(Link::new(managed_id, protector))))
}

fn datagram(kind: PayloadType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Set-up messages are far shorter than what the length field can say.
    let _ = v20::emit_plain(&V20Header::sessionless(kind), payload, &mut bytes);
    bytes
}
