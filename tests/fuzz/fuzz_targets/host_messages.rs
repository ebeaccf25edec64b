//! Any bytes as a message of KCS, BT and SSIF, both ways: no panic, and what parses is emitted as it
//! was.
#![no_main]

use ipmi_proto::{bt, kcs, ssif};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut out = Vec::new();
    if let Ok(request) = kcs::parse_request(bytes) {
        kcs::emit_request(&request, &mut out);
        assert_eq!(out, bytes);
    }
    out.clear();
    if let Ok(response) = kcs::parse_response(bytes) {
        kcs::emit_response(&response, &mut out);
        assert_eq!(out, bytes);
    }
    out.clear();
    if let Ok((seq, request)) = bt::parse_request(bytes) {
        bt::emit_request(seq, &request, &mut out).expect("it came in one message");
        assert_eq!(out, bytes);
    }
    out.clear();
    if let Ok((seq, response)) = bt::parse_response(bytes) {
        bt::emit_response(seq, &response, &mut out).expect("it came in one message");
        assert_eq!(out, bytes);
    }
    out.clear();
    if let Ok(request) = ssif::parse_request(bytes) {
        ssif::emit_request(&request, &mut out).expect("it came in one message");
        assert!(bytes.starts_with(&out));
    }
    out.clear();
    if let Ok(response) = ssif::parse_response(bytes) {
        ssif::emit_response(&response, &mut out).expect("it came in one message");
        assert!(bytes.starts_with(&out));
    }
});
