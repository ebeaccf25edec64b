//! Fakes of OpenBMC's bridges on a private bus.

use std::sync::{Arc, Mutex};

use ipmi_proto::NetFn;
use zbus::connection::Builder;
use zbus::{Connection, interface};

use super::*;
use crate::platform::dbus::private_bus::Bus;

const NAMED: IpmbAddress = IpmbAddress(0x2c);
const BYTE: u8 = 1;

/// The requests that the fake bridge received.
type Heard = Arc<Mutex<Vec<(u8, u8, u8, u8, Vec<u8>)>>>;

/// ipmbbridge, which asks by a byte alone.
struct IpmbBridge(Heard);

#[interface(name = "org.openbmc.Ipmb")]
impl IpmbBridge {
    #[zbus(name = "sendRequest")]
    fn send_request(&self, byte: u8, netfn: u8, lun: u8, command: u8, data: Vec<u8>) -> (Reply,) {
        let heard = (byte, netfn, lun, command, data);
        self.0.lock().unwrap().push(heard);
        ((0, netfn | 1, lun, command, 0x00, vec![7]),)
    }
}

/// btbridge, which counts the calls that set attention.
struct BtBridge(Arc<Mutex<usize>>);

#[interface(name = "org.openbmc.HostIpmi")]
impl BtBridge {
    #[zbus(name = "setAttention")]
    fn set_attention(&self) -> i64 {
        *self.0.lock().unwrap() += 1;
        0
    }
}

async fn platform(bus: &Bus) -> (DbusPlatform, Connection) {
    let bridges = Bridges {
        bt_channel: Some("bt0".to_owned()),
        satellites: HashMap::from([(NAMED, BYTE)]).into(),
    };
    let platform = DbusPlatform { bridges, ..DbusPlatform::default() };
    let connection = bus.connect().await;
    platform.attach(&connection).await.unwrap();
    (platform, connection)
}

fn request(lun: Lun) -> Request {
    Request { netfn: NetFn::APP, lun, command: 0x01, data: vec![5] }
}

async fn running(builder: Builder<'_>) -> Connection {
    builder.build().await.unwrap()
}

#[tokio::test]
async fn satellite_of_openbmcs_bridge_is_asked_by_its_byte() {
    let bus = Bus::start();
    let heard = Heard::default();
    let bridge = bus.builder().name("xyz.openbmc_project.Ipmi.Channel.Ipmb");
    let path = "/xyz/openbmc_project/Ipmi/Channel/Ipmb";
    let _bridge = running(bridge.serve_at(path, IpmbBridge(Arc::clone(&heard)))).await;
    let (platform, _connection) = platform(&bus).await;
    let ask = async |to, lun| platform.ask_satellite("Ipmb", to, &request(lun)).await;
    let answered = SatelliteAnswer::Answered(CompletionCode::OK, vec![7]);
    assert_eq!(ask(NAMED, Lun::BMC).await, Ok(answered));
    assert_eq!(*heard.lock().unwrap(), [(BYTE, 0x06, 0x00, 0x01, vec![5])]);
    // One without a byte, and a LUN that the bridge would not pass on.
    let unnamed = IpmbAddress(0x24);
    let lun = Lun::new(2).unwrap();
    assert!(matches!(ask(unnamed, Lun::BMC).await, Err(PlatformError::Absent(_))));
    assert!(matches!(ask(NAMED, lun).await, Err(PlatformError::Absent(_))));
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn attention_of_a_bt_host_is_raised_through_openbmcs_bridge() {
    let bus = Bus::start();
    let raised = Arc::new(Mutex::new(0));
    let bridge = bus.builder().name(host_ipmi::SERVICE);
    let bridge = bridge.serve_at(host_ipmi::PATH, BtBridge(Arc::clone(&raised)));
    let _bridge = running(bridge).await;
    let (platform, _connection) = platform(&bus).await;
    assert_eq!(platform.set_attention("bt0", true).await, Ok(()));
    assert_eq!(*raised.lock().unwrap(), 1);
    // The host itself lowers it, and btbridge is not called for other channels.
    for (channel, on) in [("bt0", false), ("kcs0", true)] {
        let result = platform.set_attention(channel, on).await;
        assert!(matches!(result, Err(PlatformError::Absent(_))), "{channel}");
    }
    assert_eq!(*raised.lock().unwrap(), 1);
}
