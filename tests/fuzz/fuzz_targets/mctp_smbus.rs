//! SMBus transactions: no panic, and an accepted transaction is emitted byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mctp_proto::framing::smbus::{Frame, emit};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = Frame::parse(bytes) {
        let (header, payload) = frame.packet.split_first_chunk().expect("at least a header");
        let mut out = Vec::new();
        emit(frame.destination, frame.source, *header, payload, &mut out).expect("fits again");
        assert_eq!(out, bytes);
    }
});
