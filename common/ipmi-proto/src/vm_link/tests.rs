use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::{CompletionCode, Lun, NetFn};

fn decode(bytes: &[u8]) -> Vec<Result<Frame, FrameError>> {
    let mut decoder = Decoder::default();
    bytes.iter().filter_map(|byte| decoder.push(*byte)).collect()
}

fn get_device_id() -> Request {
    Request { netfn: NetFn::APP, lun: Lun::BMC, command: 0x01, data: vec![] }
}

// What QEMU 7.2 sends at connect: its version, then its capabilities.
const GREETING: [u8; 6] = hex!("ff 01 a1 08 3f a1");

#[test]
fn greeting_matches_golden_bytes() {
    let version = Control::Version(VERSION);
    let capabilities = Control::Capabilities(Capabilities(0x3f));
    let frames = [Ok(Frame::Control(version)), Ok(Frame::Control(capabilities))];
    assert_eq!(decode(&GREETING), frames);
    let mut out = Vec::new();
    version.emit(&mut out);
    capabilities.emit(&mut out);
    assert_eq!(out, GREETING);
    assert!(Capabilities(0x3f).contains(Capabilities::ATTENTION));
    assert!(!Capabilities(0x0f).contains(Capabilities::ATTENTION));
}

#[test]
fn request_matches_golden_bytes() {
    let bytes = hex!("01 18 01 e6 a0");
    let body = vec![0x18, 0x01];
    assert_eq!(decode(&bytes), [Ok(Frame::Message { seq: 1, body })]);
    let mut out = Vec::new();
    emit_request(1, &get_device_id(), &mut out);
    assert_eq!(out, bytes);
}

#[test]
fn response_matches_golden_bytes_with_every_escape() {
    let data = hex!("a0 a1 aa ba").to_vec();
    let response = Response::to(&get_device_id(), CompletionCode::OK, data.clone());
    let bytes = hex!("a9 1c 01 00 aa b0 aa b1 aa ba ba 95 a0");
    let mut out = Vec::new();
    emit_response(0xa9, &response, &mut out);
    assert_eq!(out, bytes);
    let body = [hex!("1c 01 00").to_vec(), data].concat();
    assert_eq!(decode(&bytes), [Ok(Frame::Message { seq: 0xa9, body })]);
}

#[test]
fn checksum_is_escaped_too() {
    let bytes = hex!("47 18 01 aa b0 a0");
    let body = vec![0x18, 0x01];
    assert_eq!(decode(&bytes), [Ok(Frame::Message { seq: 0x47, body })]);
    let mut out = Vec::new();
    emit_request(0x47, &get_device_id(), &mut out);
    assert_eq!(out, bytes);
}

#[test]
fn damaged_frame_spoils_only_itself() {
    let good = hex!("01 18 01 e6 a0");
    for (what, bad, error) in [
        ("checksum", &hex!("01 18 01 e5 a0")[..], FrameError::Checksum),
        ("escape at the end", &hex!("01 18 01 e6 aa a0"), FrameError::Escape),
        ("escaped escape", &hex!("01 aa aa b0 a0"), FrameError::Escape),
    ] {
        let stream = [bad, &good].concat();
        let body = vec![0x18, 0x01];
        let frames = [Err(error), Ok(Frame::Message { seq: 1, body })];
        assert_eq!(decode(&stream), frames, "{what}");
    }
}

#[test]
fn frame_cut_short_is_truncated() {
    for short in [&hex!("a0")[..], &hex!("00 a0"), &hex!("a1"), &hex!("08 a1"), &hex!("ff a1")] {
        assert!(matches!(decode(short)[..], [Err(FrameError::Truncated { .. })]));
    }
}

#[test]
fn frame_without_end_is_bounded_and_refused() {
    let mut stream = vec![0x00; 100_000];
    stream.push(END_MESSAGE);
    assert!(matches!(decode(&stream)[..], [Err(FrameError::TooLong { .. })]));
}

#[test]
fn every_control_command_survives_the_round() {
    for code in 0..=u8::MAX {
        let bytes = match code {
            0x08 | 0xff => vec![code, 0xa0],
            _ => vec![code],
        };
        let control = Control::parse(&bytes).unwrap();
        let mut out = Vec::new();
        control.emit(&mut out);
        assert_eq!(decode(&out), [Ok(Frame::Control(control))]);
    }
}

proptest! {
    #[test]
    fn every_message_survives_the_round(
        seq: u8, body in prop::collection::vec(any::<u8>(), 3..300),
    ) {
        let mut out = Vec::new();
        emit_request(seq, &kcs::parse_request(&body).unwrap(), &mut out);
        emit_response(seq, &kcs::parse_response(&body).unwrap(), &mut out);
        let frame = Frame::Message { seq, body };
        prop_assert_eq!(decode(&out), [Ok(frame.clone()), Ok(frame)]);
    }

    #[test]
    fn any_stream_is_decoded_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        for frame in decode(&bytes) {
            let Ok(Frame::Message { seq, body }) = frame else { continue };
            if let Ok(request) = kcs::parse_request(&body) {
                let mut out = Vec::new();
                emit_request(seq, &request, &mut out);
                prop_assert_eq!(decode(&out), [Ok(Frame::Message { seq, body })]);
            }
        }
    }
}
