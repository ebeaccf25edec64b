//! The server against the console's end and against forged datagrams, on a virtual clock.

mod attacks;
mod floods;
mod handshake;
mod reconfigured;
mod requests;
mod sessionless;
mod v15;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ipmi_proto::{CompletionCode, Lun, NetFn, Request, Response};

use super::*;
use crate::console::{Console, ConsoleEvent, Credentials};
use crate::crypto::UserKey;
use crate::suite::CipherSuite;
use crate::testing::{Counted, Table, now};
use crate::wire::rakp::{Role, UserName};

const GUID: [u8; 16] = *b"0123456789abcdef";

/// A server and a clock.
struct Bmc {
    server: Server<Table, Counted>,
    now: Instant,
}

impl Bmc {
    fn new(config: Config, accounts: Table) -> Self {
        Self { server: Server::new(config, accounts, Counted(1)), now: now() }
    }

    /// Every suite accepted, the usual users.
    fn usual() -> Self {
        Self::new(config(), Table::usual())
    }

    fn handle(&mut self, peer: SocketAddr, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.server.handle_datagram(self.now, route(peer), bytes);
        self.sent(peer)
    }

    /// What the server has to send, all of it to `peer`.
    fn sent(&mut self, peer: SocketAddr) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(Transmit { route: to, bytes }) = self.server.poll_transmit() {
            assert_eq!(to, route(peer), "a reply leaves from where it was asked");
            sent.push(bytes);
        }
        sent
    }

    /// What the daemon must act on; [`answered`](Self::answered) has the rest.
    fn events(&mut self) -> Vec<Event> {
        let events = std::iter::from_fn(|| self.server.poll_event());
        events.filter(|event| !matches!(event, Event::Answered { .. })).collect()
    }

    /// The requests that the server has answered itself: user, command, completion code. Other events are dropped.
    fn answered(&mut self) -> Vec<(Option<u8>, u8, u8)> {
        let answered =
            std::iter::from_fn(|| self.server.poll_event()).filter_map(|event| match event {
                Event::Answered { session, request, response } => {
                    assert_eq!(request.command, response.command);
                    Some((session.map(|info| info.user_id), request.command, response.completion.0))
                }
                _ => None,
            });
        answered.collect()
    }

    /// How many requests have come for the owner; other events are dropped.
    fn requests(&mut self) -> usize {
        let events = self.events().into_iter();
        events.filter(|event| matches!(event, Event::Request { .. })).count()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            self.server.handle_timeout(self.now);
        }
    }

    /// Carries datagrams both ways until neither end has any; what the console had to say.
    fn run(&mut self, peer: SocketAddr, console: &mut Console<Counted>) -> Vec<ConsoleEvent> {
        while let Some(bytes) = console.poll_transmit() {
            for answer in self.handle(peer, &bytes) {
                console.handle_datagram(self.now, &answer);
            }
        }
        std::iter::from_fn(|| console.poll_event()).collect()
    }

    /// A console that is logged in.
    fn log_in(&mut self, port: u16, credentials: Credentials) -> Console<Counted> {
        let mut console = console(self.now, credentials);
        let events = self.run(peer(port), &mut console);
        assert_eq!(events, [ConsoleEvent::Opened]);
        console
    }

    fn counted(&self, reason: Reason) -> u64 {
        self.server.counters().of(reason)
    }
}

fn config() -> Config {
    Config { guid: GUID, suites: CipherSuite::all().collect(), ..Config::default() }
}

fn peer(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), port)
}

fn route(peer: SocketAddr) -> Route {
    let local = Local { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99)), interface: 2 };
    Route { peer, local: Some(local) }
}

fn credentials(suite: u8, user: &str, password: &str, privilege: u8) -> Credentials {
    Credentials {
        user: UserName::new(user.as_bytes()).unwrap(),
        key: UserKey::from_password(password.as_bytes()).unwrap(),
        kg: None,
        suite: CipherSuite::from_id(suite).unwrap(),
        role: Role::name_only(privilege),
    }
}

fn root(suite: u8) -> Credentials {
    credentials(suite, "root", "0penBmc", 4)
}

fn console(now: Instant, credentials: Credentials) -> Console<Counted> {
    Console::new(now, credentials, 0xa0a2_a3a4, Counted(7))
}

fn app(command: u8, data: &[u8]) -> Request {
    Request { netfn: NetFn::APP, lun: Lun::BMC, command, data: data.to_vec() }
}

/// Get Device ID.
fn device_id() -> Request {
    app(0x01, &[])
}

/// The only request among `events`, and its token.
fn only_request(events: &[Event]) -> (Token, Request) {
    let mut requests = events.iter().filter_map(|event| match event {
        Event::Request { token, request, .. } => Some((*token, request.clone())),
        _ => None,
    });
    let found = requests.next().expect("a request");
    assert_eq!(requests.next(), None, "one request only");
    found
}

fn answer(data: &[u8]) -> Response {
    Response::to(&device_id(), CompletionCode::OK, data.to_vec())
}
