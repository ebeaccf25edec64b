//! Callers on a private bus: bridges that own, share, lose and take over names, and OpenBMC's btbridge.

use std::collections::{BTreeSet, HashMap};

use ipmi_proto::ResponseBody;
use openbmc_dbus::bus::NameEnd;
use openbmc_dbus::execute::{self, Call, Execute, LinkRefusal};
use openbmc_dbus::ipmi::host_ipmi;
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time;
use zbus::names::{OwnedUniqueName, WellKnownName};
use zbus::{Variant, interface};

use super::*;
use crate::platform::dbus::private_bus::Bus;

const LIMIT: Duration = Duration::from_secs(30);

/// What the bridge is sent: sequence number, NetFn, LUN, command, completion code, data.
type SentMessage = (u8, u8, u8, u8, u8, Vec<u8>);

struct BtBridge(mpsc::UnboundedSender<SentMessage>);

#[interface(name = "org.openbmc.HostIpmi")]
impl BtBridge {
    #[zbus(name = "sendMessage")]
    fn send_message(
        &self,
        seq: u8,
        netfn: u8,
        lun: u8,
        command: u8,
        completion: u8,
        data: Vec<u8>,
    ) -> i64 {
        let answer = (seq, netfn, lun, command, completion, data);
        self.0.send(answer).unwrap();
        0
    }
}

/// Answers with the number of the channel that it is asked on.
struct Echo(Arc<Channels>);

impl Execute for Echo {
    fn execute(self: Arc<Self>, call: Call) -> impl Future<Output = ResponseBody> + Send {
        let channel = self.0.of_caller(&call.sender, &call.options);
        async move {
            match channel.await {
                Ok(number) => {
                    ResponseBody { completion: CompletionCode::OK, data: vec![number.value()] }
                }
                Err(completion) => ResponseBody::from(completion),
            }
        }
    }

    fn may_link(
        self: Arc<Self>,
        caller: String,
    ) -> impl Future<Output = Result<(), LinkRefusal>> + Send {
        self.0.may_link(&caller)
    }

    fn attached(&self, connection: &Connection) {
        self.0.attach(connection);
    }

    fn detached(&self) {
        self.0.detach();
    }

    fn owner_changed(&self, change: &OwnerChange) {
        self.0.owner_changed(change);
    }

    fn owners_listed(&self, owners: Vec<(String, String)>) {
        self.0.owners_listed(owners);
    }
}

/// A new ipmid on `bus`: its channels, and where its callers find it.
async fn serve(bus: &Bus) -> (Arc<Channels>, OwnedUniqueName) {
    let channels = Channels::new(Arc::default(), IpmidConfig::default());
    let (name, _) = attach(bus, &channels).await;
    (channels, name)
}

/// Serves on another connection to `bus`, until the task ends.
async fn attach(bus: &Bus, channels: &Arc<Channels>) -> (OwnedUniqueName, JoinHandle<NameEnd>) {
    let connection = bus.connect().await;
    let name = connection.unique_name().unwrap().clone();
    let requests = execute::Requests::at_start(connection).await.unwrap();
    let serving = execute::serve(requests, Arc::new(Echo(Arc::clone(channels))));
    (name, tokio::spawn(serving))
}

#[tokio::test]
async fn btbridges_signals_are_requests_of_the_bt_channel() {
    let bus = Bus::start();
    let (channels, _) = serve(&bus).await;
    let (sent, mut answers) = mpsc::unbounded_channel();
    let bridge = bus.builder().name(host_ipmi::SERVICE);
    let bridge = bridge.serve_at(host_ipmi::PATH, BtBridge(sent));
    let bridge = bridge.build().await.unwrap();
    time::timeout(LIMIT, channels.arrival()).await.unwrap();

    let stranger = bus.connect().await;
    let asked = |from: Connection, seq: u8| async move {
        let request: (u8, u8, u8, u8, &[u8]) = (seq, 0x06, 0x00, 0x01, &[]);
        let (path, interface) = (host_ipmi::PATH, host_ipmi::NAME);
        let emitted = from.emit_signal(None::<&str>, path, interface, "ReceivedMessage", &request);
        emitted.await.unwrap();
    };
    // Until the signals are followed.
    let answer = loop {
        asked(stranger.clone(), 1).await;
        asked(bridge.clone(), 2).await;
        if let Ok(answer) = time::timeout(Duration::from_millis(100), answers.recv()).await {
            break answer.unwrap();
        }
    };
    let bt = channels.table.by_name("bt0").unwrap().number().value();
    assert_eq!(answer, (2, 0x07, 0x00, 0x01, 0x00, vec![bt]));
}

