//! Which answer goes with which request, without clients ever seeing a tag.

use std::time::{Duration, Instant};

use hex_literal::hex;

use crate::daemon::Daemon;
use crate::dbus::{Bus, INTERFACE, ROOT};
use crate::wire::{FAR, Message, TO, wait_until};

/// A type that says nothing of requests and answers.
const PLAIN: u8 = 0x20;

/// PLDM: instance, type and command, and the body.
fn pldm(request: bool, instance: u8, command: u8, body: &[u8]) -> Vec<u8> {
    let flags = if request { 0x80 } else { 0 } | instance;
    [&[1, flags, 2, command], body].concat()
}

#[test]
fn an_answer_bears_the_tag_of_its_request_and_no_owner_bit() {
    let mut daemon = Daemon::start();
    let client = daemon.client(PLAIN);
    for tag in 0..8 {
        daemon.wire.request(tag, b"\x20ask");
        assert_eq!(client.message().1, b"\x20ask");
        client.send(FAR, b"\x20answer");
        let answer = daemon.wire.message();
        let expected =
            Message { to: FAR, from: 8, owner: false, tag, bytes: b"\x20answer".to_vec() };
        assert_eq!(answer, expected);
    }
}

#[test]
fn several_requests_are_answered_oldest_first() {
    let mut daemon = Daemon::start();
    let client = daemon.client(PLAIN);
    for (tag, body) in [(5, b"\x20a"), (2, b"\x20b"), (7, b"\x20c")] {
        daemon.wire.request(tag, body);
        client.message();
    }
    for tag in [5, 2, 7] {
        client.send(FAR, b"\x20answer");
        assert_eq!((daemon.wire.message().tag, tag), (tag, tag));
    }
    client.send(FAR, b"\x20my own");
    assert!(daemon.wire.message().owner);
}

#[test]
fn requests_of_several_endpoints_are_kept_apart() {
    let mut daemon = Daemon::start();
    let client = daemon.client(PLAIN);
    daemon.wire.send(20, TO | 1, b"\x20a");
    daemon.wire.send(21, TO | 2, b"\x20b");
    client.message();
    client.message();
    client.send(21, b"\x20to 21");
    client.send(20, b"\x20to 20");
    let (first, second) = (daemon.wire.message(), daemon.wire.message());
    let mut answers = [(first.to, first.tag, first.owner), (second.to, second.tag, second.owner)];
    answers.sort_unstable();
    assert_eq!(answers, [(20, 1, false), (21, 2, false)]);
}

#[test]
fn eight_requests_may_be_out_and_each_answer_finds_its_client() {
    let mut daemon = Daemon::start();
    let clients = daemon.clients(PLAIN, 8);
    for (index, client) in clients.iter().enumerate() {
        client.send(FAR, &[PLAIN, u8::try_from(index).unwrap()]);
    }
    let mut requests: Vec<Message> = (0..8).map(|_| daemon.wire.message()).collect();
    let mut tags: Vec<u8> = requests.iter().map(|request| request.tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, [0, 1, 2, 3, 4, 5, 6, 7]);
    requests.reverse();
    for request in &requests {
        daemon.wire.answer(request, &[PLAIN, request.bytes[1], 0xaa]);
    }
    for (index, client) in clients.iter().enumerate() {
        assert_eq!(client.message().1, [PLAIN, u8::try_from(index).unwrap(), 0xaa]);
        assert!(client.is_silent());
    }
}

#[test]
fn the_ninth_request_waits_for_a_tag_and_is_not_lost() {
    let mut daemon = Daemon::start();
    let client = daemon.client(PLAIN);
    for number in 0..10 {
        client.send(FAR, &[PLAIN, number]);
    }
    let requests: Vec<Message> = (0..8).map(|_| daemon.wire.message()).collect();
    daemon.wire.is_silent();
    for (request, next) in requests.iter().zip([8, 9]) {
        daemon.wire.answer(request, b"\x20");
        let released = daemon.wire.message();
        assert_eq!((released.bytes[1], released.tag), (next, request.tag));
    }
}

#[test]
fn tags_are_free_again_when_their_client_disconnects() {
    // After six seconds they would be free in any case: a machine that takes so long proves nothing.
    let proved = (0..5).any(|_| {
        let mut daemon = Daemon::start();
        let gone = daemon.client(PLAIN);
        let start = Instant::now();
        for number in 0..8 {
            gone.send(FAR, &[PLAIN, number]);
            daemon.wire.message();
        }
        drop(gone);
        let client = daemon.client(PLAIN);
        client.send(FAR, b"\x20next");
        assert_eq!(daemon.wire.message().bytes, b"\x20next");
        start.elapsed() < Duration::from_secs(5)
    });
    assert!(proved);
}

