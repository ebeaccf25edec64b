//! The demultiplexer on a virtual clock: packets and clients' messages in, packets and deliveries out.

mod bus_owner;
mod pairing;
mod ping;
mod reassembly;
mod tags;

use std::collections::BTreeMap;
use std::time::Duration;

use mctp_proto::packet::Header;
use mctp_proto::{Address, BASELINE_MTU, Eid, LinkId, Medium, Tag};

use super::{ClientId, Demux, LinkKind, Outlet, Progress, Refusal, Settings};

/// This endpoint, and the one at the other end.
const OWN: u8 = 8;
const FAR: u8 = 9;

const LINK: LinkId = LinkId(0);

/// A whole message on the line: to whom, tag owner bit, tag, bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Sent {
    address: Address,
    to: u8,
    owner: bool,
    tag: u8,
    bytes: Vec<u8>,
}

/// What was delivered to clients.
#[derive(Debug, Default)]
struct Deliveries {
    messages: BTreeMap<ClientId, Vec<(u8, Vec<u8>)>>,
    resumed: Vec<ClientId>,
}

impl Outlet for Deliveries {
    fn deliver(&mut self, client: ClientId, eid: Eid, message: &[u8]) -> bool {
        self.messages.entry(client).or_default().push((eid.0, message.to_vec()));
        true
    }

    fn resume(&mut self, client: ClientId) {
        self.resumed.push(client);
    }
}

/// A demultiplexer and its clock.
struct TestDemux {
    inner: Demux,
    out: Deliveries,
    now: Duration,
}

impl TestDemux {
    fn new() -> Self {
        Self::with(Settings::default(), &[Medium::Serial])
    }

    fn with(settings: Settings, media: &[Medium]) -> Self {
        let mut settings = Settings { clients: 100, ..settings };
        settings.identity.static_eid = Some(Eid(OWN));
        settings.learned_life = Duration::from_secs(60);
        let links = media
            .iter()
            .map(|medium| (format!("{medium:?}"), LinkKind::Packets(*medium, BASELINE_MTU)));
        let demux = Demux::new(settings, links.collect());
        Self { inner: demux, out: Deliveries::default(), now: Duration::ZERO }
    }

    fn client(&mut self, kind: u8) -> ClientId {
        self.inner.register(&[kind]).unwrap()
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.inner.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.inner.handle_timeout(self.now, &mut self.out);
        }
        self.now = end;
    }

    /// A client sends a message.
    fn send(&mut self, client: ClientId, eid: u8, message: &[u8]) -> Progress {
        let bytes = [&[eid], message].concat();
        self.inner.client_message(self.now, client, &bytes, &mut self.out)
    }

    fn receive_at(&mut self, address: Address, from: u8, owner: bool, tag: u8, message: &[u8]) {
        let start = Header::parse(&[1, OWN, from, 0xc0]).unwrap().0;
        let header = Header { tag_owner: owner, tag: Tag::from_bits(tag), ..start };
        self.packet(address, &[&header.emit()[..], message].concat());
    }

    fn packet(&mut self, address: Address, packet: &[u8]) {
        self.inner.handle_packet(self.now, LINK, address, packet, &mut self.out);
    }

    /// The far end sends a message of one packet.
    fn receive(&mut self, owner: bool, tag: u8, message: &[u8]) {
        self.receive_at(Address::None, FAR, owner, tag, message);
    }

    /// The far end asks, with a tag of its own.
    fn request(&mut self, tag: u8, message: &[u8]) {
        self.receive(true, tag, message);
    }

    /// Everything that is on the line now.
    fn sent(&mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        while self.inner.next_packet(
            self.now,
            LINK,
            &mut self.out,
            &mut |address, header, bytes| {
                let header = Header::parse(&header).unwrap().0;
                assert!(header.start && header.end);
                all.push(Sent {
                    address,
                    to: header.destination.0,
                    owner: header.tag_owner,
                    tag: header.tag.value(),
                    bytes: bytes.to_vec(),
                });
            },
        ) {}
        all
    }

    /// The one message that is on the line now.
    fn one(&mut self) -> Sent {
        let mut all = self.sent();
        assert_eq!(all.len(), 1, "{all:02x?}");
        all.remove(0)
    }

    /// Tag owner bit and tag of the one message that is on the line.
    fn tag(&mut self) -> (bool, u8) {
        let one = self.one();
        (one.owner, one.tag)
    }

    /// What a client has been given since this was last called.
    fn given(&mut self, client: ClientId) -> Vec<Vec<u8>> {
        let messages = self.out.messages.remove(&client).unwrap_or_default();
        messages.into_iter().map(|(_, message)| message).collect()
    }

    fn refused(&self, refusal: Refusal) -> u64 {
        self.inner.refusals().of(refusal)
    }
}
