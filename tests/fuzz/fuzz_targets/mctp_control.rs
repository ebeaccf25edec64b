//! The control protocol: the responder answers each request once and within a packet, and the bus
//! owner takes any answer, without a panic.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mctp_proto::control::bus_owner::{BusOwner, Timing};
use mctp_proto::control::responder::{Identity, Incoming, Responder, Role, Surroundings};
use mctp_proto::route::RouteTable;
use mctp_proto::{Address, BusPath, Eid, LinkId, Medium, MessageType};

fn respond(responder: &mut Responder, routes: &mut RouteTable, medium: Medium, message: &[u8]) {
    let incoming = Incoming {
        link: LinkId(0),
        medium,
        address: Address::Smbus(0x1d),
        destination: Eid(8),
        message,
    };
    let types = [MessageType::PLDM];
    let mut around = Surroundings { types: &types, routes, media: &[medium] };
    if let Some(answer) = responder.respond(&incoming, &mut around).answer {
        assert_eq!(answer[..3], [0, message[1] & 0x1f, message[2]]);
        assert!(answer.len() >= 4 && answer.len() <= 64);
    }
}

fuzz_target!(|input: (u8, Vec<Vec<u8>>)| {
    let (shape, messages) = input;
    let identity = Identity {
        role: if shape & 1 == 0 { Role::Endpoint } else { Role::BusOwner },
        static_eid: (shape & 2 == 0).then_some(Eid(8)),
        assignable: shape & 4 == 0,
        bridge: shape & 8 == 0,
        ..Identity::default()
    };
    let medium = [Medium::Serial, Medium::Smbus, Medium::PcieVdm][usize::from(shape >> 4) % 3];
    let mut responder = Responder::new(identity);
    let mut routes = RouteTable::default();
    let mut owner = BusOwner::new(Eid(8), (Eid(9), Eid(12)), Timing::default());
    owner.add_position(BusPath::new(LinkId(0), Address::None), None);
    let mut target = None;
    let mut now = Duration::ZERO;
    for message in messages.iter().take(64) {
        respond(&mut responder, &mut routes, medium, message);
        let mut answer = message.clone();
        if let Some(asked) = owner.poll_transmit(now, |_| true) {
            target = Some(asked.target);
            // Mostly answers that fit what was asked, so that every step is reached.
            if let Some(head) = answer.get_mut(..3) {
                head.copy_from_slice(&[0, asked.message[1] & 0x1f, asked.message[2]]);
            }
        } else if let Some(due) = owner.poll_timeout() {
            now = due;
            owner.handle_timeout(now);
        }
        if let Some(target) = target {
            owner.handle_answer(now, target, &answer);
        }
        while owner.poll_event().is_some() {}
        assert!(owner.endpoints().all(|found| found.eid.is_assignable() && found.eid != Eid(8)));
    }
});