#[test]
fn an_answer_for_a_client_that_has_disconnected_reaches_no_other() {
    let mut daemon = Daemon::start();
    let gone = daemon.client(PLAIN);
    gone.send(FAR, b"\x20question");
    let request = daemon.wire.message();
    drop(gone);
    let others = daemon.clients(PLAIN, 3);
    for client in &others {
        client.send(FAR, b"\x20mine");
        daemon.wire.message();
    }
    daemon.wire.answer(&request, b"\x20not yours");
    daemon.settle();
    assert!(others.iter().all(crate::daemon::Client::is_silent));
}

#[test]
fn an_unsolicited_answer_reaches_no_client() {
    let mut daemon = Daemon::start();
    let client = daemon.client(PLAIN);
    for tag in 0..8 {
        daemon.wire.send(FAR, tag, b"\x20unasked");
    }
    daemon.wire.request(0, b"\x20asked");
    assert_eq!(client.message().1, b"\x20asked");
}

#[test]
fn an_answer_of_another_endpoint_or_type_reaches_no_client() {
    let mut daemon = Daemon::start();
    let client = daemon.client(PLAIN);
    let other = daemon.client(5);
    client.send(FAR, b"\x20question");
    let request = daemon.wire.message();
    daemon.wire.send(FAR + 1, request.tag, b"\x20wrong endpoint");
    daemon.settle();
    assert!(client.is_silent());
    daemon.wire.answer(&request, b"\x05wrong type");
    daemon.settle();
    assert!(client.is_silent() && other.is_silent());
}

#[test]
fn the_first_of_several_answers_wins() {
    let mut daemon = Daemon::start();
    let clients = daemon.clients(PLAIN, 3);
    // Each of them has answered before, and is known to.
    for (tag, client) in (0..).zip(&clients) {
        daemon.wire.request(tag, b"\x20question");
        for other in &clients {
            assert_eq!(other.message().1, b"\x20question");
        }
        client.send(FAR, b"\x20answer");
        assert_eq!(daemon.wire.message().tag, tag);
    }
    daemon.wire.request(4, b"\x20question");
    for client in &clients {
        assert_eq!(client.message().1, b"\x20question");
    }
    clients[1].send(FAR, b"\x20first");
    assert_eq!(daemon.wire.message().bytes, b"\x20first");
    clients[0].send(FAR, b"\x20second");
    clients[2].send(FAR, b"\x20third");
    daemon.wire.is_silent();
}

#[test]
fn a_pldm_request_is_one_though_an_answer_is_owed() {
    let mut daemon = Daemon::start();
    let client = daemon.client(1);
    daemon.wire.request(6, &pldm(true, 3, 0x11, &[]));
    client.message();
    client.send(FAR, &pldm(true, 4, 0x11, &[]));
    assert!(daemon.wire.message().owner);
    client.send(FAR, &pldm(false, 3, 0x11, &[0]));
    let answer = daemon.wire.message();
    assert_eq!((answer.owner, answer.tag), (false, 6));
}

#[test]
fn pldm_answers_find_their_request_by_instance_type_and_command() {
    let mut daemon = Daemon::start();
    let client = daemon.client(1);
    for (tag, instance, command) in [(0, 1, 0x10), (1, 2, 0x10), (2, 2, 0x11)] {
        daemon.wire.request(tag, &pldm(true, instance, command, &[]));
        client.message();
    }
    for (tag, instance, command) in [(2, 2, 0x11), (0, 1, 0x10), (1, 2, 0x10)] {
        client.send(FAR, &pldm(false, instance, command, &[0]));
        assert_eq!(daemon.wire.message().tag, tag);
    }
    client.send(FAR, &pldm(false, 9, 0x10, &[0]));
    daemon.wire.is_silent();
}

#[test]
fn a_pldm_datagram_needs_no_answer_and_keeps_no_tag() {
    let mut daemon = Daemon::start();
    let client = daemon.client(1);
    for number in 0..50 {
        client.send(FAR, &[1, 0xc0, 2, 0x0a, number]);
        let message = daemon.wire.message();
        assert!(message.owner && message.bytes[4] == number);
    }
    // And one that came is not owed an answer.
    daemon.wire.request(0, &[1, 0xc0, 2, 0x0a, 0]);
    client.message();
    client.send(FAR, &pldm(true, 0, 0x02, &[]));
    assert!(daemon.wire.message().owner);
}

