//! A bus owner on a bus with addresses, and what it does with endpoints that are absent, reset, slow,
//! or behind a bridge. A pty that carries whole messages stands in for PCIe.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hex_literal::hex;

use crate::daemon::{Daemon, spawn};
use crate::dbus::{Bus, NAME, ROOT};
use crate::wire::{Message, OWN, PATIENCE, TO, Wire, readable, wait_until};

const ENDPOINT: &str = "xyz.openbmc_project.MCTP.Endpoint";
const CONTROL: &str = "au.com.codeconstruct.MCTP.Endpoint1";

/// A message of the daemon on the bus: routing, physical address, and the rest as on a line.
#[derive(Debug)]
struct Asked {
    routing: u8,
    address: u16,
    message: Message,
}

/// An endpoint that is simulated.
#[derive(Clone, Debug, Default)]
struct Simulated {
    eid: u8,
    /// What Get Endpoint ID says of its kind.
    kind: u8,
    /// The pool that it wants, or has.
    pool: Option<(u8, u8)>,
    wants: u8,
    /// Message types; `None` for "not ready".
    types: Option<Vec<u8>>,
    /// Ids behind it.
    behind: Vec<u8>,
    /// Commands that it was asked, with their data.
    asked: Vec<Vec<u8>>,
}

impl Simulated {
    fn with(eid: u8) -> Self {
        Self { eid, types: Some(vec![0, 1]), ..Self::default() }
    }

    /// From the completion code on.
    fn answer(&mut self, to: u8, command: &[u8]) -> Vec<u8> {
        self.asked.push(command.to_vec());
        let eid = if self.behind.contains(&to) { to } else { self.eid };
        let pool = self.pool.unwrap_or_default();
        match *command {
            [1, _, eid] => {
                self.eid = eid;
                let status = if self.pool.is_some() { 2 } else { u8::from(self.wants > 0) };
                vec![0, status, eid, self.wants]
            }
            [2] => vec![0, eid, if eid == self.eid { self.kind } else { 0 }, 0],
            [5] => match &self.types {
                Some(types) => [&[0, u8::try_from(types.len()).unwrap()], &types[..]].concat(),
                None => vec![4],
            },
            [6, _] => hex!("00 ff 00 1ab4 0102").to_vec(),
            [8, 2, ..] => vec![0, 0, pool.1, pool.0],
            [8, _, size, first] => {
                self.pool = Some((first, size));
                vec![0, 0, size, first]
            }
            _ => vec![5],
        }
    }
}

/// The far end of the bus, with its endpoints by physical address.
struct Fabric {
    daemon: Daemon,
    endpoints: BTreeMap<u16, Simulated>,
    silent: Vec<u16>,
    unread: Vec<u8>,
    _folder: tempfile::TempDir,
}

fn configuration(places: &[u16], rest: &str) -> String {
    let place = |address: &u16| format!("[[mctp.owned.place]]\nbinding = 0\naddress = {address}\n");
    let places: String = places.iter().map(place).collect();
    format!("[mctp]\nrole = \"bus-owner\"\n[mctp.owned]\nfirst = 20\nlast = 99\n{rest}\n{places}")
}

impl Fabric {
    fn new(places: &[u16], rest: &str, bus: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("causeway.toml");
        std::fs::write(&file, configuration(places, rest)).unwrap();
        let line = Wire::new();
        let daemon = start(&file, folder.path(), line, bus);
        let (endpoints, silent, unread) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { daemon, endpoints, silent, unread, _folder: folder }
    }

    /// Ends the daemon and starts it anew on the same bus, with the same state.
    fn restart(self, bus: &str) -> Self {
        let Self { daemon, endpoints, silent, unread: _, _folder: folder } = self;
        let line = daemon.give_up_line();
        let daemon = start(&folder.path().join("causeway.toml"), folder.path(), line, bus);
        Self { daemon, endpoints, silent, unread: Vec::new(), _folder: folder }
    }

