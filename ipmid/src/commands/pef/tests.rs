//! Configuration byte for byte, and events that act.

use std::time::Duration;

use durable::Modes;
use hex_literal::hex;
use ipmi_proto::NetFn;
use ipmi_proto::sel::{Event, GeneratorId, SelBody, SelRecord};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time;

use super::*;
use crate::commands::test_support::{self, CommandResult, answer};
use crate::platform::ChassisTransition;
use crate::request::command::Family;

struct TestPef {
    commands: test_support::TestCommands,
    pef: Arc<PefProvider<crate::platform::fake::FakePlatform>>,
    sel: Arc<SelStore<Folder>>,
    running: JoinHandle<()>,
    _state: tempfile::TempDir,
}

impl Drop for TestPef {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl TestPef {
    async fn new(trap_port: u16) -> Self {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::create(&state.path().join("state"), Modes::PRIVATE).unwrap();
        let sel = Arc::new(SelStore::open(folder, 100));
        let to = serde_json::json!({
            "address": "127.0.0.1", "acknowledged": true, "timeout": 1, "retries": 2,
        });
        let stored = serde_json::json!({ "1": { "destinations": [{}, to] } });
        let stored: LanState = serde_json::from_value(stored).unwrap();
        let lan = Arc::new(Persistent::volatile());
        lan.update(|all| *all = stored).await.unwrap();
        let config = accounts::AccessConfig::default();
        let access = state.path().join("access");
        let accounts = accounts::Writer::open(&access, &config, Default::default()).unwrap();
        let deps = PefDeps {
            accounts: Arc::new(accounts),
            sel: Arc::clone(&sel),
            clock: Arc::new(Clock::new(Persistent::volatile())),
            lan,
            manufacturer: (Iana::OPENBMC, 1),
            config: PefConfig { trap_port }.into(),
            updates: Arc::default(),
        };
        let mut pef = None;
        let family = Family::NetFn(NetFn::SENSOR_EVENT);
        let commands = test_support::TestCommands::with(family, |platform, table| {
            let platform = Arc::clone(platform);
            let provider = PefProvider::new(platform, deps, Persistent::volatile());
            provider.register(table);
            pef = Some(provider);
        });
        let pef = pef.unwrap();
        let engine = Arc::clone(&pef);
        let running = tokio::spawn(async move { match engine.run().await {} });
        Self { commands, pef, sel, running, _state: state }
    }

    async fn set(&self, parameter: u8, value: &[u8]) -> CommandResult {
        self.commands.send(0x12, &[&[parameter], value].concat()).await
    }

    async fn get(&self, parameter: u8, set: u8, block: u8) -> CommandResult {
        self.commands.send(0x13, &[parameter, set, block]).await
    }

    /// A filter for a temperature beyond its upper critical limit, with these actions.
    async fn arm(&self, actions: u8) {
        let filter = [&hex!("01 80")[..], &[actions], &hex!("01 10 ffff 01 ff 01 0002")].concat();
        let filter = [&filter[..], &[0; 9]].concat();
        self.set(6, &filter).await.unwrap();
        self.set(9, &hex!("01 18 11 00")).await.unwrap();
        self.set(2, &[0x2f]).await.unwrap();
        self.set(1, &[1]).await.unwrap();
    }

