//! An IPMI 1.5 session without authentication codes, which can send requests without waiting for the
//! responses to earlier ones.
//!
//! Packets are built here independently, from the tables of IPMI v2.0 §13.6, §13.8, §22.16 and §22.17.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::clients::USER;
use crate::wait;
use crate::wire::Wire;

/// RMCP, version 1.0, no acknowledge, class IPMI.
const RMCP: [u8; 4] = [0x06, 0x00, 0xff, 0x07];
const BMC: u8 = 0x20;
const CONSOLE: u8 = 0x81;
const APPLICATION: u8 = 0x06;
const ADMINISTRATOR: u8 = 0x04;
/// Where the IPMI message begins in a packet without an authentication code.
const MESSAGE: usize = 14;

/// Completion code and data.
pub type Reply = (u8, Vec<u8>);

/// A session of the administrator.
#[derive(Debug)]
pub struct PlainSession {
    wire: Wire,
    id: u32,
    /// The session sequence number of the next packet.
    packet: u32,
    /// The sequence number of the last request, six bits.
    sequence: u8,
}

impl PlainSession {
    /// Logs the administrator in.
    ///
    /// # Panics
    ///
    /// If the BMC refuses the session.
    #[must_use]
    pub fn open(bmc: SocketAddr) -> Self {
        let mut session = Self { wire: Wire::to(bmc), id: 0, packet: 0, sequence: 0 };
        let mut name = [0; 16];
        for (byte, character) in name.iter_mut().zip(USER.bytes()) {
            *byte = character;
        }
        let challenge = session.request(APPLICATION, 0x39, &[&[0][..], &name].concat());
        let (0, challenge) = challenge else { panic!("no challenge: {challenge:02x?}") };
        session.id = u32::from_le_bytes(challenge[..4].try_into().expect("four bytes"));
        let activate = [&[0, ADMINISTRATOR][..], &challenge[4..20], &[1, 0, 0, 0]].concat();
        let (0, active) = session.request(APPLICATION, 0x3a, &activate) else {
            panic!("no session")
        };
        session.id = u32::from_le_bytes(active[1..5].try_into().expect("four bytes"));
        session.packet = u32::from_le_bytes(active[5..9].try_into().expect("four bytes"));
        assert_eq!(session.request(APPLICATION, 0x3b, &[ADMINISTRATOR]).0, 0, "the privilege");
        session
    }

    /// Sends a request and returns the reply.
    pub fn request(&mut self, netfn: u8, command: u8, data: &[u8]) -> Reply {
        self.request_all(&[(netfn, command, data)]).remove(0)
    }

    /// Sends all requests before it reads a reply, and returns the replies in the order of the requests.
    ///
    /// # Panics
    ///
    /// If one gets no reply.
    pub fn request_all(&mut self, requests: &[(u8, u8, &[u8])]) -> Vec<Reply> {
        let mut sent = Vec::new();
        for (netfn, command, data) in requests {
            self.sequence = (self.sequence + 1) & 0x3f;
            sent.push(self.sequence);
            let packet = self.packet(*netfn, *command, data);
            self.wire.send(&packet);
        }
        let mut replies = BTreeMap::new();
        while replies.len() < sent.len() {
            let reply = wait::until("a reply", || self.wire.reply());
            let [_, _, _, _, number, _, completion, data @ .., _] = &reply[MESSAGE..] else {
                panic!("no message: {reply:02x?}");
            };
            replies.insert(number >> 2, (*completion, data.to_vec()));
        }
        sent.iter().map(|number| replies.remove(number).expect("a reply to this request")).collect()
    }

    fn packet(&mut self, netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
        let head = [BMC, netfn << 2];
        let body = [&[CONSOLE, self.sequence << 2, command][..], data].concat();
        let message = [&head[..], &[checksum(&head)], &body, &[checksum(&body)]].concat();
        let mut packet = RMCP.to_vec();
        packet.push(0);
        packet.extend(self.packet.to_le_bytes());
        packet.extend(self.id.to_le_bytes());
        packet.push(u8::try_from(message.len()).expect("a short message"));
        packet.extend(message);
        if self.packet != 0 {
            self.packet += 1;
        }
        packet
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}
