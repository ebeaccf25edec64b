//! Any bytes as each message of RMCP: no panic, and what parses is emitted in a form that parses to
//! the same.
#![no_main]

use ipmi_proto::ipmb::{IpmbRequest, IpmbResponse};
use libfuzzer_sys::fuzz_target;
use rmcp_proto::wire::asf::{PresencePing, PresencePong};
use rmcp_proto::wire::open_session::{OpenSessionRequest, OpenSessionResponse};
use rmcp_proto::wire::rakp::{Rakp1, Rakp2, Rakp3, Rakp4};
use rmcp_proto::wire::rmcp::RmcpMessage;
use rmcp_proto::wire::v15::V15Packet;
use rmcp_proto::wire::v20::V20Packet;

/// Parses, emits, and parses again.
macro_rules! both_ways {
    ($bytes:ident: $($message:ident),*) => {$(
        if let Ok(message) = $message::parse($bytes) {
            let mut out = Vec::new();
            message.emit(&mut out);
            assert_eq!($message::parse(&out), Ok(message));
        }
    )*};
}

fuzz_target!(|bytes: &[u8]| {
    both_ways!(bytes: PresencePing, PresencePong, OpenSessionRequest, OpenSessionResponse);
    both_ways!(bytes: Rakp2, Rakp3, Rakp4, RmcpMessage, IpmbRequest, IpmbResponse);
    if let Ok(message) = Rakp1::parse(bytes)
        && message.name.is_some()
    {
        let mut out = Vec::new();
        message.emit(&mut out);
        assert_eq!(Rakp1::parse(&out), Ok(message));
    }
    if let Ok(packet) = V15Packet::parse(bytes) {
        let mut out = Vec::new();
        packet.emit_datagram(&mut out).expect("a length that was one byte");
        assert_eq!(V15Packet::parse(&out[4..]), Ok(packet));
    }
    if let Ok(packet) = V20Packet::parse(bytes) {
        assert!(packet.payload.len() + packet.trailer.len() < bytes.len());
    }
});