#[test]
fn nvme_mi_and_spdm_say_themselves_what_is_a_request() {
    let cases: [(u8, &[u8], &[u8]); 2] = [
        (4, &[0x84, 0x08, 0, 0, 1], &[0x84, 0x88, 0, 0, 2]),
        (5, &[0x05, 0x10, 0x84, 0], &[0x05, 0x10, 0x04, 0]),
    ];
    for (kind, request, answer) in cases {
        let mut daemon = Daemon::start();
        let client = daemon.client(kind);
        daemon.wire.request(5, request);
        client.message();
        client.send(FAR, request);
        assert!(daemon.wire.message().owner, "{kind}");
        client.send(FAR, answer);
        let message = daemon.wire.message();
        assert_eq!((message.owner, message.tag), (false, 5), "{kind}");
        client.send(FAR, answer);
        daemon.wire.is_silent();
    }
}

#[test]
fn thirty_two_requests_are_kept_for_an_answer_and_the_oldest_forgotten() {
    let mut daemon = Daemon::start();
    let client = daemon.client(PLAIN);
    for number in 0..34_u8 {
        daemon.wire.request(number % 8, &[PLAIN, number]);
        client.message();
    }
    for number in 2..34_u8 {
        client.send(FAR, b"\x20answer");
        let answer = daemon.wire.message();
        assert_eq!((answer.owner, answer.tag), (false, number % 8));
    }
    client.send(FAR, b"\x20my own");
    assert!(daemon.wire.message().owner);
}

#[test]
fn clients_of_one_vendor_type_are_told_apart_by_vendor() {
    let mut daemon = Daemon::start();
    let clients = daemon.clients(0x7e, 2);
    let [a, b] = &clients[..] else { unreachable!() };
    let mut ask = |tag: u8, question: &[u8]| {
        daemon.wire.request(tag, question);
        assert_eq!((a.message().1, b.message().1), (question.to_vec(), question.to_vec()));
        daemon.settle();
    };
    ask(1, &hex!("7e 1a03 01"));
    b.send(FAR, &hex!("7e 1a03 81"));
    assert_eq!(tag_of(daemon.wire.message()), (false, 1));
    daemon.wire.request(2, &hex!("7e 1414 01"));
    a.message();
    a.send(FAR, &hex!("7e 1414 81"));
    assert_eq!(tag_of(daemon.wire.message()), (false, 2));
    daemon.wire.request(3, &hex!("7e 1a03 02"));
    daemon.wire.request(4, &hex!("7e 1414 02"));
    for client in [a, a, b, b, b] {
        client.message();
    }
    a.send(FAR, &hex!("7e 1414 82"));
    assert_eq!(tag_of(daemon.wire.message()), (false, 4));
    b.send(FAR, &hex!("7e 1a03 82"));
    assert_eq!(tag_of(daemon.wire.message()), (false, 3));
}

fn tag_of(message: Message) -> (bool, u8) {
    (message.owner, message.tag)
}

#[test]
fn a_clients_own_request_is_sent_as_one_before_and_after_its_sibling_answers() {
    let cases: [(&[u8], &[u8], bool); 8] = [
        (&hex!("02 00 01 00 07 15 00 0000"), &hex!("02 00 01 00 07 95 00 0000"), true),
        (&hex!("06 01020304 0000 01"), &hex!("06 01020304 0000 02"), false),
        (&hex!("07 00 05 00 0051"), &hex!("07 01 05 00 0051"), true),
        (&hex!("08 00 05 00 0001"), &hex!("08 01 05 00 0001"), true),
        (&hex!("09 01 02 03"), &hex!("09 01 02 04"), false),
        (&hex!("20 01 02 03"), &hex!("20 01 02 04"), false),
        (&hex!("7e 1a03 01"), &hex!("7e 1a03 81"), false),
        (&hex!("7f 00003039 01"), &hex!("7f 00003039 81"), false),
    ];
    for (request, answer, says_itself) in cases {
        let mut daemon = Daemon::start();
        let clients = daemon.clients(request[0], 2);
        let [asker, responder] = &clients[..] else { unreachable!() };
        daemon.wire.request(5, request);
        assert_eq!(asker.message(), responder.message());
        if says_itself {
            asker.send(FAR, request);
            assert!(daemon.wire.message().owner, "{request:02x?}");
        }
        responder.send(FAR, answer);
        assert_eq!(tag_of(daemon.wire.message()), (false, 5), "{answer:02x?}");
        asker.send(FAR, request);
        assert!(daemon.wire.message().owner, "{request:02x?}");
    }
}

#[test]
fn after_an_event_or_a_frame_the_next_message_is_a_request() {
    for (event, own) in [
        (&hex!("02 00 01 00 00 ff 00 0004")[..], &hex!("02 00 01 00 01 05 00 0000")[..]),
        (&hex!("03 ffffffffffff 020000000001"), &hex!("03 020000000001 ffffffffffff")),
        (&hex!("84 28 00 00 00"), &hex!("84 08 00 00 06")),
    ] {
        let mut daemon = Daemon::start();
        let client = daemon.client(event[0]);
        daemon.wire.request(5, event);
        client.message();
        client.send(FAR, own);
        assert!(daemon.wire.message().owner, "{own:02x?}");
    }
}

