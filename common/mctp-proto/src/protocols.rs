//! What a message says of itself: a request, an answer, a datagram, or nothing.
//!
//! The socket's protocol has no tags, so a client's message to an endpoint that awaits an answer could
//! be the answer or a request of its own. Most message types tell them apart, and most answers repeat
//! something of their request by which the two are matched. [`TABLE`] has a row for each type.
//!
//! Where the rows are from:
//!
//! | type | source |
//! |---|---|
//! | control | DSP0236, "MCTP control message fields": Rq and D bits, instance id, command |
//! | PLDM | DSP0240, "PLDM message fields": Rq and D bits, instance id, type, command |
//! | NC-SI | DSP0222 control packets in DSP0261 messages; the header is Linux's `struct ncsi_pkt_hdr`: packet type FFh is an event, bit 7 marks responses, instance id in byte 3 |
//! | Ethernet | DSP0261: Ethernet frames, which have no answers |
//! | NVMe-MI | NVMe-MI "Message Header", as in libnvme's `struct nvme_mi_msg_hdr`: ROR bit 7, NMIMT bits 6:3 (5: asynchronous event, which has no answer), command slot bit 0; response status 01h is More Processing Required, with the time in 100 ms units (`struct nvme_mi_msg_resp_mpr`) |
//! | SPDM | DSP0274, "SPDM request and response codes": bit 7 of the code is set in requests; a response has its request's code without bit 7, except ERROR (7Fh) and the response to RESPOND_IF_READY (FFh) |
//! | secured messages | DSP0277: the session id comes first, everything else is encrypted |
//! | CXL FM API, CCI | CXL 3.1, "CCI Message Format", as in libcxlmi's `struct cxlmi_cci_msg`: category 0 request, 1 response; tag |
//! | PCIe-MI | no public description of its header is known, so it is read as a type that says nothing |
//! | vendor (PCI, IANA) | DSP0236, "vendor defined messages": the vendor id comes first, the rest is the vendor's |

use core::time::Duration;

use crate::MessageType;

/// How a message presents itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// It does not say; what its client owes decides.
    Unmarked,
    /// A request that wants an answer.
    Request,
    /// A message that wants no answer.
    Datagram,
    /// The answer to a request.
    Response,
    /// An answer after which another one comes, within the time that it may name.
    Intermediate(Option<Duration>),
}

/// What an answer repeats of its request; `None` where it repeats nothing, or matches any request.
pub type Key = Option<[u8; KEY]>;

/// Bytes of the longest key: a type, and an IANA number or a session id.
const KEY: usize = 5;

/// A message as far as it is understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    /// What it is.
    pub role: Role,
    /// What ties an answer to its request.
    pub key: Key,
}

/// One message type.
struct Protocol {
    kind: MessageType,
    /// Reads what follows the type byte; `None` if it is too short.
    read: fn(&[u8]) -> Option<(Role, TypeKey)>,
}

/// The type's own part of a key; `None` where an answer matches any request.
type TypeKey = Option<[u8; KEY - 1]>;

/// Every type that is understood, in the order of their numbers.
static TABLE: [Protocol; 11] = [
    Protocol { kind: MessageType::CONTROL, read: control },
    Protocol { kind: MessageType::PLDM, read: pldm },
    Protocol { kind: MessageType::NCSI, read: ncsi },
    Protocol { kind: MessageType::ETHERNET, read: |_| Some((Role::Datagram, None)) },
    Protocol { kind: MessageType::NVME_MI, read: nvme_mi },
    Protocol { kind: MessageType::SPDM, read: spdm },
    Protocol { kind: MessageType::SECURED, read: first_four },
    Protocol { kind: MessageType::CXL_FM_API, read: cxl },
    Protocol { kind: MessageType::CXL_CCI, read: cxl },
    Protocol { kind: MessageType::VENDOR_PCI, read: vendor_pci },
    Protocol { kind: MessageType::VENDOR_IANA, read: first_four },
];

impl Reading {
    /// Reads a message that begins with its type byte.
    #[must_use]
    pub fn of(message: &[u8]) -> Self {
        let nothing = Self { role: Role::Unmarked, key: None };
        let Some((&first, body)) = message.split_first() else {
            return nothing;
        };
        let kind = MessageType::from_first_byte(first);
        let protocol = TABLE.iter().find(|protocol| protocol.kind == kind);
        let Some((role, type_key)) = protocol.and_then(|protocol| (protocol.read)(body)) else {
            return nothing;
        };
        let key = type_key.map(|[a, b, c, d]| [kind.value(), a, b, c, d]);
        Self { role, key }
    }

    /// Whether it is an answer, intermediate or not.
    #[must_use]
    pub fn is_answer(self) -> bool {
        matches!(self.role, Role::Response | Role::Intermediate(_))
    }

