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

/// The message types that are counted one by one (DSP0239), control to CXL, and those of vendors; all others together.
const TYPES: [u8; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7e, 0x7f];

/// Messages by their types.
#[derive(Clone, Copy, Debug, Default)]
pub struct TypeCounts([u64; TYPES.len() + 1]);

impl TypeCounts {
    /// Counts a message, by its first byte.
    pub(crate) fn add(&mut self, message: &[u8]) {
        let kind = message.first().map(|first| first & 0x7f);
        let index = TYPES.iter().position(|known| Some(*known) == kind).unwrap_or(TYPES.len());
        if let Some(count) = self.0.get_mut(index) {
            *count += 1;
        }
    }

    /// The types of which there were messages: the type, or FFh for all others, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        let kinds = TYPES.iter().copied().chain(std::iter::once(0xff));
        kinds.zip(self.0).filter(|(_, count)| *count > 0)
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
    /// `messages_in` by type.
    pub types_in: TypeCounts,
    /// `messages_out` by type.
    pub types_out: TypeCounts,
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
    fn messages_are_counted_by_type_and_unknown_types_together() {
        let mut counts = TypeCounts::default();
        for message in [&[0x01][..], &[0x81, 5], &[0x7e], &[0x20], &[0x21], &[]] {
            counts.add(message);
        }
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(0x01, 2), (0x7e, 1), (0xff, 3)]);
    }

    #[test]
    fn numbers_follow_the_table() {
        for (index, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, index);
        }
    }
}
