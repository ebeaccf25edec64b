//! Any byte stream from QEMU: no panic, bounded memory, and each frame survives being sent again.
#![no_main]

use ipmi_proto::kcs;
use ipmi_proto::vm_link::{self, Decoder, Frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::default();
    for frame in bytes.iter().filter_map(|byte| decoder.push(*byte)) {
        let Ok(frame) = frame else { continue };
        let mut out = Vec::new();
        match &frame {
            Frame::Control(control) => control.emit(&mut out),
            Frame::Message { seq, body } => match kcs::parse_request(body) {
                Ok(request) => vm_link::emit_request(*seq, &request, &mut out),
                Err(_) => continue,
            },
        }
        let mut again = Decoder::default();
        let frames: Vec<_> = out.iter().filter_map(|byte| again.push(*byte)).collect();
        assert_eq!(frames, [Ok(frame)]);
    }
});
