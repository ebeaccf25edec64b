//! The control protocol of a bus owner, and of an endpoint on PCIe, over the demultiplexer.

use hex_literal::hex;
use mctp_proto::BusPath;
use mctp_proto::control::bus_owner::{BusOwner, Timing};
use mctp_proto::control::responder::Role;

use super::*;

/// A bus owner on PCIe with positions 100h to 100h plus `count`, of which `present` answer.
fn bus(count: u16) -> TestDemux {
    let mut settings = Settings::default();
    settings.identity.role = Role::BusOwner;
    let mut demux = TestDemux::with(settings, &[Medium::PcieVdm]);
    let mut owner = BusOwner::new(Eid(OWN), (Eid(20), Eid(200)), Timing::default());
    for address in 0..count {
        owner.add_position(BusPath::new(LINK, Address::Pcie(0x100 + address)), None);
    }
    demux.inner.own_buses(owner);
    demux.inner.drain_owner(demux.now);
    demux
}

/// Answers what is asked of simple endpoints, of which those up to `absent` do not answer.
fn answer(demux: &mut TestDemux, absent: u16, eids: &mut BTreeMap<Address, u8>) -> usize {
    let requests = demux.sent();
    for request in &requests {
        let &[0, flags, command, ref data @ ..] = &request.bytes[..] else { panic!() };
        let Address::Pcie(number) = request.address else { panic!() };
        if number < 0x100 + absent {
            continue;
        }
        let eid = eids.entry(request.address).or_insert(0);
        let answer = match command {
            1 => {
                *eid = data[1];
                vec![0, 0, *eid, 0]
            }
            2 => vec![0, *eid, 0, 0],
            3 => vec![5],
            _ => vec![0, 2, 0, 1],
        };
        let answer = [&[0, flags & 0x1f, command], &answer[..]].concat();
        demux.receive_at(request.address, *eid, false, request.tag, &answer);
    }
    requests.len()
}

#[test]
fn an_endpoint_after_many_absent_ones_is_found_at_once() {
    let mut demux = bus(9);
    let mut eids = BTreeMap::from([(Address::Pcie(0x108), 42)]);
    while answer(&mut demux, 8, &mut eids) > 0 {}
    let found: Vec<u8> = demux.inner.endpoints().map(|found| found.eid.0).collect();
    assert_eq!((found, demux.now), (vec![42], Duration::ZERO));
}

#[test]
fn sixty_four_endpoints_are_found_without_waiting_for_the_absent_ones_but_once() {
    let mut demux = bus(64);
    let mut eids = BTreeMap::new();
    while answer(&mut demux, 8, &mut eids) > 0 {}
    demux.wait(Duration::from_millis(200));
    while answer(&mut demux, 8, &mut eids) > 0 {}
    assert_eq!(demux.inner.endpoints().count(), 56);
    assert_eq!(demux.now, Duration::from_millis(200));
}

#[test]
fn a_discovery_notify_is_followed_at_once() {
    let mut demux = bus(1);
    let mut eids = BTreeMap::from([(Address::Pcie(0x100), 42)]);
    while answer(&mut demux, 0, &mut eids) > 0 {}
    let here = Address::Pcie(0x100);
    eids.insert(here, 0);
    demux.receive_at(here, 0, true, 3, &hex!("00 81 0d"));
    let sent = demux.sent();
    let asked = sent.iter().find(|sent| sent.owner).unwrap();
    assert_eq!((asked.to, asked.address, asked.bytes[2]), (0, here, 2));
}

#[test]
fn discovery_notify_is_repeated_twice_unless_it_is_answered() {
    let settings = Settings::default();
    let mut demux = TestDemux::with(settings, &[Medium::PcieVdm]);
    demux.inner = {
        let mut settings = Settings { clients: 1, ..Settings::default() };
        settings.identity.static_eid = None;
        Demux::new(settings, vec![("pcie".to_owned(), LinkKind::Packets(Medium::PcieVdm, 64))])
    };
    for answered in [false, true] {
        demux.inner.set_link_up(demux.now, LINK, false, &mut demux.out);
        demux.inner.set_link_up(demux.now, LINK, true, &mut demux.out);
        let mut times = Vec::new();
        let start = demux.now;
        for _ in 0..30 {
            for sent in demux.sent() {
                assert_eq!((sent.address, &sent.bytes[..]), (Address::None, &hex!("00 80 0d")[..]));
                times.push((demux.now - start).as_secs());
                if answered {
                    let answer = hex!("00 00 0d 00");
                    let packet = [&[1, 0, OWN, 0xc0 | sent.tag][..], &answer].concat();
                    let root = Address::Pcie(0);
                    demux.inner.handle_packet(demux.now, LINK, root, &packet, &mut demux.out);
                }
            }
            demux.wait(Duration::from_secs(1));
        }
        assert_eq!(times, if answered { vec![0] } else { vec![0, 5, 10] });
    }
}

#[test]
fn answers_to_discovery_go_to_the_root_complex() {
    let mut demux = TestDemux::with(Settings::default(), &[Medium::PcieVdm]);
    for command in [0x0b, 0x0c] {
        demux.receive_at(Address::Pcie(0x0218), FAR, true, 1, &[0, 0x81, command]);
        assert_eq!(demux.one().address, Address::None, "{command:02x}");
    }
    demux.receive_at(Address::Pcie(0x0218), FAR, true, 1, &hex!("00 81 02"));
    assert_eq!(demux.one().address, Address::Pcie(0x0218));
}