    /// For an answer after which another one comes: how long that may take, `default` if it does not
    /// say or says less.
    #[must_use]
    pub fn more_within(self, default: impl FnOnce() -> Duration) -> Option<Duration> {
        match self.role {
            Role::Intermediate(time) => Some(time.unwrap_or_default().max(default())),
            _ => None,
        }
    }
}

/// Whether what an answer repeats fits a request.
#[must_use]
pub fn fits(answer: Key, request: Key) -> bool {
    answer.is_none() || request.is_none() || answer == request
}

/// Whether answers of a type may be intermediate ones.
#[must_use]
pub fn has_intermediate_answers(kind: MessageType) -> bool {
    kind == MessageType::NVME_MI
}

const fn type_key(a: u8, b: u8, c: u8) -> TypeKey {
    Some([a, b, c, 0])
}

fn control(body: &[u8]) -> Option<(Role, TypeKey)> {
    let &[flags, command, ..] = body else { return None };
    Some((by_request_bits(flags), type_key(flags & 0x1f, command, 0)))
}

fn pldm(body: &[u8]) -> Option<(Role, TypeKey)> {
    const KIND_MASK: u8 = 0x3f;
    match *body {
        [flags, kind, command, ..] => {
            Some((by_request_bits(flags), type_key(flags & 0x1f, kind & KIND_MASK, command)))
        }
        // Its role does not depend on what is missing; an answer could not be matched.
        [flags, ..] if flags & 0x80 != 0 => Some((by_request_bits(flags), None)),
        _ => None,
    }
}

/// Rq and D, which control and PLDM messages have at the same place.
fn by_request_bits(flags: u8) -> Role {
    const REQUEST: u8 = 0x80;
    const DATAGRAM: u8 = 0x40;
    match (flags & REQUEST != 0, flags & DATAGRAM != 0) {
        (true, true) => Role::Datagram,
        (true, false) => Role::Request,
        (false, _) => Role::Response,
    }
}

fn ncsi(body: &[u8]) -> Option<(Role, TypeKey)> {
    const EVENT: u8 = 0xff;
    const RESPONSE: u8 = 0x80;
    let &[_, _, _, instance, kind, ..] = body else { return None };
    let role = match kind {
        EVENT => Role::Datagram,
        kind if kind & RESPONSE != 0 => Role::Response,
        _ => Role::Request,
    };
    Some((role, type_key(instance, 0, 0)))
}

fn nvme_mi(body: &[u8]) -> Option<(Role, TypeKey)> {
    const RESPONSE: u8 = 0x80;
    const TYPE_AND_SLOT: u8 = 0x79;
    const TYPE: u8 = 0x78;
    const EVENT: u8 = 0x05 << 3;
    const MORE_PROCESSING: u8 = 0x01;
    let &flags = body.first()?;
    let role = match (flags & RESPONSE != 0, body.get(3)) {
        (true, Some(&MORE_PROCESSING)) => {
            let time = body.get(5..7).and_then(|time| time.first_chunk());
            let hundreds = time.map(|time| u64::from(u16::from_le_bytes(*time)));
            Role::Intermediate(hundreds.map(|hundreds| Duration::from_millis(100 * hundreds)))
        }
        (true, _) => Role::Response,
        (false, _) if flags & TYPE == EVENT => Role::Datagram,
        (false, _) => Role::Request,
    };
    Some((role, type_key(flags & TYPE_AND_SLOT, 0, 0)))
}

fn spdm(body: &[u8]) -> Option<(Role, TypeKey)> {
    const REQUEST: u8 = 0x80;
    const RESPOND_IF_READY: u8 = 0xff;
    const ERROR: u8 = 0x7f;
    let &[_, code, ..] = body else { return None };
    let role = if code & REQUEST != 0 { Role::Request } else { Role::Response };
    let key = match code {
        RESPOND_IF_READY | ERROR => None,
        code => type_key(code & !REQUEST, 0, 0),
    };
    Some((role, key))
}

fn cxl(body: &[u8]) -> Option<(Role, TypeKey)> {
    const CATEGORY_MASK: u8 = 0x0f;
    let &[category, tag, ..] = body else { return None };
    let role = match category & CATEGORY_MASK {
        0 => Role::Request,
        1 => Role::Response,
        _ => Role::Unmarked,
    };
    Some((role, type_key(tag, 0, 0)))
}

fn vendor_pci(body: &[u8]) -> Option<(Role, TypeKey)> {
    let &[high, low, ..] = body else { return None };
    Some((Role::Unmarked, type_key(high, low, 0)))
}

