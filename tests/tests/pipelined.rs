//! Two outstanding requests of one session: neither overwrites the other's change.

use tests::plain::{PlainSession, Reply};
use tests::suite::Suite;

/// How often each pair is sent.
const ROUNDS: usize = 20;

/// Sessions without authentication codes, whose requests need no key.
const WITHOUT_CODES: &str = "[lan]\nipmi-15 = [\"none\"]\n";

const CHANNEL_ACCESS: (u8, u8) = (0x06, 0x40);
const USER_ACCESS: (u8, u8) = (0x06, 0x43);
const USER_NAME: (u8, u8) = (0x06, 0x45);
const PAYLOAD_ACCESS: (u8, u8) = (0x06, 0x4c);
const LAN_PARAMETER: (u8, u8) = (0x0c, 0x01);
const WRITE_FRU: (u8, u8) = (0x0a, 0x12);
const GET_CHANNEL_ACCESS: (u8, u8) = (0x06, 0x41);
const GET_USER_ACCESS: (u8, u8) = (0x06, 0x44);
const GET_USER_NAME: (u8, u8) = (0x06, 0x46);
const GET_PAYLOAD_ACCESS: (u8, u8) = (0x06, 0x4d);
const GET_LAN_PARAMETER: (u8, u8) = (0x0c, 0x02);
const READ_FRU: (u8, u8) = (0x0a, 0x11);

