//! Any bytes as a FRU image: no panic, and what parses and fits survives being laid out again.
#![no_main]

use ipmi_proto::fru::FruImage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(image) = FruImage::parse(bytes)
        && let Ok(laid_out) = image.to_bytes()
    {
        assert!(FruImage::parse(&laid_out).is_ok());
    }
});