    fn send(&mut self, address: u16, from: u8, owner_and_tag: u8, message: &[u8]) {
        let words = message.len().div_ceil(4);
        let pad = words * 4 - message.len();
        let mut bytes = hex!("72 00 10 00 00 00 00 7f 00 00 1a b4 01 08 00 c0").to_vec();
        bytes[3] = u8::try_from(words).unwrap();
        bytes[4..6].copy_from_slice(&address.to_be_bytes());
        bytes[6] = u8::try_from(pad).unwrap() << 4;
        bytes[14] = from;
        bytes[15] |= owner_and_tag;
        bytes.extend(message);
        bytes.extend(vec![0; pad]);
        self.daemon.wire.send_raw(&bytes);
    }

    /// The next message of the daemon.
    fn next_within(&mut self, patience: Duration) -> Option<Asked> {
        loop {
            if let [routing, _, _, words, .., to, from, flags] = self.unread[..].get(..16)? {
                let len = 16 + 4 * usize::from(*words);
                if self.unread.len() >= len {
                    let pad = usize::from(self.unread[6] >> 4);
                    let asked = Asked {
                        routing: *routing,
                        address: u16::from_be_bytes([self.unread[8], self.unread[9]]),
                        message: Message {
                            to: *to,
                            from: *from,
                            owner: flags & TO != 0,
                            tag: flags & 7,
                            bytes: self.unread[16..len - pad].to_vec(),
                        },
                    };
                    self.unread.drain(..len);
                    return Some(asked);
                }
            }
            self.read(patience)?;
        }
    }

    fn read(&mut self, patience: Duration) -> Option<()> {
        if !readable(self.daemon.wire.far(), patience) {
            return None;
        }
        let mut buffer = [0; 4096];
        let len = self.daemon.wire.far().read(&mut buffer).unwrap();
        self.unread.extend(&buffer[..len]);
        Some(())
    }

    fn next(&mut self) -> Asked {
        loop {
            if self.unread.len() < 16 {
                self.read(PATIENCE).expect("a message on the bus");
            }
            if let Some(asked) = self.next_within(PATIENCE) {
                return asked;
            }
        }
    }

    /// Plays the endpoints for one message of the daemon; gives what it was.
    fn step(&mut self) -> Asked {
        let asked = self.next();
        let command = &asked.message.bytes[2..];
        let endpoint = self.endpoints.get_mut(&asked.address);
        if let Some(endpoint) = endpoint.filter(|_| asked.message.owner) {
            let to = asked.message.to;
            let known = to == 0 || to == endpoint.eid || endpoint.behind.contains(&to);
            if known && !self.silent.contains(&asked.address) {
                let answer = endpoint.answer(to, command);
                let from = if endpoint.behind.contains(&to) { to } else { endpoint.eid };
                let head = [0, asked.message.bytes[1] & 0x1f, asked.message.bytes[2]];
                self.send(asked.address, from, asked.message.tag, &[&head, &answer[..]].concat());
            }
        }
        asked
    }

    /// Plays the endpoints until something holds that the daemon publishes.
    fn until(&mut self, mut holds: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "it never came to that");
            if self.unread.len() >= 16
                || readable(self.daemon.wire.far(), Duration::from_millis(20))
            {
                self.step();
            }
        }
    }
}

fn start(file: &Path, state: &Path, line: Wire, bus: &str) -> Daemon {
    let binding = format!("pcie:{}", line.path.display());
    let args =
        ["--config", file.to_str().unwrap(), "--state-dir", state.to_str().unwrap(), &binding];
    let (child, socket) = spawn(&args, bus);
    Daemon::take_over(child, socket, line)
}

fn path_of(eid: u8) -> String {
    format!("{ROOT}/networks/1/endpoints/{eid}")
}

fn eids(bus: &Bus) -> Vec<u8> {
    let tree = bus.busctl(&["--list", "tree", NAME]);
    let mut all: Vec<u8> =
        tree.lines().filter_map(|line| line.rsplit_once("/endpoints/")?.1.parse().ok()).collect();
    all.retain(|eid| *eid != OWN);
    all
}

