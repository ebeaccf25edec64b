//! The control requester: no message as a response causes a panic, only a response to the request
//! is accepted, and so is every response of the responder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mctp_proto::control::requester::{Request, Response, ResponseError};
use mctp_proto::control::responder::{Identity, Incoming, Responder, Role, Surroundings, Vendor};
use mctp_proto::route::{Kind, Origin, Route, RouteTable};
use mctp_proto::{Address, Eid, LinkId, Medium, MessageType};

fn request(which: u8, one: u8, two: u8) -> Request {
    let kinds = [Kind::Endpoint, Kind::BridgeAndEndpoints, Kind::Bridge, Kind::Endpoints];
    let kind = kinds[usize::from(which >> 6)];
    match which % 14 {
        0 => Request::SetEndpointId(Eid(one), two & 1 == 0),
        1 => Request::ResetEndpointId,
        2 => Request::GetEndpointId,
        3 => Request::GetEndpointUuid,
        4 => Request::GetVersionSupport(None),
        5 => Request::GetVersionSupport(Some(MessageType::from_first_byte(one))),
        6 => Request::GetMessageTypeSupport,
        7 => Request::GetVendorMessageSupport(one),
        8 => Request::ResolveEndpointId(Eid(one)),
        9 => Request::AllocateEndpointIds(Eid(one), two, which & 0x80 == 0),
        10 => Request::RoutingInformationUpdate(kind, (Eid(one), two), Address::Smbus(0x1d)),
        11 => Request::GetRoutingTableEntries(one),
        12 => Request::PrepareForEndpointDiscovery,
        _ => Request::DiscoveryNotify,
    }
}

/// The response of our own responder, as a bridge or as a bus owner.
fn is_understood(request: Request, instance: u8, role: Role, routes: &mut RouteTable) {
    let identity = Identity {
        role,
        bridge: true,
        uuid: Some([7; 16]),
        vendors: vec![Vendor::Pci(0x1ab4, 1), Vendor::Iana(7, 2)],
        ..Identity::default()
    };
    let incoming = Incoming {
        link: LinkId(0),
        medium: Medium::Smbus,
        address: Address::Smbus(0x1d),
        destination: Eid(8),
        message: &request.emit(instance),
    };
    let mut around = Surroundings { types: &[MessageType::PLDM], routes, media: &[Medium::Smbus] };
    let outcome = Responder::new(identity).respond(&incoming, &mut around);
    let answer = outcome.answer.expect("a request is answered");
    match Response::parse(request, instance, &answer) {
        Ok(_) | Err(ResponseError::Refused(_)) => {}
        Err(error) => panic!("{request:?}: {error:?} in {answer:02x?}"),
    }
}

fuzz_target!(|input: (u8, u8, u8, u8, Vec<u8>)| {
    let (which, one, two, instance, message) = input;
    let request = request(which, one, two);
    let emitted = request.emit(instance);
    let _ = Response::parse(request, instance, &message);
    if let [_, _, _, code, ..] = message[..] {
        let mut answer = message.clone();
        answer[..3].copy_from_slice(&[0, instance & 0x1f, emitted[2]]);
        let parsed = Response::parse(request, instance, &answer);
        assert_eq!(matches!(parsed, Err(ResponseError::Refused(_))), code != 0);
        assert_ne!(parsed, Err(ResponseError::Unrelated));
        let other = Response::parse(request, instance.wrapping_add(1), &answer);
        assert_eq!(other, Err(ResponseError::Unrelated));
    }
    let mut routes = RouteTable::default();
    for (index, range) in message.chunks_exact(2).take(40).enumerate() {
        let (first, last) = (range[0].min(range[1]), range[0].max(range[1]));
        if Eid(first).is_assignable() && Eid(last).is_assignable() {
            routes.add(Route {
                last: Eid(last),
                origin: [Origin::Static, Origin::Learned][index % 2],
                ..Route::to(Eid(first), LinkId(0), Address::Smbus(one & 0x7f), Origin::Learned)
            });
        }
    }
    is_understood(request, instance, Role::Endpoint, &mut routes);
    is_understood(request, instance, Role::BusOwner, &mut routes);
});
