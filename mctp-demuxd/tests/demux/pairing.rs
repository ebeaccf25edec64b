//! Which answer goes with which request, without clients ever seeing a tag.

use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::wire::{FAR, Message, TO};

const VENDOR: u8 = 0x7e;

/// PLDM: instance, type and command, and the body.
fn pldm(request: bool, instance: u8, command: u8, body: &[u8]) -> Vec<u8> {
    let flags = if request { 0x80 } else { 0 } | instance;
    [&[1, flags, 2, command], body].concat()
}

#[test]
fn an_answer_bears_the_tag_of_its_request_and_no_owner_bit() {
    let mut daemon = Daemon::start();
    let client = daemon.client(VENDOR);
    for tag in 0..8 {
        daemon.wire.request(tag, b"\x7eask");
        assert_eq!(client.message().1, b"\x7eask");
        client.send(FAR, b"\x7eanswer");
        let answer = daemon.wire.message();
        let expected =
            Message { to: FAR, from: 8, owner: false, tag, bytes: b"\x7eanswer".to_vec() };
        assert_eq!(answer, expected);
    }
}

#[test]
fn several_requests_are_answered_oldest_first() {
    let mut daemon = Daemon::start();
    let client = daemon.client(VENDOR);
    for (tag, body) in [(5, b"\x7ea"), (2, b"\x7eb"), (7, b"\x7ec")] {
        daemon.wire.request(tag, body);
        client.message();
    }
    for tag in [5, 2, 7] {
        client.send(FAR, b"\x7eanswer");
        assert_eq!((daemon.wire.message().tag, tag), (tag, tag));
    }
    client.send(FAR, b"\x7emy own");
    assert!(daemon.wire.message().owner);
}

#[test]
fn requests_of_several_endpoints_are_kept_apart() {
    let mut daemon = Daemon::start();
    let client = daemon.client(VENDOR);
    daemon.wire.send(20, TO | 1, b"\x7ea");
    daemon.wire.send(21, TO | 2, b"\x7eb");
    client.message();
    client.message();
    client.send(21, b"\x7eto 21");
    client.send(20, b"\x7eto 20");
    let (first, second) = (daemon.wire.message(), daemon.wire.message());
    let mut answers = [(first.to, first.tag, first.owner), (second.to, second.tag, second.owner)];
    answers.sort_unstable();
    assert_eq!(answers, [(20, 1, false), (21, 2, false)]);
}

#[test]
fn eight_requests_may_be_out_and_each_answer_finds_its_client() {
    let mut daemon = Daemon::start();
    let clients = daemon.clients(VENDOR, 8);
    for (index, client) in clients.iter().enumerate() {
        client.send(FAR, &[VENDOR, u8::try_from(index).unwrap()]);
    }
    let mut requests: Vec<Message> = (0..8).map(|_| daemon.wire.message()).collect();
    let mut tags: Vec<u8> = requests.iter().map(|request| request.tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, [0, 1, 2, 3, 4, 5, 6, 7]);
    requests.reverse();
    for request in &requests {
        daemon.wire.answer(request, &[VENDOR, request.bytes[1], 0xaa]);
    }
    for (index, client) in clients.iter().enumerate() {
        assert_eq!(client.message().1, [VENDOR, u8::try_from(index).unwrap(), 0xaa]);
        assert!(client.is_silent());
    }
}

#[test]
fn the_ninth_request_waits_for_a_tag_and_is_not_lost() {
    let mut daemon = Daemon::start();
    let client = daemon.client(VENDOR);
    for number in 0..10 {
        client.send(FAR, &[VENDOR, number]);
    }
    let requests: Vec<Message> = (0..8).map(|_| daemon.wire.message()).collect();
    daemon.wire.is_silent();
    for (request, next) in requests.iter().zip([8, 9]) {
        daemon.wire.answer(request, b"\x7e");
        let released = daemon.wire.message();
        assert_eq!((released.bytes[1], released.tag), (next, request.tag));
    }
}