#[test]
fn more_processing_required_keeps_the_tag_in_both_roles() {
    let [request, more, last] = [
        hex!("84 08 00 00 01 00 0000"),
        hex!("84 88 00 00 01 00 0000"),
        hex!("84 88 00 00 00 00 0000"),
    ];
    let mut daemon = Daemon::start();
    let client = daemon.client(4);
    client.send(FAR, &request);
    let asked = daemon.wire.message();
    daemon.wire.answer(&asked, &more);
    daemon.wire.answer(&asked, &last);
    assert_eq!((client.message().1, client.message().1), (more.to_vec(), last.to_vec()));
    daemon.wire.request(6, &request);
    client.message();
    for answer in [more, last] {
        client.send(FAR, &answer);
        assert_eq!(tag_of(daemon.wire.message()), (false, 6), "{answer:02x?}");
    }
    client.send(FAR, &last);
    daemon.wire.is_silent();
}

#[test]
fn a_broadcast_request_takes_the_answers_of_all() {
    let mut daemon = Daemon::start();
    let client = daemon.client(1);
    client.send(0xff, &pldm(true, 1, 2, &[]));
    let asked = daemon.wire.message();
    assert_eq!((asked.to, asked.owner), (0xff, true));
    for eid in [9, 10, 11, 9] {
        daemon.wire.send(eid, asked.tag, &pldm(false, 1, 2, &[0]));
        assert_eq!(client.message().0, eid);
    }
}

/// A daemon on which answers may take half a second.
fn impatient() -> (Daemon, Bus, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("causeway.toml");
    std::fs::write(&file, "[mctp]\nanswer-limit-ms = 500\n").unwrap();
    let bus = Bus::start();
    let daemon = Daemon::on_bus(&["--config", file.to_str().unwrap()], &bus.address);
    bus.wait_for_name();
    (daemon, bus, folder)
}

#[test]
fn a_late_answer_is_counted_and_never_sent_as_a_request() {
    let (mut daemon, bus, _folder) = impatient();
    let client = daemon.client(PLAIN);
    daemon.wire.request(3, b"\x20question");
    client.message();
    wait_until(|| bus.property(ROOT, INTERFACE, "Clients").ends_with(" 0 0"));
    client.send(FAR, b"\x20late");
    daemon.wire.is_silent();
    assert!(bus.property(ROOT, INTERFACE, "Refusals").contains("\"late-answer\" 1"));
    client.send(FAR, b"\x20own");
    assert!(daemon.wire.message().owner);
}

#[test]
fn a_tag_is_free_again_when_the_configured_time_for_an_answer_is_over() {
    let (mut daemon, _bus, _folder) = impatient();
    let client = daemon.client(PLAIN);
    for number in 0..9 {
        client.send(FAR, &[PLAIN, number]);
    }
    let first: Vec<Message> = (0..8).map(|_| daemon.wire.message()).collect();
    let ninth = daemon.wire.message();
    assert_eq!((ninth.bytes[1], ninth.tag), (8, first[0].tag));
}

#[test]
fn the_null_id_and_the_real_one_share_no_tags() {
    let mut daemon = Daemon::start();
    let clients = daemon.clients(1, 2);
    clients[0].send(0, &pldm(true, 1, 2, &[]));
    let to_null = daemon.wire.message();
    clients[1].send(FAR, &pldm(true, 1, 3, &[]));
    let to_real = daemon.wire.message();
    assert_eq!((to_null.to, to_real.to), (0, FAR));
    assert_ne!(to_null.tag, to_real.tag);
    daemon.wire.send(FAR, to_real.tag, &pldm(false, 1, 3, &[0]));
    daemon.wire.send(FAR, to_null.tag, &pldm(false, 1, 2, &[0]));
    assert_eq!(clients[0].message(), (FAR, pldm(false, 1, 2, &[0])));
    assert_eq!(clients[1].message(), (FAR, pldm(false, 1, 3, &[0])));
}

#[test]
fn forty_answers_with_the_tag_owner_bit_set_each_free_their_tag() {
    let mut daemon = Daemon::start();
    let client = daemon.client(1);
    for number in 0..40 {
        client.send(FAR, &pldm(true, number % 32, 2, &[]));
        let asked = daemon.wire.message();
        assert!(asked.owner);
        daemon.wire.send(FAR, TO, &pldm(false, number % 32, 2, &[0, number]));
        assert_eq!(client.message(), (FAR, pldm(false, number % 32, 2, &[0, number])));
    }
}