#[test]
fn absent_endpoints_delay_no_other() {
    let places: Vec<u16> = (0x100..0x109).collect();
    let mut fabric = Fabric::new(&places, "answer-ms = 30000", "unix:path=/nonexistent");
    // With eight requests unanswered, the ninth is asked all the same, and each under a tag of its own
    // address.
    let asked: Vec<Asked> = (0..9).map(|_| fabric.next()).collect();
    let addresses: Vec<u16> = asked.iter().map(|asked| asked.address).collect();
    assert_eq!(addresses, places);
    assert!(asked.iter().all(|asked| asked.message.to == 0 && asked.routing == 0x72));
}

#[test]
fn twenty_endpoints_are_published() {
    let bus = Bus::start();
    let places: Vec<u16> = (0x100..0x114).collect();
    let mut fabric = Fabric::new(&places, "", &bus.address);
    fabric.endpoints = places.iter().map(|place| (*place, Simulated::with(0))).collect();
    fabric.until(|| eids(&bus).len() == 20);
}

#[test]
fn an_endpoint_that_announces_itself_is_asked_at_once_at_the_null_id() {
    let bus = Bus::start();
    let mut fabric = Fabric::new(&[0x100], "poll-s = 3600\nrescan-s = 3600", &bus.address);
    fabric.endpoints.insert(0x100, Simulated::with(42));
    fabric.until(|| eids(&bus) == [42]);
    fabric.endpoints.insert(0x100, Simulated::with(0));
    fabric.send(0x100, 0, TO | 3, &hex!("00 81 0d"));
    let asked = loop {
        let asked = fabric.step();
        if asked.message.owner {
            break asked;
        }
    };
    assert_eq!((asked.message.to, &asked.message.bytes[2..]), (0, &[2][..]));
    fabric.until(|| fabric_has(&bus, 42));
}

fn fabric_has(bus: &Bus, eid: u8) -> bool {
    eids(bus) == [eid]
}

#[test]
fn a_poll_that_is_not_answered_goes_to_the_null_id() {
    let bus = Bus::start();
    let mut fabric = Fabric::new(&[0x100], "poll-s = 1\nanswer-ms = 200", &bus.address);
    fabric.endpoints.insert(0x100, Simulated::with(42));
    fabric.until(|| eids(&bus) == [42]);
    // It is reset, and announces nothing.
    fabric.endpoints.insert(0x100, Simulated::with(0));
    loop {
        let asked = fabric.step();
        if asked.message.bytes[2..] == [1, 0, 42] {
            break;
        }
    }
    assert_eq!(fabric.endpoints[&0x100].eid, 42);
}

#[test]
fn a_restart_renumbers_no_endpoint() {
    let mut fabric = Fabric::new(&[0x100, 0x101, 0x102], "", "unix:path=/nonexistent");
    fabric.endpoints.insert(0x100, Simulated::with(0));
    fabric.endpoints.insert(0x101, Simulated::with(20));
    fabric.endpoints.insert(0x102, Simulated::with(21));
    while fabric.endpoints[&0x100].eid == 0 {
        fabric.step();
    }
    let now: Vec<u8> = fabric.endpoints.values().map(|endpoint| endpoint.eid).collect();
    assert_eq!(now, [22, 20, 21]);
    let set = |endpoint: &Simulated| endpoint.asked.iter().any(|command| command[0] == 1);
    assert!(!set(&fabric.endpoints[&0x101]) && !set(&fabric.endpoints[&0x102]));
}

