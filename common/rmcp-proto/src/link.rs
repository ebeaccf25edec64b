//! One end of an active RMCP+ session: its packets opened and sealed, in order.

use crate::crypto::{OpenError, Protector};
use crate::window::{SequenceCounter, SequenceWindow};
use crate::wire::v20::{PayloadType, Protection, V20Header, V20Packet};

/// Why a packet of the session was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// Less protected than the session requires.
    #[error("packet without the session's protection")]
    Unprotected,
    /// A sequence number seen before, or outside the window.
    #[error("sequence number seen before or out of the window")]
    Replayed,
    /// The packet could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Keys, windows and counters of one end of a session.
pub(crate) struct Link {
    peer_id: u32,
    protector: Protector,
    /// Windows for unauthenticated and authenticated packets.
    inbound: [SequenceWindow; 2],
    /// Counters likewise.
    outbound: [SequenceCounter; 2],
}

impl Link {
    /// A link whose packets go to the session that its peer calls `peer_id`.
    pub(crate) fn new(peer_id: u32, protector: Protector) -> Self {
        Self {
            peer_id,
            protector,
            inbound: [SequenceWindow::START; 2],
            outbound: [SequenceCounter::default(); 2],
        }
    }

    /// The peer's id of the session.
    pub(crate) const fn peer_id(&self) -> u32 {
        self.peer_id
    }

    /// What the session can protect its packets with.
    pub(crate) const fn protection(&self) -> Protection {
        Protection {
            authenticated: self.protector.has_integrity(),
            encrypted: self.protector.has_confidentiality(),
        }
    }

    /// Opens `packet` into `plain`: integrity first, then the window, then decryption.
    ///
    /// A packet must have all the protection that the session has; only payloads other than IPMI
    /// may leave encryption out, which their activation negotiates.
    pub(crate) fn open(
        &mut self,
        packet: &V20Packet<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<(), LinkError> {
        let V20Header { payload_type, protection, sequence, .. } = packet.header;
        let has = self.protection();
        let may_be_plain = payload_type != PayloadType::IPMI;
        if has.authenticated && !protection.authenticated
            || has.encrypted && !protection.encrypted && !may_be_plain
        {
            return Err(LinkError::Unprotected);
        }
        let [unauthenticated, authenticated] = &mut self.inbound;
        let window = if protection.authenticated { authenticated } else { unauthenticated };
        if !window.check(sequence) {
            return Err(LinkError::Replayed);
        }
        self.protector.verify(packet)?;
        window.accept(sequence);
        self.protector.decrypt(packet, plain)?;
        Ok(())
    }

    /// The datagram with `payload` for the peer, protected as `wanted` as far as the session
    /// can.
    pub(crate) fn seal(
        &mut self,
        payload_type: PayloadType,
        wanted: Protection,
        payload: &[u8],
        iv: [u8; 16],
    ) -> Vec<u8> {
        let has = self.protection();
        let protection = Protection {
            authenticated: wanted.authenticated && has.authenticated,
            encrypted: wanted.encrypted && has.encrypted,
        };
        let [unauthenticated, authenticated] = &mut self.outbound;
        let counter = if protection.authenticated { authenticated } else { unauthenticated };
        let sequence = counter.next();
        let header = V20Header { payload_type, protection, session_id: self.peer_id, sequence };
        let mut out = Vec::new();
        self.protector.seal(&header, payload, iv, &mut out);
        out
    }
}
