//! Datagrams made from any bytes, amid a true login and true requests: no panic, tables that stay
//! within their limits, and no session but the true one.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ipmi_proto::{CompletionCode, Lun, NetFn, Privilege, Request, Response};
use libfuzzer_sys::fuzz_target;
use rmcp_proto::console::{Console, Credentials};
use rmcp_proto::crypto::UserKey;
use rmcp_proto::server::{
    Account, Accounts, BadPassword, Config, Denial, Event, LoginStatus, Random, Route, Server,
    V15Policy,
};
use rmcp_proto::suite::CipherSuite;
use rmcp_proto::wire::rakp::{Role, UserName};
use rmcp_proto::wire::v15::AuthType;

/// One user, `root`.
struct Root;

impl Accounts for Root {
    fn find(&self, name: &UserName, _: Option<Privilege>) -> Result<Account, Denial> {
        let is_root = name.as_bytes() == b"root";
        is_root.then(|| self.by_id(2)).flatten().ok_or(Denial::UnknownUser)
    }

    fn by_id(&self, id: u8) -> Option<Account> {
        let key = UserKey::from_password(b"a password of 20 byt")?;
        let name = UserName::new(b"root")?;
        (id == 2).then_some(Account { id, name, key, limit: Privilege::Administrator })
    }

    fn kg(&self) -> Option<UserKey> {
        None
    }

    fn enabled_mark(&self, _: u8) -> u64 {
        0
    }

    fn channel_limit(&self) -> Option<Privilege> {
        Some(Privilege::Administrator)
    }

    fn suite_limit(&self, _: CipherSuite) -> Option<Privilege> {
        Some(Privilege::Administrator)
    }

    fn v15_policy(&self) -> V15Policy {
        V15Policy::default()
    }

    fn bad_password(&self) -> BadPassword {
        BadPassword { threshold: 3, ..BadPassword::default() }
    }

    fn login_status(&self) -> LoginStatus {
        LoginStatus::default()
    }
}

struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(3);
            *byte = self.0;
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let config = Config {
        suites: CipherSuite::all().collect(),
        v15: vec![AuthType::Md2, AuthType::Md5, AuthType::Password],
        pending: 8,
        sessions: 4,
        ..Config::default()
    };
    let mut server = Server::new(config, Root, Counting(1));
    let mut now = Instant::now();
    let route = Route { peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 623)), local: None };
    let Some(credentials) = credentials() else {
        return;
    };
    let mut console = Console::new(now, credentials, 1, Counting(9));
    // A byte that says what to do and how long what follows is, again and again.
    let mut rest = bytes;
    while let Some((what, after)) = rest.split_first() {
        now += Duration::from_millis(u64::from(*what));
        let (input, after) = after.split_at(after.len().min(usize::from(what >> 2)));
        rest = after;
        match what & 3 {
            // The console's next datagram, with some bytes of the input over it.
            0 => {
                let Some(mut datagram) = console.poll_transmit() else {
                    continue;
                };
                for (to, from) in datagram.iter_mut().skip(4).zip(input) {
                    *to ^= from;
                }
                server.handle_datagram(now, route, &datagram);
            }
            1 => server.handle_datagram(now, route, &[b"\x06\x00\xff\x07", input].concat()),
            2 => server.handle_datagram(now, route, input),
            _ => {
                server.handle_timeout(now);
                console.handle_timeout(now);
                let data = input.to_vec();
                console.send(now, &Request { netfn: NetFn::APP, lun: Lun::BMC, command: 1, data });
            }
        }
        while let Some(event) = server.poll_event() {
            if let Event::Request { token, request, .. } = event {
                server.respond(now, token, &Response::to(&request, CompletionCode::OK, vec![7]));
            }
        }
        while let Some(transmit) = server.poll_transmit() {
            console.handle_datagram(now, &transmit.bytes);
        }
        while console.poll_event().is_some() {}
        assert!(server.pending() <= 8);
        assert!(server.sessions().count() <= 1);
    }
});

fn credentials() -> Option<Credentials> {
    Some(Credentials {
        user: UserName::new(b"root")?,
        key: UserKey::from_password(b"a password of 20 byt")?,
        kg: None,
        suite: CipherSuite::from_id(17)?,
        role: Role::name_only(4),
    })
}
