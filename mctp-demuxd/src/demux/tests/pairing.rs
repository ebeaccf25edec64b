//! Which answer goes with which request, for several clients of one type and for clients that ask as
//! well as answer.

use hex_literal::hex;

use super::*;

#[test]
fn clients_of_one_vendor_type_answer_their_own_vendors_requests() {
    let mut demux = TestDemux::new();
    let (a, b) = (demux.client(0x7e), demux.client(0x7e));
    demux.request(1, &hex!("7e 1a03 01"));
    demux.send(b, FAR, &hex!("7e 1a03 81"));
    assert_eq!(demux.tag(), (false, 1));
    demux.request(2, &hex!("7e 1414 01"));
    demux.send(a, FAR, &hex!("7e 1414 81"));
    assert_eq!(demux.tag(), (false, 2));
    demux.request(3, &hex!("7e 1a03 02"));
    demux.request(4, &hex!("7e 1414 02"));
    demux.send(a, FAR, &hex!("7e 1414 82"));
    assert_eq!(demux.tag(), (false, 4));
    demux.send(b, FAR, &hex!("7e 1a03 82"));
    assert_eq!(demux.tag(), (false, 3));
}

/// For each type that tells requests from answers: a request of the far end, its answer, and a request
/// of a client's own.
const MARKED: [(&[u8], &[u8], &[u8]); 6] = [
    (&hex!("01 81 02 11"), &hex!("01 01 02 11 00"), &hex!("01 82 02 11")),
    (
        &hex!("02 00 01 00 07 15 00 0000"),
        &hex!("02 00 01 00 07 95 00 0000"),
        &hex!("02 00 01 00 07 15 00 0000"),
    ),
    (&hex!("84 08 00 00 01"), &hex!("84 88 00 00 00"), &hex!("84 08 00 00 06")),
    (&hex!("05 10 84 00 00"), &hex!("05 10 04 00 00"), &hex!("05 10 e1 00 00")),
    (&hex!("07 00 05 00 0051"), &hex!("07 01 05 00 0051"), &hex!("07 00 05 00 0151")),
    (&hex!("08 00 05 00 0001"), &hex!("08 01 05 00 0001"), &hex!("08 00 06 00 0001")),
];

#[test]
fn what_says_that_it_is_a_request_is_one_whatever_its_client_and_siblings_owe() {
    for (request, answer, own) in MARKED {
        let mut demux = TestDemux::new();
        let (asker, responder) = (demux.client(request[0]), demux.client(request[0]));
        demux.request(5, request);
        demux.send(asker, FAR, own);
        let sent = demux.one();
        assert_eq!((sent.owner, &sent.bytes[..]), (true, own), "{own:02x?}");
        demux.send(responder, FAR, answer);
        assert_eq!(demux.tag(), (false, 5), "{answer:02x?}");
        demux.send(asker, FAR, own);
        assert!(demux.one().owner, "after its sibling has answered: {own:02x?}");
        demux.send(asker, FAR, answer);
        assert!(demux.sent().is_empty());
        assert_eq!(demux.refused(Refusal::LateAnswer), 1);
        demux.send(responder, FAR, answer);
        assert_eq!(demux.refused(Refusal::UnaskedAnswer), 1, "{answer:02x?}");
    }
}

