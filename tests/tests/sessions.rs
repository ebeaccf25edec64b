//! Get Session Info and Close Session (IPMI v2.0 §22.19, §22.20), asked over the LAN and as the host
//! asks, while sessions of two users are open.

use std::net::SocketAddrV4;

use serde_json::Value;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::{client, wait};

/// The number of possible sessions that Get Session Info reports.
const POSSIBLE: u8 = 62;
/// Channel 1 in bits 3:0, RMCP+ in bits 7:4.
const RMCP_PLUS_ON_LAN: u8 = 0x11;
/// The same with IPMI 1.5 in bits 7:4.
const IPMI_15_ON_LAN: u8 = 0x01;
const OPERATOR: u8 = 3;
const ADMINISTRATOR: u8 = 4;

/// App commands as ipmitool takes them.
const CLOSE_SESSION: &str = "raw 6 0x3c";
const GET_SESSION_INFO: &str = "raw 6 0x3d";

/// An open session.
struct Session {
    shell: Shell,
    handle: u8,
    id: u32,
}

impl Session {
    /// The session that `shell` has, which is asked for its handle, while the bus knows its id.
    fn of(mut shell: Shell, suite: &Suite) -> Self {
        let handle = bytes(&shell.run(&format!("{GET_SESSION_INFO} 0")))[0];
        let id = wait::until("the session is on the bus", || id_on_bus(suite, handle));
        Self { shell, handle, id }
    }

    /// Its id as requests carry it.
    fn id_bytes(&self) -> [u8; 4] {
        self.id.to_le_bytes()
    }

    /// Whether the BMC answers it.
    fn lives(&mut self) -> bool {
        self.shell.run("chassis power status").contains("Chassis Power is")
    }

    /// The response data of Get Session Info.
    fn details(&self, user: u8, privilege: u8, active: u8) -> Vec<u8> {
        let address: SocketAddrV4 = self.shell.address();
        let mut reply = vec![self.handle, POSSIBLE, active];
        reply.extend([user, privilege, RMCP_PLUS_ON_LAN]);
        reply.extend(address.ip().octets());
        // A UDP socket does not know the console's MAC address.
        reply.extend([0; 6]);
        reply.extend(address.port().to_le_bytes());
        reply
    }
}

