//! Any bytes as a SEL record: no panic, and every record survives byte for byte.
#![no_main]

use ipmi_proto::sel::SelRecord;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = SelRecord::parse(bytes) {
        assert_eq!(record.to_bytes(), bytes);
    }
});