#[test]
fn answers_find_their_request_by_the_key_of_their_type() {
    for (first, second, answer_to_second, answer_to_first) in [
        (
            &hex!("02 00 01 00 01 15 00")[..],
            &hex!("02 00 01 00 02 15 00")[..],
            &hex!("02 00 01 00 02 95 00")[..],
            &hex!("02 00 01 00 01 95 00")[..],
        ),
        (
            &hex!("84 08 00 00"),
            &hex!("84 09 00 00"),
            &hex!("84 89 00 00 00"),
            &hex!("84 88 00 00 00"),
        ),
        (&hex!("07 00 01 00"), &hex!("07 00 02 00"), &hex!("07 01 02 00"), &hex!("07 01 01 00")),
        (
            &hex!("06 01000000 aa"),
            &hex!("06 02000000 aa"),
            &hex!("06 02000000 bb"),
            &hex!("06 01000000 bb"),
        ),
        (
            &hex!("7f 00003039 01"),
            &hex!("7f 00000157 01"),
            &hex!("7f 00000157 02"),
            &hex!("7f 00003039 02"),
        ),
        (&hex!("05 10 81 00"), &hex!("05 10 e0 00"), &hex!("05 10 60 00"), &hex!("05 10 01 00")),
    ] {
        let mut demux = TestDemux::new();
        let client = demux.client(first[0]);
        demux.request(1, first);
        demux.request(2, second);
        demux.send(client, FAR, answer_to_second);
        assert_eq!(demux.tag(), (false, 2), "{second:02x?}");
        demux.send(client, FAR, answer_to_first);
        assert_eq!(demux.tag(), (false, 1), "{first:02x?}");
    }
}

#[test]
fn an_ncsi_command_after_an_event_is_a_request() {
    let mut demux = TestDemux::new();
    let client = demux.client(2);
    demux.request(3, &hex!("02 00 01 00 00 ff 00 0004"));
    assert_eq!(demux.given(client).len(), 1);
    demux.send(client, FAR, &hex!("02 00 01 00 01 05 00 0000"));
    assert!(demux.one().owner);
}

#[test]
fn ethernet_frames_are_never_answers_and_take_no_tags() {
    let mut demux = TestDemux::new();
    let client = demux.client(3);
    for _ in 0..20 {
        demux.request(3, &hex!("03 ffffffffffff 020000000001"));
        demux.send(client, FAR, &hex!("03 020000000001 ffffffffffff"));
        assert!(demux.one().owner);
    }
}

#[test]
fn an_nvme_mi_event_is_owed_no_answer() {
    let mut demux = TestDemux::new();
    let client = demux.client(4);
    demux.request(1, &hex!("84 28 00 00 00"));
    assert_eq!(demux.given(client).len(), 1);
    assert_eq!(demux.inner.clients(demux.now).next().unwrap().3, 0);
}

#[test]
fn of_a_type_that_says_nothing_the_answer_is_to_the_oldest_open_request() {
    let mut demux = TestDemux::new();
    let (a, b) = (demux.client(0x20), demux.client(0x20));
    demux.request(1, b"\x20first");
    demux.send(b, FAR, b"\x20answer");
    assert_eq!(demux.tag(), (false, 1));
    demux.request(2, b"\x20second");
    // The request that its sibling has answered is not in its way.
    demux.send(a, FAR, b"\x20answer");
    assert_eq!(demux.tag(), (false, 2));
}

#[test]
fn of_a_type_that_says_nothing_a_client_that_only_asks_loses_nothing() {
    for kind in [0x06, 0x09, 0x20, 0x7e, 0x7f] {
        let mut demux = TestDemux::new();
        let message = [kind, 1, 2, 3, 4, 5];
        let (asker, responder) = (demux.client(kind), demux.client(kind));
        for tag in 0..4 {
            demux.request(tag, &message);
            demux.send(responder, FAR, &message);
            assert_eq!(demux.tag(), (false, tag));
            demux.send(asker, FAR, &message);
            let asked = demux.one();
            assert!(asked.owner, "{kind:02x}");
            demux.receive(false, asked.tag, &message);
        }
        assert_eq!(demux.given(asker).len(), 8);
    }
}

#[test]
fn of_two_clients_that_answer_everything_the_second_answer_is_dropped() {
    let mut demux = TestDemux::new();
    let (a, b) = (demux.client(0x20), demux.client(0x20));
    demux.request(1, b"\x20first");
    demux.send(a, FAR, b"\x20answer of a");
    assert_eq!(demux.tag(), (false, 1));
    demux.request(2, b"\x20second");
    demux.send(b, FAR, b"\x20answer of b");
    assert_eq!(demux.tag(), (false, 2));
    demux.send(a, FAR, b"\x20answer of a");
    assert!(demux.sent().is_empty());
    assert_eq!(demux.refused(Refusal::LateAnswer), 1);
    demux.send(a, FAR, b"\x20request of a");
    assert!(demux.one().owner);
}

