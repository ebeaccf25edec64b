//! Any bytes as a sensor data record: no panic, and what parses survives being laid out again.
#![no_main]

use ipmi_proto::sdr::SdrRecord;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = SdrRecord::parse(bytes) {
        assert_eq!(SdrRecord::parse(&record.to_bytes()), Ok(record));
    }
});