const LAN: &str = "xyz.openbmc_project.Ipmi.Channel.lan0";
const KCS: &str = "xyz.openbmc_project.Ipmi.Channel.kcs0";
const UNKNOWN: &str = "xyz.openbmc_project.Ipmi.Channel.eth0";

const SESSION: [&str; 3] = ["userId", "privilege", "currentSessionId"];

/// The channel of a request that `caller` sends to `ipmid` with `options`; `None` for D3h.
async fn channel(ipmid: &OwnedUniqueName, caller: &Connection, options: &[&str]) -> Option<u8> {
    // Of a type that is not the contract's.
    let options: HashMap<&str, Variant<'_>> =
        options.iter().map(|key| (*key, Variant::from("2"))).collect();
    let request: (u8, u8, u8, &[u8], _) = (6, 0, 1, &[], options);
    let interface = Some(execute::INTERFACE);
    let call = caller.call_method(Some(ipmid), execute::PATH, interface, execute::METHOD, &request);
    let reply = time::timeout(LIMIT, call).await.unwrap().unwrap();
    let ((_, _, _, completion, data),): ((u8, u8, u8, u8, Vec<u8>),) =
        reply.body().deserialize().unwrap();
    match (completion, data.as_slice()) {
        (0, [number]) => Some(*number),
        (0xd3, []) => None,
        other => panic!("{other:?}"),
    }
}

/// The name of a link's refusal; `None` for a link.
async fn link(ipmid: &OwnedUniqueName, caller: &Connection) -> Option<String> {
    let (path, interface) = (execute::PATH, Some(execute::DIRECT));
    let call = caller.call_method(Some(ipmid), path, interface, execute::OPEN, &());
    call.await.err().map(|error| error.to_string())
}

#[tokio::test]
async fn bridge_without_its_name_is_never_the_system() {
    let bus = Bus::start();
    let (_, ipmid) = serve(&bus).await;
    let (bridge, other) = (bus.connect().await, bus.connect().await);
    // Before it owns anything: a session cannot come from one that is no bridge.
    assert_eq!(channel(&ipmid, &bridge, &SESSION).await, None);
    bridge.request_name(LAN).await.unwrap();
    assert_eq!(channel(&ipmid, &bridge, &SESSION).await, Some(1));
    // Another has the name now, and this one neither speaks for sessions nor for itself.
    bridge.release_name(LAN).await.unwrap();
    other.request_name(LAN).await.unwrap();
    assert_eq!(channel(&ipmid, &other, &SESSION).await, Some(1));
    assert_eq!(channel(&ipmid, &bridge, &SESSION).await, None);
    assert_eq!(channel(&ipmid, &bridge, &[]).await, None);
    assert!(link(&ipmid, &bridge).await.unwrap().contains("no longer owns"));
    // It gets the name back, as after a mistake of an operator.
    other.release_name(LAN).await.unwrap();
    bridge.request_name(LAN).await.unwrap();
    assert_eq!(channel(&ipmid, &bridge, &SESSION).await, Some(1));
    assert_eq!(channel(&ipmid, &other, &[]).await, None);
}

#[tokio::test]
async fn caller_that_was_the_system_is_a_bridge_from_its_first_name_on() {
    let bus = Bus::start();
    let (_, ipmid) = serve(&bus).await;
    for name in [LAN, KCS, UNKNOWN, host_ipmi::SERVICE] {
        let caller = bus.connect().await;
        assert_eq!(channel(&ipmid, &caller, &[]).await, Some(8));
        caller.request_name(name).await.unwrap();
        // At once, however soon after the name.
        assert_ne!(channel(&ipmid, &caller, &[]).await, Some(8), "{name}");
        caller.release_name(name).await.unwrap();
        assert_eq!(channel(&ipmid, &caller, &[]).await, None, "{name}");
    }
}