#[test]
fn clients_owe_only_what_they_have_received() {
    let mut demux = TestDemux::new();
    let early = demux.client(0x20);
    demux.request(1, b"\x20question");
    let late = demux.client(0x20);
    demux.send(late, FAR, b"\x20its own");
    assert!(demux.one().owner);
    demux.send(early, FAR, b"\x20answer");
    assert_eq!(demux.tag(), (false, 1));
}

#[test]
fn a_late_answer_is_counted_and_never_a_request() {
    for (request, answer) in [
        (&b"\x20question"[..], &b"\x20answer"[..]),
        (&hex!("7e 1a03 01"), &hex!("7e 1a03 81")),
        (&hex!("01 81 02 11"), &hex!("01 01 02 11 00")),
        (&hex!("84 08 00 00 01"), &hex!("84 88 00 00 00")),
    ] {
        let mut demux = TestDemux::new();
        let client = demux.client(request[0]);
        demux.request(3, request);
        demux.wait(Duration::from_secs(61));
        demux.send(client, FAR, answer);
        assert!(demux.sent().is_empty(), "{request:02x?}");
        assert_eq!(demux.refused(Refusal::LateAnswer), 1);
    }
}

#[test]
fn after_its_late_answer_a_client_of_a_type_that_says_nothing_may_ask() {
    let mut demux = TestDemux::new();
    let client = demux.client(0x20);
    demux.request(3, b"\x20question");
    demux.wait(Duration::from_millis(6100));
    demux.send(client, FAR, b"\x20late");
    assert!(demux.sent().is_empty());
    demux.send(client, FAR, b"\x20own");
    assert!(demux.one().owner);
    // And one that never answers is not made to wait for ever.
    demux.request(4, b"\x20question");
    demux.wait(Duration::from_secs(67));
    demux.send(client, FAR, b"\x20own");
    assert!(demux.one().owner);
}

#[test]
fn a_vendors_own_request_is_one_when_another_vendors_is_expired() {
    let mut demux = TestDemux::new();
    let client = demux.client(0x7e);
    demux.request(3, &hex!("7e 1a03 01"));
    demux.wait(Duration::from_millis(6100));
    demux.send(client, FAR, &hex!("7e 1414 01"));
    assert!(demux.one().owner);
}

#[test]
fn more_processing_required_leaves_the_request_to_the_client_that_announced_it() {
    let mut demux = TestDemux::new();
    let (a, b) = (demux.client(4), demux.client(4));
    demux.request(5, &hex!("84 08 00 00 01"));
    // 3 s more.
    demux.send(a, FAR, &hex!("84 88 00 00 01 00 1e00"));
    assert_eq!(demux.tag(), (false, 5));
    demux.send(b, FAR, &hex!("84 88 00 00 00"));
    assert!(demux.sent().is_empty());
    demux.wait(Duration::from_secs(50));
    demux.send(a, FAR, &hex!("84 88 00 00 01 00 1e00"));
    assert_eq!(demux.tag(), (false, 5));
    demux.wait(Duration::from_secs(50));
    demux.send(a, FAR, &hex!("84 88 00 00 00 00 0000"));
    assert_eq!(demux.tag(), (false, 5));
    demux.send(a, FAR, &hex!("84 88 00 00 00 00 0000"));
    assert!(demux.sent().is_empty());
}

#[test]
fn what_is_remembered_is_bounded_and_open_requests_stay_longest() {
    let mut demux = TestDemux::new();
    let (a, b) = (demux.client(0x20), demux.client(0x20));
    demux.request(7, b"\x20open");
    for _ in 0..100 {
        demux.request(1, b"\x20answered");
        demux.send(b, FAR, b"\x20answer");
    }
    demux.sent();
    let open: usize = demux.inner.clients(demux.now).filter(|c| c.0 == a).map(|c| c.3).sum();
    assert!(open <= 32);
    assert!(demux.refused(Refusal::Forgotten) > 0 || open > 0);
}