/// A command and its data.
type Request = ((u8, u8), &'static [u8]);

/// Two requests, the requests before them that set the state, and those after them that read the result.
struct Pair {
    name: &'static str,
    before: &'static [Request],
    at_once: [Request; 2],
    after: &'static [Request],
}

const BOB: &[u8] = &[5, b'b', b'o', b'b', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const ANOTHER_BOB: &[u8] = &[6, b'b', b'o', b'b', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const PAIRS: &[Pair] = &[
    Pair {
        name: "channel access, volatile and non-volatile",
        before: &[(CHANNEL_ACCESS, &[1, 0xa2, 0x84]), (CHANNEL_ACCESS, &[1, 0x62, 0x44])],
        at_once: [(CHANNEL_ACCESS, &[1, 0x82, 0x04]), (CHANNEL_ACCESS, &[1, 0x42, 0x04])],
        after: &[(GET_CHANNEL_ACCESS, &[1, 0x80]), (GET_CHANNEL_ACCESS, &[1, 0x40])],
    },
    Pair {
        name: "mode and limit of one setting",
        before: &[(CHANNEL_ACCESS, &[1, 0x62, 0x44])],
        at_once: [(CHANNEL_ACCESS, &[1, 0x42, 0x04]), (CHANNEL_ACCESS, &[1, 0x02, 0x43])],
        after: &[(GET_CHANNEL_ACCESS, &[1, 0x40])],
    },
    Pair {
        name: "one name for two users",
        before: &[
            (USER_NAME, &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            (USER_NAME, &[6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ],
        at_once: [(USER_NAME, BOB), (USER_NAME, ANOTHER_BOB)],
        after: &[(GET_USER_NAME, &[5]), (GET_USER_NAME, &[6])],
    },
    Pair {
        name: "flags and privilege of a user",
        before: &[(USER_ACCESS, &[0x91, 7, 4])],
        at_once: [(USER_ACCESS, &[0x81, 7, 4]), (USER_ACCESS, &[0x01, 7, 2])],
        after: &[(GET_USER_ACCESS, &[1, 7])],
    },
    Pair {
        name: "standard and OEM payloads",
        before: &[(PAYLOAD_ACCESS, &[1, 0x47, 0xff, 0xff, 0xff, 0xff])],
        at_once: [(PAYLOAD_ACCESS, &[1, 7, 2, 0, 0, 0]), (PAYLOAD_ACCESS, &[1, 7, 0, 0, 4, 0])],
        after: &[(GET_PAYLOAD_ACCESS, &[1, 7])],
    },
    Pair {
        name: "user and payload access of one user",
        before: &[(USER_ACCESS, &[0x91, 7, 4]), (PAYLOAD_ACCESS, &[1, 0x47, 2, 0, 0, 0])],
        at_once: [(USER_ACCESS, &[0x01, 7, 2]), (PAYLOAD_ACCESS, &[1, 7, 2, 0, 0, 0])],
        after: &[(GET_USER_ACCESS, &[1, 7]), (GET_PAYLOAD_ACCESS, &[1, 7])],
    },
    Pair {
        name: "ARP control and interval",
        before: &[(LAN_PARAMETER, &[1, 10, 2]), (LAN_PARAMETER, &[1, 11, 0])],
        at_once: [(LAN_PARAMETER, &[1, 10, 3]), (LAN_PARAMETER, &[1, 11, 7])],
        after: &[(GET_LAN_PARAMETER, &[1, 10, 0, 0]), (GET_LAN_PARAMETER, &[1, 11, 0, 0])],
    },
    Pair {
        name: "backup gateway and VLAN priority",
        before: &[(LAN_PARAMETER, &[1, 14, 0, 0, 0, 0]), (LAN_PARAMETER, &[1, 21, 0])],
        at_once: [(LAN_PARAMETER, &[1, 14, 192, 0, 2, 3]), (LAN_PARAMETER, &[1, 21, 5])],
        after: &[(GET_LAN_PARAMETER, &[1, 14, 0, 0]), (GET_LAN_PARAMETER, &[1, 21, 0, 0])],
    },
    Pair {
        name: "address and mask",
        before: &[
            (LAN_PARAMETER, &[1, 3, 192, 0, 2, 10]),
            (LAN_PARAMETER, &[1, 6, 255, 255, 255, 0]),
        ],
        at_once: [
            (LAN_PARAMETER, &[1, 3, 192, 0, 2, 99]),
            (LAN_PARAMETER, &[1, 6, 255, 255, 0, 0]),
        ],
        after: &[(GET_LAN_PARAMETER, &[1, 3, 0, 0]), (GET_LAN_PARAMETER, &[1, 6, 0, 0])],
    },
    Pair {
        name: "two areas of one FRU image",
        before: &[(WRITE_FRU, &[0, 0xf0, 0, 0, 0, 0, 0])],
        at_once: [(WRITE_FRU, &[0, 0xf0, 0, 1, 2]), (WRITE_FRU, &[0, 0xf2, 0, 3, 4])],
        after: &[(READ_FRU, &[0, 0xf0, 0, 4])],
    },
];

/// The replies to requests sent one after the other.
fn in_turn(session: &mut PlainSession, requests: &[Request]) -> Vec<Reply> {
    let send = |((netfn, command), data): &Request| session.request(*netfn, *command, data);
    requests.iter().map(send).collect()
}

/// The replies to a pair of requests, and to the requests that read the result.
fn outcome(
    session: &mut PlainSession,
    pair: &Pair,
    send: impl FnOnce(&mut PlainSession) -> Vec<Reply>,
) -> (Vec<Reply>, Vec<Reply>) {
    for (completion, _) in in_turn(session, pair.before) {
        assert_eq!(completion, 0, "{}: before", pair.name);
    }
    let replies = send(session);
    (replies, in_turn(session, pair.after))
}

#[test]
fn concurrent_requests_have_the_result_of_one_order_of_them() {
    let suite = Suite::with(WITHOUT_CODES);
    let mut session = PlainSession::open(suite.address);
    for pair in PAIRS {
        let [first, second] = pair.at_once;
        let forward = outcome(&mut session, pair, |session| in_turn(session, &[first, second]));
        let mut backward =
            outcome(&mut session, pair, |session| in_turn(session, &[second, first]));
        backward.0.reverse();
        let requests = pair.at_once.map(|((netfn, command), data)| (netfn, command, data));
        for _ in 0..ROUNDS {
            let happened = outcome(&mut session, pair, |session| session.request_all(&requests));
            let is_serial = happened == forward || happened == backward;
            assert!(is_serial, "{}: {happened:02x?}\n{forward:02x?}\n{backward:02x?}", pair.name);
        }
    }
}
