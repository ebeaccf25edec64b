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

/// What the bridge says when there is no device, and when there is one again.
const GONE: &str = "no device";
const BACK: &str = "the device is back";

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
    let told = |what: &str, count| bridge.log().matches(what).count() == count;
    wait::until_true("told that it went", || told(GONE, 2));
    suite.ipmid.resume();

    // The other request's answer is nobody's.
    let mut device = HostDevice::plug(kind, &path);
    for _ in 0..3 {
        assert_eq!(device.answer(APP, GET_DEVICE_ID), id);
        assert_eq!(device.answer(APP, GET_SYSTEM_GUID)[0], 0x00);
    }
    assert!(told(BACK, 2), "{}", bridge.log());
    assert!(told(GONE, 2), "{}", bridge.log());
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

/// While `ipmid` says nothing the host is answered all the same, and what `ipmid` says later is nobody's.
fn silence_is_told(kind: Kind) {
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
fn silence_is_told_over_kcs() {
    silence_is_told(Kind::Kcs);
}

#[test]
fn silence_is_told_over_bt() {
    silence_is_told(Kind::Bt);
}

#[test]
fn silence_is_told_over_ssif() {
    silence_is_told(Kind::Ssif);
}