#[tokio::test]
async fn options_of_any_name_and_type_are_not_the_systems() {
    let bus = Bus::start();
    let (_, ipmid) = serve(&bus).await;
    let caller = bus.connect().await;
    assert_eq!(channel(&ipmid, &caller, &[]).await, Some(8));
    for option in ["userId", "privilege", "currentSessionId", "sessionId", "rqSA", "hostId", "x"] {
        assert_eq!(channel(&ipmid, &caller, &[option]).await, None, "{option}");
    }
}

/// An ipmid that starts later learns the names that are owned, and has no memory of those that were.
#[tokio::test]
async fn ipmid_that_starts_anew_asks_the_bus() {
    let bus = Bus::start();
    let (bridge, unknown, lost, stranger) =
        (bus.connect().await, bus.connect().await, bus.connect().await, bus.connect().await);
    lost.request_name(LAN).await.unwrap();
    lost.release_name(LAN).await.unwrap();
    bridge.request_name(LAN).await.unwrap();
    unknown.request_name(UNKNOWN).await.unwrap();
    let channels = Channels::new(Arc::default(), IpmidConfig::default());
    for _ in 0..2 {
        let (ipmid, serving) = attach(&bus, &channels).await;
        assert_eq!(channel(&ipmid, &bridge, &SESSION).await, Some(1));
        assert_eq!(channel(&ipmid, &unknown, &SESSION).await, None);
        assert_eq!(channel(&ipmid, &unknown, &[]).await, None);
        // A session's options give away one that was a bridge before.
        assert_eq!(channel(&ipmid, &lost, &SESSION).await, None);
        assert_eq!(channel(&ipmid, &stranger, &[]).await, Some(8));
        assert_eq!(channel(&ipmid, &stranger, &SESSION).await, None);
        serving.abort();
        let _aborted = serving.await;
    }
}

#[tokio::test]
async fn nobody_is_known_while_there_is_no_bus() {
    let channels = Channels::new(Arc::default(), IpmidConfig::default());
    let refused = channels.of_caller(":1.1", &CallOptions::default()).await;
    assert_eq!(refused.err(), Some(CompletionCode::DESTINATION_UNAVAILABLE));
    assert!(channels.may_link(":1.1").await.is_err());
}

#[tokio::test]
async fn nobody_is_served_before_the_owners_are_listed_nor_by_a_bus_that_has_gone() {
    let bus = Bus::start();
    let channels = Channels::new(Arc::default(), IpmidConfig::default());
    let (connection, caller) = (bus.connect().await, bus.connect().await);
    channels.attach(&connection);
    let name = caller.unique_name().unwrap().to_string();
    let options = CallOptions::default();
    let (early, never) =
        (channels.of_caller(&name, &options), channels.of_caller(":1.9", &options));
    channels.owners_listed(vec![(LAN.to_owned(), name.clone())]);
    assert_eq!(early.await.map(ChannelNumber::value), Ok(1));
    channels.attach(&connection);
    channels.owners_listed(Vec::new());
    assert!(never.await.is_err());
    let number = channels.of_caller(&name, &options).await.unwrap();
    assert_eq!(channels.get(number).map(|channel| channel.name.to_string()), Some(INTRABMC.into()));
    // A request that came before the connection was lost is decided by what was known then.
    let late = channels.of_caller(":1.9999", &options);
    channels.attach(&bus.connect().await);
    assert!(late.await.is_err());
    let waiting = channels.of_caller(&name, &options);
    channels.detach();
    assert!(waiting.await.is_err());
}

