//! Callers on a private bus: bridges that own, share, lose and take over names, and OpenBMC's btbridge.

use std::time::Duration;

use ipmi_proto::ResponseBody;
use openbmc_dbus::execute::{self, Call, Execute, LinkRefusal};
use openbmc_dbus::ipmi::host_ipmi;
use tokio::sync::mpsc;
use tokio::time;
use zbus::interface;

use super::*;
use crate::platform::dbus::private_bus::Bus;

const LIMIT: Duration = Duration::from_secs(30);

/// What the bridge is sent: sequence number, NetFn, LUN, command, completion code, data.
type Answer = (u8, u8, u8, u8, u8, Vec<u8>);

struct BtBridge(mpsc::UnboundedSender<Answer>);

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
    async fn execute(self: Arc<Self>, call: Call) -> ResponseBody {
        match self.0.of_caller(&call.sender, &call.options).await {
            Ok(channel) => ResponseBody {
                completion: CompletionCode::OK,
                data: vec![channel.number().value()],
            },
            Err(completion) => ResponseBody::from(completion),
        }
    }

    async fn may_link(&self, _: &str) -> Result<(), LinkRefusal> {
        Err(LinkRefusal::NotOffered)
    }
}

#[tokio::test]
async fn btbridges_signals_are_requests_of_the_bt_channel() {
    let bus = Bus::start();
    let (requests, services) = (bus.connect().await, bus.connect().await);
    let channels = Channels::new(Arc::default(), IpmidConfig::default());
    channels.attach(&services).await.unwrap();
    let executor = Arc::new(Echo(Arc::clone(&channels)));
    let requests = execute::Requests::at_start(requests).await.unwrap();
    tokio::spawn(execute::serve(requests, executor));

    let (sent, mut answers) = mpsc::unbounded_channel();
    let bridge = bus.builder().name(host_ipmi::SERVICE);
    let bridge = bridge.serve_at(host_ipmi::PATH, BtBridge(sent));
    let bridge = bridge.build().await.unwrap();
    time::timeout(LIMIT, channels.arrival()).await.unwrap();

    let stranger = bus.connect().await;
    let asked = |from: Connection, seq: u8| async move {
        let request: (u8, u8, u8, u8, &[u8]) = (seq, 0x06, 0x00, 0x01, &[]);
        let (path, interface) = (host_ipmi::PATH, host_ipmi::NAME);
        let signal = from.emit_signal(None::<&str>, path, interface, "ReceivedMessage", &request);
        signal.await.unwrap();
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
const UNKNOWN: &str = "xyz.openbmc_project.Ipmi.Channel.eth0";

/// The channels of a new ipmid on `bus`.
async fn attached(bus: &Bus) -> Arc<Channels> {
    let channels = Channels::new(Arc::default(), IpmidConfig::default());
    channels.attach(&bus.connect().await).await.unwrap();
    channels
}

/// The channel's name for a request of `caller` with or without the options of a session; `None` if refused.
async fn channel(channels: &Channels, caller: &Connection, names_session: bool) -> Option<String> {
    let name = caller.unique_name().unwrap().to_string();
    let options = CallOptions { names_session, ..CallOptions::default() };
    let channel = channels.of_caller(&name, &options).await;
    channel.ok().map(|channel| channel.name.to_string())
}

/// Waits until a request of `caller` comes on `expected`: signals of the bus take their time.
async fn until(channels: &Channels, caller: &Connection, expected: Option<&str>) {
    let reached = async {
        while channel(channels, caller, true).await.as_deref() != expected {
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    time::timeout(LIMIT, reached).await.unwrap();
}

#[tokio::test]
async fn bridge_without_its_name_is_never_the_system() {
    let bus = Bus::start();
    let channels = attached(&bus).await;
    let (bridge, other) = (bus.connect().await, bus.connect().await);
    // Before it owns anything: a session cannot come from one that is no bridge.
    assert_eq!(channel(&channels, &bridge, true).await, None);
    bridge.request_name(LAN).await.unwrap();
    until(&channels, &bridge, Some("lan0")).await;
    // Another has the name now, and this one neither speaks for sessions nor for itself.
    bridge.release_name(LAN).await.unwrap();
    other.request_name(LAN).await.unwrap();
    until(&channels, &other, Some("lan0")).await;
    until(&channels, &bridge, None).await;
    assert_eq!(channel(&channels, &bridge, false).await, None);
    // It gets the name back, as after a mistake of an operator.
    other.release_name(LAN).await.unwrap();
    bridge.request_name(LAN).await.unwrap();
    until(&channels, &bridge, Some("lan0")).await;
    assert_eq!(channel(&channels, &other, false).await, None);
}

#[tokio::test]
async fn names_of_unknown_channels_and_second_names_are_refused() {
    let bus = Bus::start();
    let channels = attached(&bus).await;
    let unknown = bus.connect().await;
    unknown.request_name(UNKNOWN).await.unwrap();
    for names_session in [true, false] {
        assert_eq!(channel(&channels, &unknown, names_session).await, None);
    }
    let both = bus.connect().await;
    both.request_name(LAN).await.unwrap();
    until(&channels, &both, Some("lan0")).await;
    unknown.release_name(UNKNOWN).await.unwrap();
    both.request_name(UNKNOWN).await.unwrap();
    until(&channels, &both, None).await;
    both.release_name(UNKNOWN).await.unwrap();
    until(&channels, &both, None).await;
}

/// An ipmid that starts later learns the names that are owned, and has no memory of those that were.
#[tokio::test]
async fn restarted_ipmid_reads_the_owners_from_the_bus() {
    let bus = Bus::start();
    let (bridge, unknown, lost, stranger) =
        (bus.connect().await, bus.connect().await, bus.connect().await, bus.connect().await);
    lost.request_name(LAN).await.unwrap();
    lost.release_name(LAN).await.unwrap();
    bridge.request_name(LAN).await.unwrap();
    unknown.request_name(UNKNOWN).await.unwrap();
    let channels = attached(&bus).await;
    assert_eq!(channel(&channels, &bridge, true).await.as_deref(), Some("lan0"));
    assert_eq!(channel(&channels, &unknown, true).await, None);
    assert_eq!(channel(&channels, &unknown, false).await, None);
    // A session's options give away one that was a bridge before.
    assert_eq!(channel(&channels, &lost, true).await, None);
    assert_eq!(channel(&channels, &stranger, false).await.as_deref(), Some("INTRABMC"));
    assert_eq!(channel(&channels, &stranger, true).await, None);
}

#[tokio::test]
async fn no_caller_is_known_without_a_bus() {
    let channels = Channels::new(Arc::default(), IpmidConfig::default());
    let refused = channels.of_caller(":1.1", &CallOptions::default()).await;
    assert_eq!(refused.err(), Some(CompletionCode::DESTINATION_UNAVAILABLE));
    assert!(channels.may_link(":1.1").await.is_err());
}
