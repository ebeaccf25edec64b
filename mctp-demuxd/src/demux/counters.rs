//! Why messages are thrown away between sockets and links, and what passes.

use mctp_proto::DropCounts;

/// Why a message was thrown away at the sockets' side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// A client's first message was not one byte from 1 to 7Fh.
    Registration,
    /// There are as many clients as may be.
    TooManyClients,
    /// A client was over its queue, and was disconnected.
    Overrun,
    /// A client's message was shorter than an EID and a type.
    Short,
    /// A client's message, or an answer to it, was not of its type.
    TypeMismatch,
    /// A client's message was longer than the largest.
    Oversize,
    /// No link leads to the EID.
    NoRoute,
    /// The link was away.
    LinkDown,
    /// A message came for which no client has registered.
    NoClient,
    /// An answer came to no request.
    Unsolicited,
    /// A client answered a request that was never made, or long ago.
    UnaskedAnswer,
    /// A client answered a request when its time was over or another client had answered it.
    LateAnswer,
    /// A client owed more answers than are remembered; the oldest was forgotten.
    Forgotten,
}

impl Refusal {
    /// Every reason, in order of its number.
    pub const ALL: [Self; 13] = [
        Self::Registration,
        Self::TooManyClients,
        Self::Overrun,
        Self::Short,
        Self::TypeMismatch,
        Self::Oversize,
        Self::NoRoute,
        Self::LinkDown,
        Self::NoClient,
        Self::Unsolicited,
        Self::UnaskedAnswer,
        Self::LateAnswer,
        Self::Forgotten,
    ];

    /// A short name, for counters and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::TooManyClients => "too-many-clients",
            Self::Overrun => "overrun",
            Self::Short => "short",
            Self::TypeMismatch => "type-mismatch",
            Self::Oversize => "oversize",
            Self::NoRoute => "no-route",
            Self::LinkDown => "link-down",
            Self::NoClient => "no-client",
            Self::Unsolicited => "unsolicited-answer",
            Self::UnaskedAnswer => "unasked-answer",
            Self::LateAnswer => "late-answer",
            Self::Forgotten => "forgotten-request",
        }
    }
}

/// A count of each reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    pub(crate) fn add(&mut self, refusal: Refusal) {
        if let Some(count) = self.0.get_mut(refusal as usize) {
            *count += 1;
        }
    }

    /// How many messages were thrown away for `refusal`.
    #[must_use]
    pub fn of(&self, refusal: Refusal) -> u64 {
        self.0.get(refusal as usize).copied().unwrap_or_default()
    }
}

/// What passed over one link.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkCounters {
    /// Packets taken from the link, good or bad.
    pub packets_in: u64,
    /// Packets given to it.
    pub packets_out: u64,
    /// Whole messages for this endpoint.
    pub messages_in: u64,
    /// Whole messages from it.
    pub messages_out: u64,
    /// Payload bytes of the former.
    pub bytes_in: u64,
    /// Payload bytes of the latter.
    pub bytes_out: u64,
    /// Packets passed on to another link.
    pub forwarded: u64,
    /// What was thrown away of what came in.
    pub drops: DropCounts,
}

/// What passed through one client's socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientCounters {
    /// Messages from the client.
    pub messages_in: u64,
    /// Messages to it.
    pub messages_out: u64,
    /// Bytes of the former, without EIDs.
    pub bytes_in: u64,
    /// Bytes of the latter.
    pub bytes_out: u64,
    /// Messages that had to wait for a tag or for room on a link.
    pub waits: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_table() {
        for (index, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, index);
        }
    }
}
