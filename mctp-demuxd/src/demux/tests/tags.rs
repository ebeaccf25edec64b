//! Tags of requests: how long they are out, and which of them may not be the same.

use hex_literal::hex;
use mctp_proto::control::bus_owner::{BusOwner, Timing};
use mctp_proto::route::Origin;
use mctp_proto::{BusPath, Eid, MessageType};

use super::*;
use crate::demux::AnswerLimits;

const PLDM: [u8; 4] = hex!("01 80 00 02");

#[test]
fn a_tag_is_free_again_when_the_limit_of_its_type_is_over() {
    let mut limits = AnswerLimits { all: Some(Duration::from_millis(500)), by_type: Vec::new() };
    limits.by_type.push((MessageType::SPDM, Duration::from_secs(20)));
    let settings = Settings { answer_limits: limits, ..Settings::default() };
    let mut demux = TestDemux::with(settings, &[Medium::Serial]);
    let (pldm, spdm) = (demux.client(1), demux.client(5));
    demux.send(pldm, FAR, &PLDM);
    demux.send(spdm, FAR, &hex!("05 10 84 00"));
    let sent = demux.sent();
    demux.wait(Duration::from_millis(600));
    demux.receive(false, sent[0].tag, &hex!("01 00 00 02 00"));
    assert_eq!((demux.given(pldm).len(), demux.refused(Refusal::Unsolicited)), (0, 1));
    demux.wait(Duration::from_secs(18));
    demux.receive(false, sent[1].tag, &hex!("05 10 04 00"));
    assert_eq!(demux.given(spdm).len(), 1);
}

#[test]
fn nvme_mi_and_spdm_answers_may_take_longer_than_others() {
    let mut demux = TestDemux::new();
    let (nvme, spdm) = (demux.client(4), demux.client(5));
    demux.send(nvme, FAR, &hex!("84 08 00 00 01"));
    demux.send(spdm, FAR, &hex!("05 10 84 00"));
    let sent = demux.sent();
    demux.wait(Duration::from_secs(30));
    demux.receive(false, sent[0].tag, &hex!("84 88 00 00 00"));
    demux.receive(false, sent[1].tag, &hex!("05 10 04 00"));
    assert_eq!((demux.given(nvme).len(), demux.given(spdm).len()), (1, 1));
}

#[test]
fn long_limits_do_not_keep_a_peer_busy_for_ever() {
    let mut demux = TestDemux::new();
    let client = demux.client(4);
    for _ in 0..9 {
        demux.send(client, FAR, &hex!("84 08 00 00 01"));
    }
    assert_eq!(demux.sent().len(), 8);
    demux.wait(Duration::from_millis(6100));
    assert_eq!(demux.sent().len(), 1);
}

#[test]
fn more_processing_required_keeps_the_tag_until_the_final_answer() {
    let mut demux = TestDemux::new();
    let client = demux.client(4);
    demux.send(client, FAR, &hex!("84 08 00 00 01"));
    let tag = demux.one().tag;
    // 100 s more.
    demux.receive(false, tag, &hex!("84 88 00 00 01 00 e803"));
    demux.wait(Duration::from_secs(99));
    demux.receive(false, tag, &hex!("84 88 00 00 00 00 0000"));
    assert_eq!(demux.given(client).len(), 2);
    demux.receive(false, tag, &hex!("84 88 00 00 00 00 0000"));
    assert_eq!((demux.given(client).len(), demux.refused(Refusal::Unsolicited)), (0, 1));
}

#[test]
fn a_broadcast_takes_all_answers_until_its_time_is_over() {
    let mut demux = TestDemux::new();
    let client = demux.client(1);
    demux.send(client, 0xff, &PLDM);
    let tag = demux.one().tag;
    for eid in 20..30 {
        demux.receive_at(Address::None, eid, false, tag, &hex!("01 00 00 02 00"));
    }
    assert_eq!(demux.given(client).len(), 10);
    demux.wait(Duration::from_millis(6100));
    demux.receive_at(Address::None, 30, false, tag, &hex!("01 00 00 02 00"));
    assert!(demux.given(client).is_empty());
}

#[test]
fn requests_to_the_null_id_and_to_the_real_one_get_each_their_own_answer() {
    let mut demux = TestDemux::new();
    let (a, b) = (demux.client(1), demux.client(1));
    demux.send(a, 0, &hex!("01 81 00 02"));
    demux.send(b, FAR, &hex!("01 81 00 03"));
    let sent = demux.sent();
    assert_ne!(sent[0].tag, sent[1].tag);
    demux.receive(false, sent[1].tag, &hex!("01 01 00 03 00"));
    demux.receive(false, sent[0].tag, &hex!("01 01 00 02 00"));
    assert_eq!(demux.given(a), [hex!("01 01 00 02 00")]);
    assert_eq!(demux.given(b), [hex!("01 01 00 03 00")]);
}

#[test]
fn requests_to_the_null_id_at_many_addresses_have_tags_of_their_own() {
    let mut demux = TestDemux::with(Settings::default(), &[Medium::PcieVdm]);
    let mut owner = BusOwner::new(Eid(OWN), (Eid(20), Eid(99)), Timing::default());
    for address in 0..40 {
        owner.add_position(BusPath::new(LINK, Address::Pcie(0x100 + address)), None);
    }
    demux.inner.own_buses(owner);
    demux.inner.drain_owner(demux.now);
    let sent = demux.sent();
    let mut addresses: Vec<Address> = sent.iter().map(|sent| sent.address).collect();
    addresses.dedup();
    assert_eq!((sent.len(), addresses.len()), (40, 40));
}

#[test]
fn an_answer_with_the_tag_owner_bit_set_frees_the_tag_by_its_key() {
    let mut demux = TestDemux::new();
    let (client, other) = (demux.client(1), demux.client(1));
    for number in 0..40_u8 {
        let instance = number % 32;
        demux.send(client, FAR, &[1, 0x80 | instance, 0, 2]);
        assert!(demux.one().owner);
        // As libmctp's daemon answers: tag 0, whatever was asked.
        demux.receive(true, 0, &[1, instance, 0, 2, 0]);
        assert_eq!(demux.given(client), [[1, instance, 0, 2, 0]]);
    }
    assert!(demux.given(other).is_empty());
    // One that answers nothing is passed on as what its tag owner bit says.
    demux.receive(true, 0, &hex!("01 05 00 02 00"));
    assert_eq!((demux.given(other).len(), demux.given(client).len()), (1, 1));
}

#[test]
fn endpoints_are_published_when_they_have_answered() {
    let mut demux = TestDemux::with(Settings::default(), &[Medium::Smbus]);
    let client = demux.client(1);
    for eid in 20..120 {
        demux.receive_at(Address::Smbus(0x20), eid, true, 0, b"\x21spoofed");
    }
    let answered = |demux: &TestDemux| {
        demux.inner.routes().iter().filter(|route| route.origin >= Origin::Answered).count()
    };
    assert_eq!((answered(&demux), demux.inner.routes().len()), (0, 64));
    demux.send(client, 119, &PLDM);
    let tag = demux.one().tag;
    demux.receive_at(Address::Smbus(0x20), 119, false, tag, &hex!("01 00 00 02 00"));
    assert_eq!(answered(&demux), 1);
    demux.wait(Duration::from_secs(61));
    assert!(demux.inner.routes().is_empty());
}
