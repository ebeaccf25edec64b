//! The device's framing through a real descriptor: a datagram socket replaces the device.

use std::future::Future;
use std::os::unix::net::UnixDatagram;

use host_link::device::HostDevice;
use ipmi_proto::{CompletionCode, Response};
use kcsbridged::KcsDevice;
use sys::Device;

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

#[test]
fn request_is_read_and_answered_in_the_devices_framing() {
    run(async {
        let (ours, host) = UnixDatagram::pair().unwrap();
        let device = KcsDevice::from(Device::new(ours.into()).unwrap());
        host.send(&[0x18, 0x01]).unwrap();
        let mut buffer = [0; KcsDevice::READ];
        let count = device.read(&mut buffer).await.unwrap();
        let (seq, request) = KcsDevice::parse(&buffer[..count]).unwrap();
        assert_eq!((seq, request.command), (0, 0x01));
        let response = Response::to(&request, CompletionCode::OK, vec![0x20]);
        let message = KcsDevice::emit(seq, &response).unwrap();
        device.write(&message).await.unwrap();
        let count = host.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..count], [0x1c, 0x01, 0x00, 0x20]);
    });
}

#[test]
fn longest_answer_fits_and_one_byte_more_is_the_limits_matter() {
    let (_, request) = KcsDevice::parse(&[0x18, 0x01]).unwrap();
    let longest = Response::to(&request, CompletionCode::OK, vec![0; KcsDevice::ANSWER_DATA]);
    assert_eq!(KcsDevice::emit(0, &longest).unwrap().len(), 1000);
}
