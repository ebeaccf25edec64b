//! OpenBMC's btbridge on a private bus, played by the test: who it is taken for, and how it is answered.

use std::time::Duration;

use openbmc_dbus::execute::{self, Call, Execute, Reply};
use tokio::sync::mpsc;
use tokio::time;
use zbus::interface;

use super::*;
use crate::platform::private_bus::Bus;

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
    async fn execute(self: Arc<Self>, call: Call) -> Reply {
        match self.0.of_caller(&call.sender).await {
            Ok(channel) => {
                Reply { completion: CompletionCode::OK, data: vec![channel.number().value()] }
            }
            Err(completion) => Reply { completion, data: Vec::new() },
        }
    }

    async fn may_link(&self, _: &str) -> bool {
        false
    }
}

#[tokio::test]
async fn btbridges_signals_are_requests_of_the_bt_channel() {
    let bus = Bus::start();
    let (requests, services) = (bus.connect().await, bus.connect().await);
    let channels = Channels::new(Arc::default(), Ipmid::default());
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
        let told = from.emit_signal(None::<&str>, path, interface, "ReceivedMessage", &request);
        told.await.unwrap();
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
