//! Any bytes as an IPMB frame: no panic, and what parses is emitted as it was.
#![no_main]

use ipmi_proto::ipmb::{IpmbRequest, IpmbResponse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut out = Vec::new();
    if let Ok(request) = IpmbRequest::parse(bytes) {
        request.emit(&mut out);
        assert_eq!(out, bytes);
    }
    out.clear();
    if let Ok(response) = IpmbResponse::parse(bytes) {
        response.emit(&mut out);
        assert_eq!(out, bytes);
    }
});