#[tokio::test]
async fn callers_beyond_what_is_remembered_are_what_they_were() {
    let bus = Bus::start();
    let (channels, ipmid) = serve(&bus).await;
    let (bridge, lost) = (bus.connect().await, bus.connect().await);
    bridge.request_name(LAN).await.unwrap();
    lost.request_name(KCS).await.unwrap();
    assert_eq!(channel(&ipmid, &lost, &[]).await, Some(15));
    lost.release_name(KCS).await.unwrap();
    assert_eq!(channel(&ipmid, &bridge, &SESSION).await, Some(1));
    for number in 0..3 * MAX_USERS {
        lock(&channels.known).remember_user(&format!(":2.{number}"), User::Accepted);
    }
    assert!(lock(&channels.known).users.len() <= MAX_USERS);
    assert_eq!(channel(&ipmid, &lost, &[]).await, None);
    assert_eq!(channel(&ipmid, &bridge, &SESSION).await, Some(1));
}

#[tokio::test]
async fn bridges_that_have_gone_take_no_room() {
    let bus = Bus::start();
    let (channels, ipmid) = serve(&bus).await;
    let mut gone = Vec::new();
    for _ in 0..20 {
        let bridge = bus.connect().await;
        bridge.request_name(LAN).await.unwrap();
        assert_eq!(channel(&ipmid, &bridge, &SESSION).await, Some(1));
        gone.push(bridge.unique_name().unwrap().to_string());
        bridge.close().await.unwrap();
    }
    let forgotten = async {
        let is_known = |name: &String| lock(&channels.known).owners.is_known(name);
        while gone.iter().any(is_known) {
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    time::timeout(LIMIT, forgotten).await.unwrap();
}

/// What a caller does next.
#[derive(Clone, Debug)]
enum Step {
    Own(usize, &'static str),
    Release(usize, &'static str),
    Call(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let name = prop::sample::select(vec![LAN, KCS, UNKNOWN]);
    prop_oneof![
        (0..3_usize, name.clone()).prop_map(|(caller, name)| Step::Own(caller, name)),
        (0..3_usize, name).prop_map(|(caller, name)| Step::Release(caller, name)),
        (0..3_usize, any::<bool>()).prop_map(|(caller, session)| Step::Call(caller, session)),
    ]
}

/// The channel by the rule in words, of names that are owned and that ever were.
fn ruled(owned: &BTreeSet<&str>, ever: &BTreeSet<&str>, session: bool) -> Option<u8> {
    let ever: Vec<&str> = ever.iter().copied().collect();
    match ever.as_slice() {
        [] if !session => Some(8),
        [LAN] if owned.contains(LAN) => Some(1),
        [KCS] if owned.contains(KCS) && !session => Some(15),
        _ => None,
    }
}

async fn follow_the_rule(steps: &[Step]) {
    let bus = Bus::start();
    let (_, ipmid) = serve(&bus).await;
    let callers = [bus.connect().await, bus.connect().await, bus.connect().await];
    let mut owned: [BTreeSet<&str>; 3] = Default::default();
    let mut ever: [BTreeSet<&str>; 3] = Default::default();
    for step in steps {
        match *step {
            Step::Own(caller, name) => {
                let is_free = owned.iter().all(|names| !names.contains(name));
                let result = openbmc_dbus::bus::own_name(&callers[caller], name).await;
                if is_free {
                    result.unwrap();
                    owned[caller].insert(name);
                    ever[caller].insert(name);
                }
            }
            Step::Release(caller, name) => {
                // Not by the connection, which knows only of names that it requested itself.
                let bus = DBusProxy::new(&callers[caller]).await.unwrap();
                bus.release_name(WellKnownName::try_from(name).unwrap()).await.unwrap();
                owned[caller].remove(name);
            }
            Step::Call(caller, session) => {
                let options = if session { &SESSION[..] } else { &[] };
                let got = channel(&ipmid, &callers[caller], options).await;
                let expected = ruled(&owned[caller], &ever[caller], session);
                assert_eq!(got, expected, "{steps:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order of names and requests, and however soon one follows the other.
    #[test]
    fn request_is_judged_by_the_names_of_its_moment(steps in prop::collection::vec(step(), 1..40)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(follow_the_rule(&steps));
    }
}
