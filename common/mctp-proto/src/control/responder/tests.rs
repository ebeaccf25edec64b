use hex_literal::hex;
use proptest::prelude::*;

use super::*;

const UUID: [u8; 16] = hex!("00112233445566778899aabbccddeeff");

fn identity() -> Identity {
    Identity {
        static_eid: Some(Eid(8)),
        assignable: true,
        uuid: Some(UUID),
        versions: Vec::from([(MessageType::PLDM, Vec::from([hex!("f1f0ff00")]))]),
        vendors: Vec::from([Vendor::Pci(0x1ab4, 0x0102), Vendor::Iana(0x0000_3039, 0x0001)]),
        ..Identity::default()
    }
}

struct TestEndpoint {
    responder: Responder,
    routes: RouteTable,
    link: LinkId,
    medium: Medium,
    destination: Eid,
    event: Option<Event>,
}

impl TestEndpoint {
    fn new(identity: Identity) -> Self {
        Self {
            responder: Responder::new(identity),
            routes: RouteTable::default(),
            link: LinkId(0),
            medium: Medium::Serial,
            destination: Eid(8),
            event: None,
        }
    }

    fn on(medium: Medium, identity: Identity) -> Self {
        Self { medium, ..Self::new(identity) }
    }

    fn send(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let incoming = Incoming {
            link: self.link,
            medium: self.medium,
            address: Address::Smbus(0x1d),
            destination: self.destination,
            message,
        };
        let types = [MessageType::SPDM, MessageType::PLDM];
        let mut around = Surroundings {
            types: &types,
            routes: &mut self.routes,
            media: &[self.medium, Medium::Smbus],
        };
        let outcome = self.responder.respond(&incoming, &mut around);
        self.event = outcome.event;
        outcome.answer
    }

    /// Sends command and data; returns the response from the completion code on.
    fn ask(&mut self, command_and_data: &[u8]) -> Vec<u8> {
        let answer = self.send(&[&[0, 0x85], command_and_data].concat()).unwrap();
        assert_eq!(answer[..3], [0, 0x05, command_and_data[0]]);
        answer[3..].to_vec()
    }
}

#[test]
fn fixed_answers_match_golden_bytes() {
    let mut endpoint = TestEndpoint::new(identity());
    for (name, request, response) in [
        ("Get Endpoint ID", &hex!("02")[..], &hex!("00 08 01 00")[..]),
        ("UUID", &hex!("03"), &hex!("00 00112233445566778899aabbccddeeff")),
        ("base versions", &hex!("04 ff"), &hex!("00 04 f1f0ff00 f1f1ff00 f1f2ff00 f1f3f100")),
        ("control versions", &hex!("04 00"), &hex!("00 04 f1f0ff00 f1f1ff00 f1f2ff00 f1f3f100")),
        ("PLDM versions", &hex!("04 01"), &hex!("00 01 f1f0ff00")),
        ("versions of no type", &hex!("04 44"), &hex!("80")),
        ("types", &hex!("05"), &hex!("00 03 00 01 05")),
        ("first vendor", &hex!("06 00"), &hex!("00 01 00 1ab4 0102")),
        ("last vendor", &hex!("06 01"), &hex!("00 ff 01 00003039 0001")),
        ("no vendor", &hex!("06 02"), &hex!("02")),
    ] {
        assert_eq!(endpoint.ask(request), response, "{name}");
    }
}

#[test]
fn lengths_are_checked_before_anything_else() {
    let mut endpoint = TestEndpoint::new(identity());
    for request in [
        &hex!("01")[..],
        &hex!("01 00"),
        &hex!("01 00 09 00"),
        &hex!("02 00"),
        &hex!("03 00"),
        &hex!("04"),
        &hex!("05 00"),
        &hex!("06"),
    ] {
        assert_eq!(endpoint.ask(request), [CompletionCode::INVALID_LENGTH.0], "{request:02x?}");
    }
}

#[test]
fn commands_that_are_not_supported_say_so() {
    let mut endpoint = TestEndpoint::new(Identity { uuid: None, ..identity() });
    for command in [0x00, 0x03, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x14, 0xf0, 0xff] {
        assert_eq!(endpoint.ask(&[command]), [0x05], "{command:02x}");
    }
}

#[test]
fn responses_datagrams_and_short_messages_are_not_answered() {
    let mut endpoint = TestEndpoint::new(identity());
    for message in [
        &hex!("00 05 02")[..],
        &hex!("00 c5 02"),
        &hex!("00 85"),
        &hex!("00"),
        &hex!(""),
        &hex!("80 85 02"),
    ] {
        assert_eq!(endpoint.send(message), None, "{message:02x?}");
    }
    endpoint.destination = Eid::BROADCAST;
    assert_eq!(endpoint.send(&hex!("00 85 02")), None);
}