    async fn heat(&self) {
        let event = Event::from_bytes(hex!("04 01 30 01 59 66 64"));
        let body = SelBody::System { timestamp: 1, generator: GeneratorId::BMC, event };
        self.sel.add(SelRecord { id: 0, body }, 1).await.unwrap();
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if what(self) {
                return;
            }
            time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it did not come to be");
    }
}

#[tokio::test]
async fn parameters_are_read_as_they_are_written() {
    let commands = TestPef::new(0).await;
    let cases: [(u8, &[u8]); 7] = [
        (1, &[0x00]),
        (2, &[0x2f]),
        (3, &[10]),
        (6, &hex!("03 80 01 01 10 ff ff 01 ff 01 0002 000000 000000 000000")),
        (9, &hex!("02 18 11 00")),
        (10, &hex!("01 00112233445566778899aabbccddeeff")),
        (12, &hex!("01 03 02")),
    ];
    for (parameter, value) in cases {
        assert_eq!(commands.set(parameter, value).await, answer(&[]), "{parameter}");
        let set = if matches!(parameter, 6 | 9 | 12) { value[0] } else { 0 };
        let read = answer(&[&[0x11], value].concat());
        assert_eq!(commands.get(parameter, set, 0).await, read, "{parameter}");
    }
    assert_eq!(commands.set(7, &[3, 0]).await, answer(&[]));
    assert_eq!(commands.get(6, 3, 0).await.unwrap()[2], 0);
    assert_eq!(commands.set(13, &hex!("01 01 4f7665726865617400")).await, answer(&[]));
    let block = hex!("11 01 01 4f766572686561740000000000000000");
    assert_eq!(commands.get(13, 1, 1).await, answer(&block));
    assert_eq!(commands.get(13, 1, 4).await, answer(&[&hex!("11 01 04")[..], &[0; 16]].concat()));
}

#[tokio::test]
async fn indexes_past_the_tables_and_unknown_parameters_are_refused() {
    let commands = TestPef::new(0).await;
    assert_eq!(commands.commands.send(0x10, &[]).await, answer(&[0x51, 0x2f, 16]));
    assert_eq!(commands.get(5, 0, 0).await, answer(&[0x11, 16]));
    let beyond = Err(ipmi_proto::CompletionCode::PARAMETER_OUT_OF_RANGE);
    assert_eq!(commands.get(6, 17, 0).await, beyond);
    assert_eq!(commands.get(6, 0, 0).await, beyond);
    assert_eq!(commands.get(40, 0, 0).await, Err(ipmi_proto::CompletionCode(0x80)));
    assert_eq!(commands.set(5, &[1]).await, Err(ipmi_proto::CompletionCode(0x82)));
    assert_eq!(commands.set(0, &[1]).await, answer(&[]));
    assert_eq!(commands.set(0, &[1]).await, Err(ipmi_proto::CompletionCode(0x81)));
}

#[tokio::test]
async fn matching_event_switches_power_once() {
    let commands = TestPef::new(0).await;
    commands.heat().await;
    commands.arm(0x02).await;
    commands.heat().await;
    commands
        .until(|commands| !commands.commands.platform.state().chassis_requests.is_empty())
        .await;
    commands.until(|commands| commands.pef.parameters.get().processed == 2).await;
    // What happened before PEF was on is not acted on.
    assert_eq!(commands.commands.platform.state().chassis_requests, [ChassisTransition::Off]);
    let last = commands.commands.send(0x15, &[]).await;
    assert_eq!(last, answer(&hex!("01000000 0200 0000 0200")));
}

#[tokio::test]
async fn trap_is_sent_again_until_it_is_acknowledged() {
    let listener = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let commands = TestPef::new(listener.local_addr().unwrap().port()).await;
    commands.arm(0x01).await;
    commands.heat().await;
    let mut bytes = [0; 512];
    let first = listener.recv(&mut bytes).await.unwrap();
    let first = bytes[..first].to_vec();
    let again = listener.recv(&mut bytes).await.unwrap();
    assert_eq!(first, bytes[..again]);
    // The trap's variable ends the datagram: its GUID, then the sequence.
    let at = first.len() - 47 + 16;
    let acknowledge = [&first[at..at + 2], &[0; 4], &[0x20, 0x20, 0x30], &[0x59, 0x66, 0x64]];
    assert_eq!(commands.commands.send(0x17, &acknowledge.concat()).await, answer(&[]));
    let silence = time::timeout(Duration::from_millis(1500), listener.recv(&mut bytes)).await;
    assert!(silence.is_err(), "it was sent once more");
}

#[tokio::test]
async fn alert_immediate_reports_its_status() {
    let listener = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let commands = TestPef::new(listener.local_addr().unwrap().port()).await;
    assert_eq!(commands.commands.send(0x16, &[1, 0x01, 0]).await, answer(&[]));
    assert_eq!(commands.commands.send(0x16, &[1, 0x41, 0]).await, answer(&[0xff]));
    let mut bytes = [0; 512];
    let length = listener.recv(&mut bytes).await.unwrap();
    let at = length - 47 + 16;
    let acknowledge = [&bytes[at..at + 2], &[0; 10]].concat();
    commands.commands.send(0x17, &acknowledge).await.unwrap();
    commands.until(|commands| *crate::model::persistent::lock(&commands.pef.immediate) == 1).await;
    let nowhere = Err(ipmi_proto::CompletionCode::INVALID_DATA_FIELD);
    assert_eq!(commands.commands.send(0x16, &[1, 0x02, 0]).await, nowhere);
}

#[tokio::test]
async fn postponed_events_wait() {
    let commands = TestPef::new(0).await;
    commands.arm(0x02).await;
    assert_eq!(commands.commands.send(0x11, &[0xfe]).await, answer(&[0xfe]));
    commands.heat().await;
    time::sleep(Duration::from_millis(50)).await;
    assert_eq!(commands.commands.platform.state().chassis_requests, []);
    assert_eq!(commands.commands.send(0x11, &[0]).await, answer(&[0]));
    commands
        .until(|commands| !commands.commands.platform.state().chassis_requests.is_empty())
        .await;
}

#[tokio::test]
async fn an_event_is_acted_on_once_also_if_the_log_is_erased() {
    let commands = TestPef::new(0).await;
    let acted = |commands: &TestPef| commands.commands.platform.state().chassis_requests.len();
    let handled = |id| move |commands: &TestPef| commands.pef.parameters.get().processed == id;
    commands.arm(0x02).await;
    for id in 1..=3 {
        commands.heat().await;
        commands.until(handled(id)).await;
    }
    // The one handled last is deleted.
    commands.sel.delete(3, 2, None).await.unwrap();
    commands.heat().await;
    commands.until(handled(4)).await;
    assert_eq!(acted(&commands), 4);
    // After an erasure ids begin again.
    commands.sel.clear(3, None).await.unwrap();
    for id in 1..=2 {
        commands.heat().await;
        commands.until(|commands| acted(commands) == 4 + usize::from(id)).await;
        commands.until(handled(id)).await;
    }
    commands.sel.clear(4, None).await.unwrap();
    // What was there when the newest was said to be handled is.
    commands.commands.send(0x11, &[0xfe]).await.unwrap();
    commands.heat().await;
    commands.commands.send(0x14, &hex!("01 ffff")).await.unwrap();
    commands.commands.send(0x11, &[0]).await.unwrap();
    commands.heat().await;
    commands.until(handled(2)).await;
    assert_eq!(acted(&commands), 7);
}

#[tokio::test]
async fn alerts_under_way_are_bounded_and_power_is_not() {
    let listener = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let commands = TestPef::new(listener.local_addr().unwrap().port()).await;
    commands.arm(0x03).await;
    let all = u32::try_from(MAX_ALERTS).unwrap();
    let all = Arc::clone(&commands.pef.alerts).acquire_many_owned(all).await;
    commands.heat().await;
    commands
        .until(|commands| !commands.commands.platform.state().chassis_requests.is_empty())
        .await;
    drop(all);
    commands.heat().await;
    let mut bytes = [0; 512];
    let length = listener.recv(&mut bytes).await.unwrap();
    let sequence = &bytes[length - 47 + 16..][..2];
    assert_eq!(sequence, [0, 1], "the first trap there is");
}

#[tokio::test]
async fn alerts_wait_after_a_start_and_power_does_not() {
    let listener = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let commands = TestPef::new(listener.local_addr().unwrap().port()).await;
    commands.arm(0x03).await;
    // Alerts wait for the longest time there is.
    assert_eq!(commands.set(4, &[255]).await, answer(&[]));
    assert_eq!(commands.set(1, &[0x09]).await, answer(&[]));
    commands.heat().await;
    commands
        .until(|commands| !commands.commands.platform.state().chassis_requests.is_empty())
        .await;
    let mut bytes = [0; 512];
    let silence = time::timeout(Duration::from_millis(200), listener.recv(&mut bytes)).await;
    assert!(silence.is_err(), "an alert did not wait");
}

#[tokio::test]
async fn alert_strings_are_found_by_number_or_by_filter_and_set() {
    let commands = TestPef::new(0).await;
    for (number, text) in [(1, &b"one\0rest"[..]), (2, b"two"), (3, b"three")] {
        let value = [&[number, 1], text].concat();
        commands.set(13, &value).await.unwrap();
    }
    // Of filter 5: string 2 in set 1, string 3 in set 2.
    commands.set(12, &hex!("02 05 01")).await.unwrap();
    commands.set(12, &hex!("03 05 02")).await.unwrap();
    let parameters = commands.pef.parameters.get();
    for (selector, filter, text) in [
        (0x01, 5, "one"),
        (0x03, 9, "three"),
        (0x00, 5, ""),
        (0x07, 5, ""),
        (0x81, 5, "two"),
        (0x82, 5, "three"),
        (0x81, 6, ""),
        (0x83, 5, ""),
    ] {
        let policy = super::configuration::Policy([0x18, 0x11, selector]);
        let found = parameters.string_of(policy, filter);
        assert_eq!(found, text.as_bytes(), "{selector:02x}h, filter {filter}");
    }
}

#[tokio::test]
async fn alert_immediate_sends_a_string_that_is_there() {
    let listener = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let commands = TestPef::new(listener.local_addr().unwrap().port()).await;
    commands.set(13, b"\x01\x01Call hall 3").await.unwrap();
    let beyond = Err(ipmi_proto::CompletionCode::PARAMETER_OUT_OF_RANGE);
    assert_eq!(commands.commands.send(0x16, &[1, 0x01, 0x89]).await, beyond);
    assert_eq!(commands.commands.send(0x16, &[1, 0x01, 0x81]).await, answer(&[]));
    let mut bytes = [0; 512];
    let length = listener.recv(&mut bytes).await.unwrap();
    assert!(bytes[..length].ends_with(b"\xcbCall hall 3\xc1"));
}

/// The destinations that a policy set alerts, by the policies' rules: each is a policy's rule, and the
/// destination of channel 1.
async fn alerted(rules: &[(u8, u8)]) -> usize {
    let listener = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let commands = TestPef::new(listener.local_addr().unwrap().port()).await;
    // Nobody acknowledges here, so that an alert succeeds when it is sent.
    let to = serde_json::json!({ "address": "127.0.0.1" });
    let stored = serde_json::json!({ "1": { "destinations": [{}, to, to] } });
    let stored: LanState = serde_json::from_value(stored).unwrap();
    commands.pef.deps.lan.update(|all| *all = stored).await.unwrap();
    let policies = rules.iter().map(|(rule, destination)| {
        super::configuration::Policy([0x18 | rule, 0x10 | destination, 0])
    });
    let event = Event::from_bytes(hex!("04 01 30 01 59 66 64"));
    let trap = commands.pef.trap(0, GeneratorId::BMC, event, 0);
    commands.pef.alert_by(policies.collect(), 1, trap).await;
    let mut bytes = [0; 512];
    let mut count = 0;
    // What was sent over the loopback is there.
    let listener = listener.into_std().unwrap();
    while listener.recv(&mut bytes).is_ok() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn policies_follow_one_another_by_their_rules() {
    assert_eq!(alerted(&[(0, 1), (0, 2)]).await, 2, "always");
    assert_eq!(alerted(&[(0, 1), (1, 2), (0, 1)]).await, 2, "the next entry");
    assert_eq!(alerted(&[(0, 1), (2, 2), (0, 1)]).await, 1, "no more of the set");
    assert_eq!(alerted(&[(0, 1), (3, 2), (0, 1)]).await, 1, "another channel");
    assert_eq!(alerted(&[(0, 1), (4, 2), (0, 1)]).await, 1, "another type");
    // Destination 3 is nowhere: what was not delivered does not stop those after it.
    assert_eq!(alerted(&[(0, 3), (2, 2), (0, 1)]).await, 2, "after a failure");
}
