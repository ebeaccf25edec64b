//! What a message says of itself: a request, an answer, or nothing that this daemon can read.
//!
//! The socket's protocol has no place for tags, so a client's message to an endpoint that it owes an
//! answer could be the answer or a request of its own. Three message types tell them apart.

use mctp_proto::MessageType;

/// How a message presents itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Marks {
    /// It does not say; whether an answer is owed decides.
    None,
    /// A request that wants an answer.
    Request,
    /// A request that wants none.
    Datagram,
    /// An answer; with what has to agree with its request, where the type has such a thing.
    Answer(Option<PldmKey>),
}

/// What a PLDM response repeats of its request (DSP0240, "PLDM message fields").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PldmKey {
    instance: u8,
    kind: u8,
    command: u8,
}

impl Marks {
    /// Reads the marks of a message that begins with its type byte.
    #[must_use]
    pub(super) fn of(message: &[u8]) -> Self {
        let Some((&first, rest)) = message.split_first() else {
            return Self::None;
        };
        match MessageType::from_first_byte(first) {
            MessageType::PLDM => Self::of_pldm(rest),
            MessageType::NVME_MI => Self::of_nvme_mi(rest),
            MessageType::SPDM => Self::of_spdm(rest),
            _ => Self::None,
        }
    }

    /// The key of a PLDM request, for its answer to be found by.
    #[must_use]
    pub(super) fn key_of_request(message: &[u8]) -> Option<PldmKey> {
        let (&first, rest) = message.split_first()?;
        if MessageType::from_first_byte(first) != MessageType::PLDM {
            return None;
        }
        PldmKey::of(rest)
    }

    fn of_pldm(rest: &[u8]) -> Self {
        const REQUEST: u8 = 0x80;
        const DATAGRAM: u8 = 0x40;
        match rest.first() {
            Some(flags) if flags & (REQUEST | DATAGRAM) == REQUEST | DATAGRAM => Self::Datagram,
            Some(flags) if flags & REQUEST != 0 => Self::Request,
            Some(_) => PldmKey::of(rest).map_or(Self::None, |key| Self::Answer(Some(key))),
            None => Self::None,
        }
    }

    /// NVMe-MI 1.2, "Message Header": ROR, bit 7 of the second byte, is set in responses.
    fn of_nvme_mi(rest: &[u8]) -> Self {
        const RESPONSE: u8 = 0x80;
        match rest.first() {
            Some(flags) if flags & RESPONSE != 0 => Self::Answer(None),
            Some(_) => Self::Request,
            None => Self::None,
        }
    }

    /// DSP0274, "SPDM request and response codes": bit 7 of the code is set in requests.
    fn of_spdm(rest: &[u8]) -> Self {
        const REQUEST: u8 = 0x80;
        match rest.get(1) {
            Some(code) if code & REQUEST != 0 => Self::Request,
            Some(_) => Self::Answer(None),
            None => Self::None,
        }
    }
}

impl PldmKey {
    fn of(rest: &[u8]) -> Option<Self> {
        const INSTANCE_MASK: u8 = 0x1f;
        const KIND_MASK: u8 = 0x3f;
        match rest {
            &[flags, kind, command, ..] => {
                Some(Self { instance: flags & INSTANCE_MASK, kind: kind & KIND_MASK, command })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn requests_and_answers_of_the_types_that_tell() {
        for (name, message, marks) in [
            ("PLDM GetTID", &hex!("01 80 00 02")[..], Marks::Request),
            ("PLDM event, no answer wanted", &hex!("01 c0 02 0a"), Marks::Datagram),
            ("NVMe-MI request", &hex!("84 08 00 00"), Marks::Request),
            ("NVMe-MI response", &hex!("84 88 00 00"), Marks::Answer(None)),
            ("SPDM GET_VERSION", &hex!("05 10 84 00"), Marks::Request),
            ("SPDM VERSION", &hex!("05 10 04 00"), Marks::Answer(None)),
            ("vendor", &hex!("7e 1a b4 80"), Marks::None),
            ("too short to tell", &hex!("01"), Marks::None),
            ("too short for a key", &hex!("01 00 00"), Marks::None),
            ("empty", &hex!(""), Marks::None),
        ] {
            assert_eq!(Marks::of(message), marks, "{name}");
        }
    }

    #[test]
    fn a_pldm_answer_has_the_key_of_its_request() {
        let key = Marks::key_of_request(&hex!("01 85 02 11"));
        assert_eq!(Marks::of(&hex!("01 05 02 11 00")), Marks::Answer(key));
        for other in [hex!("01 06 02 11 00"), hex!("01 05 03 11 00"), hex!("01 05 02 12 00")] {
            assert_ne!(Marks::of(&other), Marks::Answer(key));
        }
        assert_eq!(Marks::key_of_request(&hex!("05 10 84 00")), None);
    }
}