#[test]
fn an_id_can_be_set_and_reset() {
    let mut endpoint = TestEndpoint::new(identity());
    assert_eq!(endpoint.ask(&hex!("01 00 20")), hex!("00 00 20 00"));
    assert_eq!(endpoint.event, Some(Event::EidChanged(Eid(0x20))));
    assert_eq!(endpoint.ask(&hex!("02")), hex!("00 20 03 00"));
    assert_eq!(endpoint.ask(&hex!("01 01 21")), hex!("00 00 21 00"));
    assert_eq!(endpoint.ask(&hex!("01 02 00")), hex!("00 00 08 00"));
    assert_eq!(endpoint.responder.eid(), Eid(8));
}

#[test]
fn reserved_ids_are_invalid_data() {
    let mut endpoint = TestEndpoint::new(identity());
    for eid in [0, 1, 7, 255] {
        assert_eq!(endpoint.ask(&[1, 0, eid]), [0x02], "{eid}");
    }
    assert_eq!(endpoint.ask(&hex!("01 03 00")), [0x02], "no discovered flag on a serial line");
}

#[test]
fn a_fixed_id_stays_and_the_assignment_is_rejected() {
    let mut endpoint = TestEndpoint::new(Identity { assignable: false, ..identity() });
    assert_eq!(endpoint.ask(&hex!("01 00 20")), hex!("00 10 08 00"));
    assert_eq!(endpoint.ask(&hex!("01 00 08")), hex!("00 00 08 00"));
}

#[test]
fn an_endpoint_without_a_static_id_cannot_be_reset_to_it() {
    let mut endpoint = TestEndpoint::new(Identity { static_eid: None, ..identity() });
    assert_eq!(endpoint.ask(&hex!("02")), hex!("00 00 00 00"));
    assert_eq!(endpoint.ask(&hex!("01 02 00")), [0x02]);
    assert_eq!(endpoint.ask(&hex!("01 00 20")), hex!("00 00 20 00"));
}

#[test]
fn a_bus_owner_takes_no_id_and_tells_where_endpoints_are() {
    let mut endpoint =
        TestEndpoint::on(Medium::Smbus, Identity { role: Role::BusOwner, ..identity() });
    endpoint.routes.add(Route::to(Eid(9), LinkId(1), Address::Smbus(0x1d), Origin::Assigned));
    endpoint.routes.add(Route {
        last: Eid(20),
        kind: Kind::BridgeAndEndpoints,
        ..Route::to(Eid(10), LinkId(0), Address::Smbus(0x1e), Origin::Static)
    });
    assert_eq!(endpoint.ask(&hex!("01 00 20")), [0x05]);
    assert_eq!(endpoint.ask(&hex!("02")), hex!("00 08 11 00"));
    assert_eq!(endpoint.ask(&hex!("07 09")), hex!("00 09 3a"));
    assert_eq!(endpoint.ask(&hex!("07 0c")), hex!("00 0a 3c"));
    assert_eq!(endpoint.ask(&hex!("07 44")), [0x02]);
    let table = hex!("00 ff 02  01 09 01 01 02 01 3a  0b 0a 60 01 02 01 3c");
    assert_eq!(endpoint.ask(&hex!("0a 00")), table);
    assert_eq!(endpoint.ask(&hex!("0a 02")), [0x02]);
    assert_eq!(endpoint.ask(&hex!("0d")), [0]);
    assert_eq!(endpoint.event, Some(Event::DiscoveryNotify(LinkId(0), Address::Smbus(0x1d))));
}

#[test]
fn a_long_routing_table_comes_in_parts() {
    let mut endpoint =
        TestEndpoint::on(Medium::Smbus, Identity { role: Role::BusOwner, ..identity() });
    for eid in 9..39 {
        endpoint.routes.add(Route::to(Eid(eid), LinkId(0), Address::Smbus(eid), Origin::Assigned));
    }
    let (mut handle, mut entries) = (0, 0);
    while handle != 0xff {
        let part = endpoint.ask(&[0x0a, handle]);
        assert!(part.len() + 3 <= BASELINE_MTU);
        assert!(part[1] > handle);
        (handle, entries) = (part[1], entries + part[2]);
    }
    assert_eq!(entries, 30);
}

#[test]
fn a_bridge_takes_a_pool_and_routes() {
    let bridge = Identity { bridge: true, pool_size: 4, ..identity() };
    let mut endpoint = TestEndpoint::on(Medium::Smbus, bridge);
    assert_eq!(endpoint.ask(&hex!("01 00 20")), hex!("00 01 20 04"));
    assert_eq!(endpoint.ask(&hex!("08 02 00 00")), hex!("00 00 00 00"));
    assert_eq!(endpoint.ask(&hex!("08 00 04 30")), hex!("00 00 04 30"));
    assert_eq!(endpoint.event, Some(Event::PoolAllocated(Eid(0x30), 4)));
    assert_eq!(endpoint.ask(&hex!("01 00 20")), hex!("00 02 20 04"));
    assert_eq!(endpoint.ask(&hex!("08 00 04 40")), hex!("00 01 04 30"));
    assert_eq!(endpoint.ask(&hex!("08 01 04 40")), hex!("00 00 04 40"));
    for bad in [hex!("08 00 00 30"), hex!("08 00 ff 30"), hex!("08 00 04 00"), hex!("08 03 04 30")]
    {
        assert_eq!(endpoint.ask(&bad), [0x02]);
    }
    assert_eq!(endpoint.ask(&hex!("09 02 00 01 50 3a 01 03 60 3c")), [0]);
    assert_eq!(endpoint.routes.lookup(Eid(0x50)), Some((LinkId(0), Address::Smbus(0x1d))));
    assert_eq!(endpoint.routes.lookup(Eid(0x62)), Some((LinkId(0), Address::Smbus(0x1e))));
    assert_eq!(endpoint.ask(&hex!("09 01 00 01 50")), [0x03]);
    assert_eq!(endpoint.ask(&hex!("09 01 00 00 50 3a")), [0x02]);
    assert_eq!(endpoint.ask(&hex!("09 02 00 01 70 3a 00 00 71 3a")), [0x02]);
    assert_eq!(endpoint.routes.lookup(Eid(0x70)), None);
}