/// The bytes that ipmitool printed.
fn bytes(text: &str) -> Vec<u8> {
    let read = |byte| u8::from_str_radix(byte, 16);
    let bytes: Result<_, _> = text.split_whitespace().map(read).collect();
    bytes.unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A request as ipmitool takes it.
fn line(command: &str, data: &[u8]) -> String {
    let data: Vec<_> = data.iter().map(|byte| format!(" {byte:#04x}")).collect();
    format!("{command}{}", data.concat())
}

/// The id of the session with `handle`, in the last part of its path: `<id>_<handle>` in hex.
fn id_on_bus(suite: &Suite, handle: u8) -> Option<u32> {
    let call = "call xyz.openbmc_project.Ipmi.Channel.lan0 /xyz/openbmc_project/ipmi/session \
                org.freedesktop.DBus.ObjectManager GetManagedObjects";
    let output = suite.bus.busctl(&call.split_whitespace().collect::<Vec<_>>());
    let reply: Value = serde_json::from_str(&output.stdout).ok()?;
    reply["data"][0].as_object()?.keys().find_map(|path| {
        let (id, its) = path.rsplit('/').next()?.split_once('_')?;
        let is_it = u8::from_str_radix(its, 16) == Ok(handle);
        is_it.then(|| u32::from_str_radix(id, 16).ok()).flatten()
    })
}

/// The administrator's session, and one of bob, who may be an operator at most, at `level`.
fn open(suite: &Suite, level: &'static str) -> (Session, Session) {
    let bob = suite.add_user(3, "bob", "first", OPERATOR).level(level);
    let root = Session::of(Shell::open(&suite.administrator()), suite);
    let bob = Session::of(Shell::open(&bob), suite);
    // Those that ipmitool opened to make the user may be about to be closed.
    wait::until_true(
        "there are two sessions",
        || matches!(suite.bus.execute(0x06, 0x3d, &[0xfe, root.handle]), (0, data) if data[2] == 2),
    );
    (root, bob)
}

/// Waits until Get Session Info reports no session with `handle` to the host.
fn until_gone(suite: &Suite, session: &Session) {
    wait::until_true("the session is gone", || {
        suite.bus.execute(0x06, 0x3d, &[0xfe, session.handle]).0 == 0xcb
    });
}

#[test]
fn sessions_are_reported_by_handle_id_and_index() {
    let suite = Suite::start();
    let (mut root, mut bob) = open(&suite, "OPERATOR");
    let roots = root.details(2, ADMINISTRATOR, 2);
    let bobs = bob.details(3, OPERATOR, 2);
    let by_handle = |session: &Session| vec![0xfe, session.handle];
    let by_id = |session: &Session| [&[0xff], session.id_bytes().as_slice()].concat();
    let mut asked = vec![
        (by_handle(&root), roots.clone()),
        (by_handle(&bob), bobs.clone()),
        (by_id(&root), roots.clone()),
        (by_id(&bob), bobs.clone()),
        (vec![3], vec![0, POSSIBLE, 2]),
    ];
    let in_order = if root.handle < bob.handle { [&roots, &bobs] } else { [&bobs, &roots] };
    for (index, reply) in (1..).zip(in_order) {
        asked.push((vec![index], reply.clone()));
    }
    for (request, reply) in asked {
        let line = line(GET_SESSION_INFO, &request);
        assert_eq!(bytes(&root.shell.run(&line)), reply, "{line}");
        assert_eq!(bytes(&bob.shell.run(&line)), reply, "{line}");
        assert_eq!(suite.bus.execute(0x06, 0x3d, &request), (0, reply), "{line}");
    }
    let own = format!("{GET_SESSION_INFO} 0");
    assert_eq!(bytes(&root.shell.run(&own)), roots);
    assert_eq!(bytes(&bob.shell.run(&own)), bobs);
    // The host has no session of its own.
    assert_eq!(suite.bus.execute(0x06, 0x3d, &[0]).0, 0xcc);
    let nobodys = [0xfe, 63];
    assert_eq!(suite.bus.execute(0x06, 0x3d, &nobodys).0, 0xcb);
}

/// Bob at `level` cannot close the administrator's session, but can close its own.
fn only_an_administrator_closes(level: &'static str) {
    let suite = Suite::start();
    let (mut root, mut bob) = open(&suite, level);
    let by_handle = line(CLOSE_SESSION, &[0, 0, 0, 0, root.handle]);
    for close in [line(CLOSE_SESSION, &root.id_bytes()), by_handle] {
        let reply = bob.shell.run(&close);
        assert!(reply.contains("rsp=0xd4"), "{close}: {reply}");
    }
    assert!(root.lives() && bob.lives());

    let close = line(CLOSE_SESSION, &bob.id_bytes());
    assert!(bytes(&root.shell.run(&close)).is_empty());
    until_gone(&suite, &bob);
    assert!(!bob.lives());
    let reply = root.shell.run(&close);
    assert!(reply.contains("rsp=0x87"), "closed already: {reply}");
    assert!(root.lives());
}

#[test]
fn a_user_does_not_close_anothers_session() {
    only_an_administrator_closes("USER");
}

#[test]
fn an_operator_does_not_close_anothers_session() {
    only_an_administrator_closes("OPERATOR");
}

#[test]
fn the_host_closes_a_session_by_its_handle() {
    let suite = Suite::start();
    let (mut root, mut bob) = open(&suite, "USER");
    let close = |data: &[u8]| suite.bus.execute(0x06, 0x3c, data).0;
    assert_eq!(close(&[0, 0, 0, 0, bob.handle]), 0);
    until_gone(&suite, &bob);
    assert!(!bob.lives());
    assert_eq!(close(&[0, 0, 0, 0, bob.handle]), 0x88);
    assert_eq!(close(&[0, 0, 0, 0]), 0x87);
    assert_eq!(close(&bob.id_bytes()), 0x87);
    assert!(root.lives());
}

#[test]
fn ones_own_session_is_closed_at_any_privilege() {
    let suite = Suite::start();
    let (mut root, mut bob) = open(&suite, "USER");
    let close = line(CLOSE_SESSION, &bob.id_bytes());
    assert!(bytes(&bob.shell.run(&close)).is_empty());
    until_gone(&suite, &bob);
    assert!(!bob.lives());
    assert!(root.lives());
}

#[test]
fn session_of_ipmi_15_is_reported_as_such() {
    let suite = Suite::with("[lan]\nipmi-15 = [\"md5\"]\n");
    let login = suite.administrator();
    let mut ipmitool = login.program("ipmitool");
    ipmitool
        .args(["-I", "lan", "-A", "MD5"])
        .args(["-H", &login.address.ip().to_string()])
        .args(["-p", &login.address.port().to_string()])
        .args(["-U", &login.user, "-P", &login.password])
        .args(format!("{GET_SESSION_INFO} 0").split_whitespace());
    let reply = bytes(client::run(&mut ipmitool).ok());
    assert_eq!(reply[5], IPMI_15_ON_LAN, "{reply:02x?}");
}