#[test]
fn what_was_assigned_is_assigned_again_after_a_restart() {
    let bus = Bus::start();
    let places = [0x100, 0x101];
    let mut fabric = Fabric::new(&places, "", &bus.address);
    fabric.endpoints.insert(0x100, Simulated::with(0));
    let bridge = Simulated { kind: 0x10, wants: 4, ..Simulated::with(0) };
    fabric.endpoints.insert(0x101, bridge.clone());
    fabric.until(|| eids(&bus).len() == 2);
    let file = fabric._folder.path().join("mctp-assignments.json");
    wait_until(|| std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"pool\": [")));
    let before: Vec<(u8, Option<(u8, u8)>)> =
        fabric.endpoints.values().map(|endpoint| (endpoint.eid, endpoint.pool)).collect();
    // Both lose what they were given, and the first is not there at once.
    fabric.endpoints.insert(0x100, Simulated::with(0));
    fabric.endpoints.insert(0x101, bridge);
    fabric.silent.push(0x100);
    let mut fabric = fabric.restart(&bus.address);
    while fabric.endpoints[&0x101].pool.is_none() {
        fabric.step();
    }
    fabric.silent.clear();
    while fabric.endpoints[&0x100].eid == 0 {
        fabric.step();
    }
    let after: Vec<(u8, Option<(u8, u8)>)> =
        fabric.endpoints.values().map(|endpoint| (endpoint.eid, endpoint.pool)).collect();
    assert_eq!(after, before);
}

#[test]
fn a_bridge_keeps_its_pool_and_what_is_behind_it_is_published_and_resolved() {
    let bus = Bus::start();
    let mut fabric = Fabric::new(&[0x100], "", &bus.address);
    let bridge =
        Simulated { kind: 0x10, pool: Some((41, 4)), behind: vec![41, 43], ..Simulated::with(40) };
    fabric.endpoints.insert(0x100, bridge);
    fabric.until(|| eids(&bus) == [40, 41, 43]);
    let asked = &fabric.endpoints[&0x100].asked;
    assert!(asked.contains(&vec![8, 2, 0, 0]), "{asked:02x?}");
    assert!(!asked.iter().any(|command| matches!(command[..], [8, 0 | 1, ..])));
    let bridge =
        |property| bus.property(&path_of(40), "au.com.codeconstruct.MCTP.Bridge1", property);
    assert_eq!((bridge("PoolStart"), bridge("PoolEnd")), ("y 41".to_owned(), "y 44".to_owned()));
    for eid in [41, 42, 43] {
        fabric.send(0x200, 60, TO | 5, &[0, 0x82, 7, eid]);
        let answer = loop {
            let asked = fabric.step();
            if !asked.message.owner {
                break asked;
            }
        };
        assert_eq!(answer.message.bytes, [0, 2, 7, 0, 40, 1, 0], "{eid}");
    }
}

#[test]
fn message_types_that_are_not_ready_are_published_when_they_are() {
    let bus = Bus::start();
    let mut fabric = Fabric::new(&[0x100], "", &bus.address);
    fabric.endpoints.insert(0x100, Simulated { types: None, ..Simulated::with(42) });
    fabric.until(|| eids(&bus) == [42]);
    let types = || bus.property(&path_of(42), ENDPOINT, "SupportedMessageTypes");
    assert_eq!(types(), "ay 0");
    fabric.endpoints.get_mut(&0x100).unwrap().types = Some(vec![0, 1, 0x7e]);
    fabric.until(|| types() == "ay 3 0 1 126");
    let vendors = || bus.property(&path_of(42), ENDPOINT, "VendorDefinedMessageTypes");
    fabric.until(|| vendors() == "a(yvq) 1 0 q 6836 258");
}

#[test]
fn an_endpoint_that_ceases_to_answer_is_degraded_then_removed() {
    let bus = Bus::start();
    let mut fabric = Fabric::new(&[0x100], "poll-s = 1\nanswer-ms = 1000", &bus.address);
    fabric.endpoints.insert(0x100, Simulated::with(42));
    let connectivity = || bus.property(&path_of(42), CONTROL, "Connectivity");
    fabric.until(|| connectivity() == "s \"Available\"");
    fabric.silent.push(0x100);
    fabric.until(|| connectivity() == "s \"Degraded\"");
    fabric.until(|| eids(&bus).is_empty());
}

