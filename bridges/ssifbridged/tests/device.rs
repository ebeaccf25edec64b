//! The device's framing through a real descriptor: a datagram socket replaces the device.

use std::future::Future;
use std::os::unix::net::UnixDatagram;

use host_link::device::HostDevice;
use ipmi_proto::{CompletionCode, Response};
use ssifbridged::SsifDevice;
use sys::Device;

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

#[test]
fn request_is_read_and_answered_in_the_devices_framing() {
    run(async {
        let (ours, host) = UnixDatagram::pair().unwrap();
        let device = SsifDevice::from(Device::new(ours.into()).unwrap());
        host.send(&[&2_u32.to_ne_bytes()[..], &[0x18, 0x01]].concat()).unwrap();
        let mut buffer = [0; SsifDevice::READ];
        let count = device.read(&mut buffer).await.unwrap();
        let (seq, request) = SsifDevice::parse(&buffer[..count]).unwrap();
        assert_eq!((seq, request.command), (0, 0x01));
        let response = Response::to(&request, CompletionCode::OK, vec![0x20]);
        let message = SsifDevice::emit(seq, &response).unwrap();
        device.write(&message).await.unwrap();
        let count = host.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..count], [&4_u32.to_ne_bytes()[..], &[0x1c, 0x01, 0x00, 0x20]].concat());
    });
}

#[test]
fn answer_is_not_written_while_a_newer_request_waits() {
    run(async {
        let (ours, host) = UnixDatagram::pair().unwrap();
        let device = SsifDevice::from(Device::new(ours.into()).unwrap());
        let request = [&2_u32.to_ne_bytes()[..], &[0x18, 0x01]].concat();
        let mut buffer = [0; SsifDevice::READ];
        host.send(&request).unwrap();
        let count = device.read(&mut buffer).await.unwrap();
        let (seq, parsed) = SsifDevice::parse(&buffer[..count]).unwrap();
        host.send(&request).unwrap();
        let late =
            SsifDevice::emit(seq, &Response::to(&parsed, CompletionCode::OK, vec![1])).unwrap();
        let refused = device.write(&late).await.unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(22));
        device.read(&mut buffer).await.unwrap();
        let good =
            SsifDevice::emit(seq, &Response::to(&parsed, CompletionCode::OK, vec![2])).unwrap();
        device.write(&good).await.unwrap();
        let count = host.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..count], good);
    });
}

#[test]
fn longest_answer_fits_and_one_byte_more_is_the_limits_matter() {
    let (_, request) =
        SsifDevice::parse(&[&2_u32.to_ne_bytes()[..], &[0x18, 0x01]].concat()).unwrap();
    let longest = Response::to(&request, CompletionCode::OK, vec![0; SsifDevice::ANSWER_DATA]);
    assert_eq!(SsifDevice::emit(0, &longest).unwrap().len(), 4 + 254);
}