/// A vendor's IANA number, or a session id.
fn first_four(body: &[u8]) -> Option<(Role, TypeKey)> {
    Some((Role::Unmarked, Some(*body.first_chunk()?)))
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const MPR: Role = Role::Intermediate(Some(Duration::from_millis(3000)));

    #[test]
    fn requests_answers_and_datagrams_of_the_types_that_say_so() {
        for (name, message, role) in [
            ("control request", &hex!("00 85 02")[..], Role::Request),
            ("control response", &hex!("00 05 02 00"), Role::Response),
            ("PLDM GetTID", &hex!("01 80 00 02"), Role::Request),
            ("PLDM response", &hex!("01 00 00 02 00"), Role::Response),
            ("PLDM event, no answer wanted", &hex!("01 c0 02 0a"), Role::Datagram),
            ("NC-SI Get Version ID", &hex!("02 00 01 00 05 15 00 0000"), Role::Request),
            ("NC-SI response", &hex!("02 00 01 00 05 95 00 0000"), Role::Response),
            ("NC-SI event", &hex!("02 00 01 00 00 ff 00 0000"), Role::Datagram),
            ("Ethernet", &hex!("03 ffffffffffff"), Role::Datagram),
            ("NVMe-MI request", &hex!("84 08 00 00"), Role::Request),
            ("NVMe-MI response", &hex!("84 88 00 00 00"), Role::Response),
            ("NVMe-MI more processing", &hex!("84 88 00 00 01 00 1e00"), MPR),
            ("NVMe-MI more, short", &hex!("84 88 00 00 01"), Role::Intermediate(None)),
            ("NVMe-MI event", &hex!("84 28 00 00"), Role::Datagram),
            ("SPDM GET_VERSION", &hex!("05 10 84 00"), Role::Request),
            ("SPDM VERSION", &hex!("05 10 04 00"), Role::Response),
            ("secured", &hex!("06 01020304 0500"), Role::Unmarked),
            ("CXL request", &hex!("07 00 07 00 0051"), Role::Request),
            ("CXL response", &hex!("08 01 07 00 0051"), Role::Response),
            ("PCIe-MI", &hex!("09 80 00"), Role::Unmarked),
            ("vendor", &hex!("7e 1a b4 80"), Role::Unmarked),
            ("another type", &hex!("20 80 00"), Role::Unmarked),
            ("too short to say", &hex!("01"), Role::Unmarked),
            ("too short for a key", &hex!("01 00 00"), Role::Unmarked),
            ("empty", &hex!(""), Role::Unmarked),
        ] {
            assert_eq!(Reading::of(message).role, role, "{name}");
        }
    }

    #[test]
    fn an_answer_has_the_key_of_its_request_and_of_no_other() {
        for (name, request, answer, other) in [
            ("control", &hex!("00 85 02")[..], &hex!("00 05 02 00")[..], &hex!("00 06 02 00")[..]),
            ("PLDM", &hex!("01 85 02 11"), &hex!("01 05 02 11 00"), &hex!("01 05 02 12 00")),
            ("PLDM type", &hex!("01 85 02 11"), &hex!("01 05 02 11 00"), &hex!("01 05 03 11 00")),
            (
                "NC-SI",
                &hex!("02 00 01 00 05 15 00"),
                &hex!("02 00 01 00 05 95 00"),
                &hex!("02 00 01 00 06 95 00"),
            ),
            ("NVMe-MI", &hex!("84 08 00 00"), &hex!("84 88 00 00 00"), &hex!("84 89 00 00 00")),
            ("SPDM", &hex!("05 10 84 00"), &hex!("05 10 04 00"), &hex!("05 10 61 00")),
            ("secured", &hex!("06 01020304 00"), &hex!("06 01020304 01"), &hex!("06 01020305 00")),
            ("CXL", &hex!("08 00 07 00"), &hex!("08 01 07 00"), &hex!("08 01 08 00")),
            ("PCI vendor", &hex!("7e 1a03 00"), &hex!("7e 1a03 01"), &hex!("7e 1414 00")),
            ("IANA", &hex!("7f 00003039 00"), &hex!("7f 00003039 01"), &hex!("7f 00003038 00")),
        ] {
            let key = Reading::of(request).key;
            assert!(key.is_some() && fits(Reading::of(answer).key, key), "{name}");
            assert!(!fits(Reading::of(other).key, key), "{name}");
        }
    }

    #[test]
    fn spdm_errors_and_deferred_responses_match_any_request() {
        let [challenge, error, deferred, auth] =
            [hex!("05 10 83 00"), hex!("05 10 7f 01"), hex!("05 10 ff 00"), hex!("05 10 03 00")]
                .map(|message| Reading::of(&message).key);
        assert!(fits(error, challenge) && fits(auth, deferred) && fits(auth, challenge));
    }

    #[test]
    fn rows_are_in_order() {
        assert!(TABLE.is_sorted_by_key(|protocol| protocol.kind));
    }
}
