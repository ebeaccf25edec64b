//! PCIe vendor defined messages: no panic, and an accepted message parses from its own emission again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mctp_proto::framing::pcie_vdm::Frame;

fuzz_target!(|bytes: &[u8]| {
    let _ = Frame::has_digest(bytes);
    if let Ok(frame) = Frame::parse(bytes) {
        let mut out = Vec::new();
        frame.emit(&mut out).expect("fits again");
        assert_eq!(Frame::parse(&out), Ok(frame));
    }
});