#[test]
fn answers_to_discovery_are_routed_to_the_root_complex() {
    let line = Wire::new();
    let binding = format!("pcie:{}", line.path.display());
    let (child, socket) = spawn(&[&binding], "unix:path=/nonexistent");
    let daemon = Daemon::take_over(child, socket, line);
    let folder = tempfile::tempdir().unwrap();
    let (endpoints, silent, unread) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut fabric = Fabric { daemon, endpoints, silent, unread, _folder: folder };
    for (command, routing) in [(0x0b, 0x70), (0x0c, 0x70), (0x02, 0x72)] {
        fabric.send(0x0218, 9, TO | 1, &[0, 0x81, command]);
        let answer = fabric.next();
        assert_eq!((answer.message.owner, answer.routing), (false, routing), "{command:02x}");
    }
}

#[test]
fn a_program_for_mctpd_finds_its_interfaces() {
    let bus = Bus::start();
    let mut fabric = Fabric::new(&[], "", &bus.address);
    fabric.endpoints.insert(0x0218, Simulated::with(0));
    bus.wait_for_name();
    let interface = format!("{ROOT}/interfaces/0");
    let property = |name| bus.property(&interface, "au.com.codeconstruct.MCTP.Interface1", name);
    assert_eq!((property("Role"), property("NetworkId")), ("s \"BusOwner\"".into(), "u 1".into()));
    let network = "au.com.codeconstruct.MCTP.Network1";
    let net_path = format!("{ROOT}/networks/1");
    assert_eq!(bus.property(&net_path, network, "LocalEIDs"), "ay 1 8");
    let owner = "au.com.codeconstruct.MCTP.BusOwner1";
    let call = |fabric: &mut Fabric, path: &str, interface: &str, rest: &[&str]| {
        let call = [&["call", NAME, path, interface], rest].concat();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(bus.busctl(&call)).unwrap());
            let mut reply = None;
            fabric.until(|| {
                reply = receiver.try_recv().ok();
                reply.is_some()
            });
            reply.unwrap()
        })
    };
    let reply = call(&mut fabric, &interface, owner, &["SetupEndpoint", "ay", "2", "2", "24"]);
    assert_eq!(reply, format!("yisb 20 1 \"{}\" true", path_of(20)));
    for (method, new) in
        [("SetupEndpoint", false), ("AssignEndpoint", false), ("LearnEndpoint", false)]
    {
        let reply = call(&mut fabric, &interface, owner, &[method, "ay", "2", "2", "24"]);
        assert_eq!(reply, format!("yisb 20 1 \"{}\" {new}", path_of(20)), "{method}");
    }
    fabric.endpoints.insert(0x0219, Simulated::with(0));
    let fixed = ["AssignEndpointStatic", "ayy", "2", "2", "25", "33"];
    let reply = call(&mut fabric, &interface, owner, &fixed);
    assert_eq!(reply, format!("yisb 33 1 \"{}\" true", path_of(33)));
    let reply = call(&mut fabric, &net_path, network, &["LearnEndpoint", "y", "33"]);
    assert_eq!(reply, format!("sb \"{}\" false", path_of(33)));
    assert_eq!(call(&mut fabric, &path_of(20), CONTROL, &["SetMTU", "u", "132"]), "");
    assert_eq!(call(&mut fabric, &path_of(20), CONTROL, &["Recover"]), "");
    assert_eq!(call(&mut fabric, &path_of(20), CONTROL, &["Remove"]), "");
    fabric.until(|| !eids(&bus).contains(&20));
}

#[test]
fn the_names_and_paths_of_mctpd_are_published_on_request() {
    let bus = Bus::start();
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("causeway.toml");
    std::fs::write(&file, "[mctp]\nmctpd-names = true\n").unwrap();
    let _daemon = Daemon::on_bus(&["--config", file.to_str().unwrap()], &bus.address);
    let get = || {
        let path = "/au/com/codeconstruct/mctp1/networks/1/endpoints/8";
        bus.busctl(&["get-property", "au.com.codeconstruct.MCTP1", path, ENDPOINT, "EID"])
    };
    wait_until(|| get() == "y 8");
}
