//! Bridges on a BMC's own devices, which come, go and come back. Sockets play the devices.

use tests::host_device::{HostDevice, Kind};
use tests::suite::Suite;
use tests::wait;

/// "Timeout while processing command" (IPMI v2.0 Table 5-2).
const TIMEOUT: u8 = 0xc3;
const APP: u8 = 0x06;
const GET_DEVICE_ID: u8 = 0x01;
const GET_SELF_TEST_RESULTS: u8 = 0x04;
const GET_SYSTEM_GUID: u8 = 0x37;

/// What the bridge logs when the device is not available, and when it is again.
const GONE: &str = "the device is not available";
const BACK: &str = "the device is available again";

fn comes_and_goes(kind: Kind) {
    let mut suite = Suite::start();
    let path = suite.dir().join("device");
    let place = path.display().to_string();
    let bridge = suite.bridge(kind.bridge(), kind.channel(), ["--device", &place]);
    wait::until_true("no device yet", || bridge.log().contains(GONE));

    let mut device = HostDevice::plug(kind, &path);
    let id = device.answer(APP, GET_DEVICE_ID);
    assert_eq!(id[..3], [0x00, 0x20, 0x81], "{id:02x?}");

    // It goes while a request is on its way, which the bridge reads before the end of the socket.
    suite.ipmid.pause();
    device.ask(APP, GET_SELF_TEST_RESULTS);
    drop(device);
    let logged = |what: &str, count| bridge.log().matches(what).count() == count;
    wait::until_true("the loss is logged", || logged(GONE, 2));
    suite.ipmid.resume();

    // The other request's answer is nobody's.
    let mut device = HostDevice::plug(kind, &path);
    for _ in 0..3 {
        assert_eq!(device.answer(APP, GET_DEVICE_ID), id);
        assert_eq!(device.answer(APP, GET_SYSTEM_GUID)[0], 0x00);
    }
    assert!(logged(BACK, 2), "{}", bridge.log());
    assert!(logged(GONE, 2), "{}", bridge.log());
}

#[test]
fn kcs_device_comes_and_goes() {
    comes_and_goes(Kind::Kcs);
}

#[test]
fn bt_device_comes_and_goes() {
    comes_and_goes(Kind::Bt);
}

#[test]
fn ssif_device_comes_and_goes() {
    comes_and_goes(Kind::Ssif);
}

/// While `ipmid` does not respond the host gets C3h, and the late response is dropped.
fn silence_is_logged(kind: Kind) {
    let mut suite = Suite::start();
    let path = suite.dir().join("device");
    let place = path.display().to_string();
    let _bridge = suite.bridge(kind.bridge(), kind.channel(), ["--device", &place]);
    let mut device = HostDevice::plug(kind, &path);
    let id = device.answer(APP, GET_DEVICE_ID);
    for _ in 0..2 {
        suite.ipmid.pause();
        device.ask(APP, GET_SELF_TEST_RESULTS);
        assert_eq!(device.hear(APP, GET_SELF_TEST_RESULTS), [TIMEOUT]);
        suite.ipmid.resume();
        for _ in 0..3 {
            assert_eq!(device.answer(APP, GET_DEVICE_ID), id);
            assert_eq!(device.answer(APP, GET_SYSTEM_GUID)[0], 0x00);
        }
    }
}

#[test]
fn missing_response_is_c3_over_kcs() {
    silence_is_logged(Kind::Kcs);
}

#[test]
fn missing_response_is_c3_over_bt() {
    silence_is_logged(Kind::Bt);
}

#[test]
fn missing_response_is_c3_over_ssif() {
    silence_is_logged(Kind::Ssif);
}