#[test]
fn tags_are_free_again_after_six_seconds() {
    let mut daemon = Daemon::start();
    let client = daemon.client(VENDOR);
    for number in 0..9 {
        client.send(FAR, &[VENDOR, number]);
    }
    let first: Vec<Message> = (0..8).map(|_| daemon.wire.message()).collect();
    let ninth = daemon.wire.message();
    assert_eq!(ninth.bytes[1], 8);
    // An answer that is late by now is nobody's. (The last may have been sent after the first.)
    std::thread::sleep(Duration::from_millis(500));
    daemon.settle();
    daemon.wire.answer(&first[7], b"\x7elate");
    daemon.wire.answer(&ninth, b"\x7ein time");
    assert_eq!(client.message().1, b"\x7ein time");
}

#[test]
fn tags_are_free_again_when_their_client_goes() {
    // After six seconds they would be free in any case: a machine that takes so long proves nothing.
    let proved = (0..5).any(|_| {
        let mut daemon = Daemon::start();
        let gone = daemon.client(VENDOR);
        let start = Instant::now();
        for number in 0..8 {
            gone.send(FAR, &[VENDOR, number]);
            daemon.wire.message();
        }
        drop(gone);
        let client = daemon.client(VENDOR);
        client.send(FAR, b"\x7enext");
        assert_eq!(daemon.wire.message().bytes, b"\x7enext");
        start.elapsed() < Duration::from_secs(5)
    });
    assert!(proved);
}

#[test]
fn an_answer_for_a_client_that_has_gone_reaches_nobody_else() {
    let mut daemon = Daemon::start();
    let gone = daemon.client(VENDOR);
    gone.send(FAR, b"\x7equestion");
    let request = daemon.wire.message();
    drop(gone);
    let others = daemon.clients(VENDOR, 3);
    for client in &others {
        client.send(FAR, b"\x7emine");
        daemon.wire.message();
    }
    daemon.wire.answer(&request, b"\x7enot yours");
    daemon.settle();
    assert!(others.iter().all(crate::daemon::Client::is_silent));
}

#[test]
fn an_unsolicited_answer_reaches_nobody() {
    let mut daemon = Daemon::start();
    let client = daemon.client(VENDOR);
    for tag in 0..8 {
        daemon.wire.send(FAR, tag, b"\x7eunasked");
    }
    daemon.wire.request(0, b"\x7easked");
    assert_eq!(client.message().1, b"\x7easked");
}

#[test]
fn an_answer_of_another_endpoint_or_type_reaches_nobody() {
    let mut daemon = Daemon::start();
    let client = daemon.client(VENDOR);
    let other = daemon.client(5);
    client.send(FAR, b"\x7equestion");
    let request = daemon.wire.message();
    daemon.wire.send(FAR + 1, request.tag, b"\x7ewrong endpoint");
    daemon.settle();
    assert!(client.is_silent());
    daemon.wire.answer(&request, b"\x05wrong type");
    daemon.settle();
    assert!(client.is_silent() && other.is_silent());
}

#[test]
fn the_first_of_several_answers_wins() {
    let mut daemon = Daemon::start();
    let clients = daemon.clients(VENDOR, 3);
    daemon.wire.request(4, b"\x7equestion");
    for client in &clients {
        assert_eq!(client.message().1, b"\x7equestion");
    }
    clients[1].send(FAR, b"\x7efirst");
    assert_eq!(daemon.wire.message().bytes, b"\x7efirst");
    clients[0].send(FAR, b"\x7esecond");
    clients[2].send(FAR, b"\x7ethird");
    daemon.wire.is_silent();
    clients[0].send(FAR, b"\x7emy own");
    assert!(daemon.wire.message().owner);
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
    let client = daemon.client(VENDOR);
    for number in 0..34_u8 {
        daemon.wire.request(number % 8, &[VENDOR, number]);
        client.message();
    }
    for number in 2..34_u8 {
        client.send(FAR, b"\x7eanswer");
        let answer = daemon.wire.message();
        assert_eq!((answer.owner, answer.tag), (false, number % 8));
    }
    client.send(FAR, b"\x7emy own");
    assert!(daemon.wire.message().owner);
}

#[test]
fn a_request_is_no_longer_owed_after_six_seconds() {
    let mut daemon = Daemon::start();
    let client = daemon.client(VENDOR);
    daemon.wire.request(3, b"\x7equestion");
    client.message();
    std::thread::sleep(Duration::from_millis(6100));
    client.send(FAR, b"\x7emy own");
    assert!(daemon.wire.message().owner);
}
