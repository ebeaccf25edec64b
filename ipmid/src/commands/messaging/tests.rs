//! The messaging commands over satellites and I2C buses in memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use hex_literal::hex;
use ipmi_proto::ipmb::IpmbAddress;
use ipmi_proto::{CompletionCode, NetFn, Privilege, Request, ResponseBody};

use super::*;
use crate::commands::test_support::{CommandResult, TestCommands, answer};
use crate::model::message_queue::{Message, flag};
use crate::platform::{I2cError, PlatformError, PlatformResult, SatelliteAnswer};
use crate::request::command::{Execute, Family};
use crate::request::context::{Context, Satellite, Session};

/// Responds with a given result, and records the requests.
#[derive(Debug)]
struct Fake {
    satellite: Mutex<PlatformResult<SatelliteAnswer>>,
    asked: Mutex<Vec<(String, u8, Request)>>,
    answered: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Satellites for Fake {
    async fn ask_satellite(
        &self,
        channel: &str,
        to: IpmbAddress,
        request: &Request,
    ) -> PlatformResult<SatelliteAnswer> {
        let asked = (channel.to_owned(), to.0, request.clone());
        self.asked.lock().unwrap().push(asked);
        self.satellite.lock().unwrap().clone()
    }

    async fn answer_satellite(&self, channel: &str, frame: &[u8]) -> PlatformResult<()> {
        let answered = (channel.to_owned(), frame.to_vec());
        self.answered.lock().unwrap().push(answered);
        Ok(())
    }
}

/// Reads back what was written, and fails at one address.
#[derive(Debug)]
struct FakeI2c;

impl I2c for FakeI2c {
    async fn transfer(
        &self,
        _: u8,
        address: u8,
        write: Vec<u8>,
        read: u8,
    ) -> Result<Vec<u8>, I2cError> {
        match address {
            0x51 => Err(I2cError::NotAcknowledged),
            _ => Ok(write.iter().copied().cycle().take(read.into()).collect()),
        }
    }
}

struct TestMessaging {
    commands: TestCommands,
    fake: Arc<Fake>,
    messages: Arc<Messages>,
    own: Arc<Own>,
}

/// Echoes requests to the BMC itself, and keeps them.
#[derive(Debug, Default)]
struct Own(Mutex<Vec<(Context, u8)>>);

impl Execute for Own {
    fn execute(
        &self,
        context: Context,
        netfn: u8,
        data: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = ResponseBody> + Send + '_>> {
        self.0.lock().unwrap().push((context, netfn));
        let completion =
            if context.lun.value() == 2 { CompletionCode::NOT_PRESENT } else { CompletionCode::OK };
        Box::pin(async move { ResponseBody { completion, data } })
    }
}

fn messaging() -> TestMessaging {
    let fake = Arc::new(Fake {
        satellite: Mutex::new(Ok(SatelliteAnswer::Answered(CompletionCode::OK, vec![0x42]))),
        asked: Mutex::default(),
        answered: Mutex::default(),
    });
    let messages = Arc::<Messages>::default();
    let allow = |address, write: &[u8], mask: &[u8]| AllowedTransfer {
        bus: 1,
        address,
        write: write.to_vec(),
        mask: mask.to_vec(),
        read: 4,
    };
    let deps = MessagingDeps {
        messages: Arc::clone(&messages),
        satellite_channels: [(ChannelNumber::IPMB, "Ipmb".to_owned())].into(),
        host_channels: [(ChannelNumber::SYSTEM_INTERFACE, "kcs0".to_owned())].into(),
        i2c: I2cConfig {
            allow: vec![allow(0x50, &[0x10, 0x00], &[0x00, 0xff]), allow(0x51, &[], &[])],
        }
        .into(),
        own: OwnRequests::default(),
    };
    let own = Arc::new(Own::default());
    deps.own.run_by(&own);
    let provider = MessagingProvider::new(Arc::clone(&fake), FakeI2c, deps);
    let commands =
        TestCommands::with(Family::NetFn(NetFn::APP), |_, table| provider.register(table));
    TestMessaging { commands, fake, messages, own }
}

impl TestMessaging {
    fn set_satellite_result(&self, answer: PlatformResult<SatelliteAnswer>) {
        *self.fake.satellite.lock().unwrap() = answer;
    }