#[test]
fn a_bridge_that_needs_no_ids_asks_for_no_pool() {
    let mut endpoint = TestEndpoint::on(Medium::Smbus, Identity { bridge: true, ..identity() });
    assert_eq!(endpoint.ask(&hex!("01 00 20")), hex!("00 00 20 00"));
}

#[test]
fn the_id_of_the_first_bus_owner_stays_unless_a_second_one_forces_its_own() {
    let mut endpoint = TestEndpoint::new(identity());
    assert_eq!(endpoint.ask(&hex!("01 00 20")), hex!("00 00 20 00"));
    endpoint.link = LinkId(1);
    assert_eq!(endpoint.ask(&hex!("01 00 30")), hex!("00 10 20 00"));
    assert_eq!(endpoint.ask(&hex!("01 02 00")), hex!("00 10 20 00"));
    assert_eq!((endpoint.event, endpoint.responder.eid()), (None, Eid(0x20)));
    endpoint.link = LinkId(0);
    assert_eq!(endpoint.ask(&hex!("01 00 21")), hex!("00 00 21 00"));
    endpoint.link = LinkId(1);
    assert_eq!(endpoint.ask(&hex!("01 01 30")), hex!("00 00 30 00"));
    assert_eq!(endpoint.ask(&hex!("01 00 31")), hex!("00 00 31 00"));
}

#[test]
fn every_type_that_is_listed_has_a_version() {
    let mut endpoint = TestEndpoint::new(identity());
    let types = endpoint.ask(&hex!("05"));
    for kind in types.get(2..).unwrap() {
        assert_eq!(endpoint.ask(&[4, *kind])[0], 0, "{kind}");
    }
    assert_eq!(endpoint.ask(&hex!("04 05")), hex!("00 01 f1f0ff00"));
}

#[test]
fn an_endpoint_behind_a_bridge_is_resolved_to_the_bridge() {
    let mut endpoint =
        TestEndpoint::on(Medium::Smbus, Identity { role: Role::BusOwner, ..identity() });
    let bridge = Route::to(Eid(10), LinkId(0), Address::Smbus(0x1e), Origin::Assigned);
    endpoint.routes.add(Route { kind: Kind::Bridge, ..bridge });
    let pool = Route { first: Eid(11), last: Eid(18), kind: Kind::Endpoints, ..bridge };
    endpoint.routes.add(pool);
    endpoint.routes.add(Route { first: Eid(12), last: Eid(12), ..bridge });
    for eid in [10, 11, 12, 18] {
        assert_eq!(endpoint.ask(&[7, eid]), hex!("00 0a 3c"), "{eid}");
    }
}

#[test]
fn discovery_on_pcie_is_answered_until_found() {
    let mut endpoint = TestEndpoint::on(Medium::PcieVdm, identity());
    endpoint.destination = Eid::BROADCAST;
    assert_eq!(endpoint.ask(&hex!("0b")), [0]);
    assert_eq!(endpoint.ask(&hex!("0c")), [0]);
    endpoint.destination = Eid::NULL;
    endpoint.ask(&hex!("01 03 00"));
    endpoint.destination = Eid::BROADCAST;
    assert_eq!(endpoint.send(&hex!("00 85 0c")), None);
    assert_eq!(endpoint.ask(&hex!("0b")), [0]);
    assert_eq!(endpoint.ask(&hex!("0c")), [0]);
}

proptest! {
    #[test]
    fn any_request_gets_one_answer_with_its_instance_and_command(
        instance in 0_u8..32, rest in proptest::collection::vec(any::<u8>(), 1..20), bridge: bool,
        owner: bool,
    ) {
        let role = if owner { Role::BusOwner } else { Role::Endpoint };
        let mut endpoint = TestEndpoint::on(Medium::Smbus, Identity { role, bridge, ..identity() });
        let message = [&[0, 0x80 | instance][..], &rest].concat();
        let answer = endpoint.send(&message).unwrap();
        prop_assert_eq!(&answer[..3], &[0, instance, rest[0]]);
        prop_assert!(answer.len() >= 4 && answer.len() <= BASELINE_MTU);
    }
}
