//! Any bytes as typed parameters: no panic, and parameters that use all bits are encoded as they were.
#![no_main]

use ipmi_proto::codec::{self, BitSet, Bits, Int, Remaining, Text, Uint};
use libfuzzer_sys::fuzz_target;

type Mixed = (Option<(Bits<3>, Int<13>)>, Vec<(u8, Uint<24>, BitSet<16>)>);
type Fixed = ((bool, Bits<7>), u16, i32, Option<[u16; 3]>, Remaining);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = codec::decode::<Mixed>(bytes) {
        assert_eq!(codec::encode(&value), bytes);
    }
    if let Ok(value) = codec::decode::<Fixed>(bytes) {
        assert_eq!(codec::encode(&value), bytes);
        let _inner = value.4.decode::<(Text<4>, Option<u64>)>();
    }
});