    async fn send(&self, code: u8, data: &[u8]) -> CommandResult {
        self.commands.send(code, data).await
    }

    async fn send_from_lan(&self, code: u8, data: &[u8]) -> CommandResult {
        let context = Context {
            channel: ChannelNumber::new(1).unwrap(),
            medium: Medium::Lan,
            privilege: Privilege::Operator,
            session: Some(Session { user_id: 2, id: 0x0203_0477 }),
            ..Context::system_interface()
        };
        self.commands.send_as(context, code, data).await
    }
}

/// Get Device ID to 24h as `ipmitool -b 0 -t 0x24` sends it, tracked.
const FROM_IPMITOOL: [u8; 8] = [0x40, 0x24, 0x18, 0xc4, 0x81, 0x0c, 0x01, 0x72];

#[tokio::test]
async fn console_gets_the_satellites_whole_response() {
    let messaging = messaging();
    let expected = [0x81, 0x1c, 0x63, 0x24, 0x0c, 0x01, 0x00, 0x42, 0x8d];
    assert_eq!(messaging.send_from_lan(0x34, &FROM_IPMITOOL).await, answer(&expected));
    let asked = messaging.fake.asked.lock().unwrap().pop().unwrap();
    assert_eq!((asked.0.as_str(), asked.1), ("Ipmb", 0x24));
    assert_eq!((asked.2.netfn, asked.2.command, asked.2.data), (NetFn::APP, 0x01, vec![]));
}

#[tokio::test]
async fn message_to_the_bmc_itself_is_run_at_its_lun_with_the_callers_rights() {
    let messaging = messaging();
    // Get Sensor Reading of sensor 7 on LUN 1, as FreeIPMI sends it: tracked, to 20h, from 81h with number 5.
    let request = hex!("40 20 11 cf 81 14 2d 07 37");
    let expected = hex!("81 14 6b 20 15 2d 00 07 97");
    assert_eq!(messaging.send_from_lan(0x34, &request).await, answer(&expected));
    let (context, netfn) = messaging.own.0.lock().unwrap().pop().unwrap();
    assert_eq!((netfn, context.lun.value(), context.command), (0x04, 1, 0x2d));
    assert_eq!((context.privilege, context.channel.value()), (Privilege::Operator, 1));
    assert_eq!(context.session, Some(Session { user_id: 2, id: 0x0203_0477 }));
    assert_eq!(context.room, Some(247), "what is left beside the frame");
    // LUN 2: the completion code is the embedded one.
    let request = hex!("40 20 12 ce 81 14 2d 07 37");
    let expected = hex!("81 14 6b 20 16 2d cb 07 cb");
    assert_eq!(messaging.send_from_lan(0x34, &request).await, answer(&expected));
    // Untracked: run, and nobody is answered.
    let untracked = hex!("00 20 11 cf 81 14 2d 07 37");
    assert_eq!(messaging.send_from_lan(0x34, &untracked).await, answer(&[]));
    assert_eq!(messaging.own.0.lock().unwrap().len(), 2);
    assert!(messaging.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn hosts_message_to_the_bmc_itself_is_answered_in_its_queue() {
    let messaging = messaging();
    let mut flags = messaging.messages.watch();
    let request = hex!("00 20 11 cf 20 16 2d 07 96");
    assert_eq!(messaging.send(0x34, &request).await, answer(&[]));
    flags.changed().await.unwrap();
    // Channel 0, and the response without the requester's address.
    let expected = hex!("00 16 ca 20 15 2d 00 07 97");
    assert_eq!(messaging.send(0x33, &[]).await, answer(&expected));
}

#[tokio::test]
async fn send_message_within_send_message_is_refused() {
    let messaging = messaging();
    let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
    let inner = hex!("20 18 c8 81 18 34 40 20 18 c8 81 14 01 6a");
    let sum = inner[3..].iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    let nested = [&[0x40][..], &inner, &[sum]].concat();
    assert_eq!(messaging.send_from_lan(0x34, &nested).await, invalid);
    assert_eq!(messaging.send(0x34, &nested).await, invalid);
    // Another channel's 20h is no address of the BMC's.
    let elsewhere = hex!("45 20 11 cf 81 14 2d 07 37");
    assert_eq!(messaging.send_from_lan(0x34, &elsewhere).await, invalid);
    assert!(messaging.own.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn satellites_own_completion_code_is_in_its_response() {
    let messaging = messaging();
    let code = CompletionCode::INVALID_COMMAND;
    messaging.set_satellite_result(Ok(SatelliteAnswer::Answered(code, vec![])));
    let data = messaging.send_from_lan(0x34, &FROM_IPMITOOL).await.unwrap();
    assert_eq!(data[6], 0xc1);
}

#[tokio::test]
async fn each_satellite_failure_has_its_completion_code() {
    let messaging = messaging();
    for (said, code) in [
        (Ok(SatelliteAnswer::Silent), 0xc3),
        (Ok(SatelliteAnswer::Unreachable), 0x83),
        (Ok(SatelliteAnswer::Busy), 0xc0),
        (Err(PlatformError::absent(&"no such service")), 0xd3),
        (Err(PlatformError::timeout(&"no reply")), 0xc3),
    ] {
        messaging.set_satellite_result(said);
        let answered = messaging.send_from_lan(0x34, &FROM_IPMITOOL).await;
        assert_eq!(answered, Err(CompletionCode(code)));
    }
}

#[tokio::test]
async fn invalid_bridging_requests_are_refused() {
    let messaging = messaging();
    let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
    for at in 1..FROM_IPMITOOL.len() {
        let mut damaged = FROM_IPMITOOL;
        damaged[at] ^= 0x01;
        assert_eq!(messaging.send_from_lan(0x34, &damaged).await, invalid, "byte {at}");
        assert_eq!(messaging.send_from_lan(0x34, &FROM_IPMITOOL[..at]).await, invalid);
    }
    for head in [0x45, 0x80, 0xc0] {
        let mut other = FROM_IPMITOOL;
        other[0] = head;
        assert_eq!(messaging.send_from_lan(0x34, &other).await, invalid, "{head:02x}");
    }
    let response = [0x40, 0x24, 0x1c, 0xc0, 0x81, 0x0c, 0x01, 0x72];
    assert_eq!(messaging.send_from_lan(0x34, &response).await, invalid);
    assert!(messaging.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn broadcast_asks_the_satellite_that_it_addresses() {
    let messaging = messaging();
    // Get Device ID, as OpenIPMI scans a bus; and one whose checksums fit a frame to 00h as well.
    for (broadcast, address) in [
        (&[0x40, 0x00, 0x2c, 0x18, 0xbc, 0x20, 0x10, 0x01, 0xcf], 0x2c),
        (&[0x40, 0x00, 0xe8, 0x18, 0x00, 0x20, 0xfe, 0x01, 0xe1], 0xe8),
    ] {
        let response = messaging.send_from_lan(0x34, broadcast).await.unwrap();
        assert_eq!((response[0], response[3]), (0x20, address));
        let asked = std::mem::take(&mut *messaging.fake.asked.lock().unwrap());
        let [(_, to, request)] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!((*to, request.netfn, request.command), (address, NetFn::APP, 0x01));
        assert!(request.data.is_empty());
        // The host fetches the answer later.
        let mut flags = messaging.messages.watch();
        let untracked = [&[0x00], &broadcast[1..]].concat();
        assert_eq!(messaging.send(0x34, &untracked).await, answer(&[]));
        flags.changed().await.unwrap();
        assert_eq!(messaging.send(0x33, &[]).await.unwrap()[3], address);
        assert_eq!(messaging.fake.asked.lock().unwrap().pop().unwrap().1, address);
    }
    messaging.set_satellite_result(Err(PlatformError::absent(&"no such service")));
    let broadcast = [0x40, 0x00, 0x2c, 0x18, 0xbc, 0x20, 0x10, 0x01, 0xcf];
    let no_bridge = messaging.send_from_lan(0x34, &broadcast).await;
    assert_eq!(no_bridge, Err(CompletionCode::DESTINATION_UNAVAILABLE));
}

#[tokio::test]
async fn nothing_goes_to_the_broadcast_address() {
    let messaging = messaging();
    let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
    for frame in [
        &[0x40, 0x00][..],
        &[0x40, 0x00, 0x00],
        // A frame to 00h with checksums that fit, once and twice broadcast, and a response.
        &[0x40, 0x00, 0x18, 0xe8, 0x20, 0x10, 0x01, 0xcf],
        &[0x40, 0x00, 0x00, 0x18, 0xe8, 0x20, 0x10, 0x01, 0xcf],
        &[0x40, 0x00, 0x1c, 0xe4, 0x20, 0x10, 0x01, 0x00, 0xcf],
    ] {
        assert_eq!(messaging.send_from_lan(0x34, frame).await, invalid, "{frame:02x?}");
        assert_eq!(messaging.send(0x34, frame).await, invalid, "{frame:02x?}");
        let to_host = [&[0x4f], &frame[1..]].concat();
        assert_eq!(messaging.send_from_lan(0x34, &to_host).await, invalid, "{frame:02x?}");
    }
    assert!(messaging.fake.asked.lock().unwrap().is_empty());
    assert!(messaging.fake.answered.lock().unwrap().is_empty());
}

#[tokio::test]
async fn host_fetches_a_satellites_response_from_the_queue() {
    let messaging = messaging();
    // As Linux's message handler sends it: untracked, from LUN 2.
    let request = [0x00, 0x24, 0x18, 0xc4, 0x20, 0x16, 0x01, 0xc9];
    let mut flags = messaging.messages.watch();
    assert_eq!(messaging.send(0x34, &request).await, answer(&[]));
    flags.changed().await.unwrap();
    assert_eq!(messaging.send(0x31, &[]).await, answer(&[flag::RECEIVE_MESSAGE]));
    let expected = [0x00, 0x1e, 0xc2, 0x24, 0x14, 0x01, 0x00, 0x42, 0x85];
    assert_eq!(messaging.send(0x33, &[]).await, answer(&expected));
    assert_eq!(messaging.send(0x33, &[]).await, Err(CompletionCode(0x80)));
    assert_eq!(messaging.send(0x31, &[]).await, answer(&[0]));
}

#[tokio::test]
async fn host_gets_a_timeout_for_a_silent_satellite() {
    let messaging = messaging();
    messaging.set_satellite_result(Ok(SatelliteAnswer::Silent));
    let request = [0x00, 0x24, 0x18, 0xc4, 0x20, 0x16, 0x01, 0xc9];
    let mut flags = messaging.messages.watch();
    messaging.send(0x34, &request).await.unwrap();
    flags.changed().await.unwrap();
    assert_eq!(messaging.send(0x33, &[]).await.unwrap()[6], 0xc3);
}

#[tokio::test]
async fn consoles_message_to_the_host_waits_with_its_session() {
    let messaging = messaging();
    // OEM command 30h/01h for the host's software at 41h, tracked, on channel Fh.
    let frame = [0x41, 0xc0, 0xff, 0x81, 0x04, 0x01, 0x55, 0x25];
    let request = [&[0x4f], &frame[..]].concat();
    assert_eq!(messaging.send_from_lan(0x34, &request).await, answer(&[]));
    let expected = [&[0x31, 0x77], &frame[..]].concat();
    assert_eq!(messaging.send(0x33, &[]).await, answer(&expected));
}

#[tokio::test]
async fn satellites_message_to_the_host_waits_and_the_hosts_answer_goes_back() {
    let messaging = messaging();
    // What 24h sends to the BMC's LUN 2, as its bridge hands it on.
    let frame = [0x20, 0xc2, 0x1e, 0x24, 0x2c, 0x01, 0x55, 0x5a];
    let satellite = Context {
        channel: ChannelNumber::IPMB,
        medium: Medium::Ipmb,
        satellite: Some(Satellite { address: 0x12, host_id: 0 }),
        ..Context::system_interface()
    };
    let request = [&[0x0f], &frame[..]].concat();
    let sent = messaging.commands.send_as(satellite, 0x34, &request).await;
    assert_eq!(sent, answer(&[]));
    let expected = [&[0x00], &frame[1..]].concat();
    assert_eq!(messaging.send(0x33, &[]).await, answer(&expected));
    // Linux has no program for it: C1h, with the number that it came with.
    let response = [0x24, 0xc4, 0x18, 0x20, 0x2e, 0x01, 0xc1, 0xf0];
    let request = [&[0x00], &response[..]].concat();
    assert_eq!(messaging.send(0x34, &request).await, answer(&[]));
    let answered = std::mem::take(&mut *messaging.fake.answered.lock().unwrap());
    assert_eq!(answered, [("Ipmb".to_owned(), response.to_vec())]);
    // A console has nobody to answer, and the host's own channel is no way from the host.
    let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
    assert_eq!(messaging.send_from_lan(0x34, &request).await, invalid);
    assert_eq!(messaging.send(0x34, &[&[0x0f], &frame[..]].concat()).await, invalid);
    assert!(messaging.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn flags_are_cleared_one_by_one() {
    let messaging = messaging();
    let message = Message { channel: ChannelNumber::IPMB, privilege: 0, data: vec![] };
    messaging.messages.receive(message).unwrap();
    messaging.messages.offer_event([7; 16]);
    messaging.messages.set_pre_timeout();
    for (clear, left) in [(0x00, 0x0b), (0x08, 0x03), (0x01, 0x02), (0xe2, 0x00)] {
        assert_eq!(messaging.send(0x30, &[clear]).await, answer(&[]));
        assert_eq!(messaging.send(0x31, &[]).await, answer(&[left]));
    }
    messaging.messages.offer_event([7; 16]);
    assert_eq!(messaging.send(0x35, &[]).await, answer(&[7; 16]));
    assert_eq!(messaging.send(0x35, &[]).await, Err(CompletionCode(0x80)));
}

#[tokio::test]
async fn receiving_is_always_on() {
    let messaging = messaging();
    assert_eq!(messaging.send(0x32, &[0x00, 0x01]).await, answer(&[0x00, 0x01]));
    assert_eq!(messaging.send(0x32, &[0x0f, 0x02]).await, answer(&[0x0f, 0x01]));
    let refused = Err(CompletionCode::NOT_IN_PRESENT_STATE);
    assert_eq!(messaging.send(0x32, &[0x00, 0x00]).await, refused);
    let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
    assert_eq!(messaging.send(0x32, &[0x05, 0x01]).await, invalid);
    assert_eq!(messaging.send(0x32, &[0x00, 0x03]).await, invalid);
}

#[tokio::test]
async fn bt_capabilities_are_one_request_of_full_length() {
    assert_eq!(messaging().send(0x36, &[]).await, answer(&[1, 0xff, 0xff, 4, 1]));
}

/// OpenBMC's btbridge has 64 bytes, with the length byte.
#[tokio::test]
async fn bt_capabilities_are_those_of_a_smaller_bridge() {
    let context = Context { room: Some(59), ..Context::system_interface() };
    let commands = messaging().commands;
    let response = commands.send_as(context, 0x36, &[]).await;
    assert_eq!(response, answer(&[1, 63, 63, 4, 1]));
}

#[tokio::test]
async fn only_allowed_transfers_reach_a_bus() {
    let messaging = messaging();
    // Private bus 1, address 50h, read 2 after writing 10h and anything.
    assert_eq!(messaging.send(0x52, &[0x03, 0xa0, 2, 0x10, 0x77]).await, answer(&[0x10, 0x77]));
    assert_eq!(messaging.send(0x52, &[0x03, 0xa2, 1]).await, Err(CompletionCode(0x83)));
    let refused = Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    for (what, data) in [
        ("another bus", &[0x05, 0xa0, 2, 0x10, 0x77][..]),
        ("another address", &[0x03, 0xa4, 2, 0x10, 0x77]),
        ("another byte", &[0x03, 0xa0, 2, 0x11, 0x77]),
        ("more written", &[0x03, 0xa0, 2, 0x10, 0x77, 0x00]),
        ("less written", &[0x03, 0xa0, 2, 0x10]),
        ("more read", &[0x03, 0xa0, 5, 0x10, 0x77]),
    ] {
        assert_eq!(messaging.send(0x52, data).await, refused, "{what}");
    }
    let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
    assert_eq!(messaging.send(0x52, &[0x02, 0xa0, 2, 0x10, 0x77]).await, invalid);
}
