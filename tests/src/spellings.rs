//! Secrets as they may look in logs and other texts.

/// How eight bytes of a secret may look in a text.
///
/// # Panics
///
/// If it is shorter than that.
#[must_use]
pub fn spellings(secret: &[u8]) -> Vec<String> {
    let part = &secret[..8];
    let joined = |between: &str, spell: fn(&u8) -> String| {
        part.iter().map(spell).collect::<Vec<_>>().join(between)
    };
    let mut all = vec![String::from_utf8_lossy(part).into_owned()];
    for between in ["", " ", ", ", ":", "-", ","] {
        all.push(joined(between, |byte| format!("{byte:02x}")));
        all.push(joined(between, |byte| format!("{byte:02X}")));
        all.push(joined(between, |byte| format!("0x{byte:02x}")));
        all.push(joined(between, |byte| format!("{byte}")));
    }
    all.push(joined("", |byte| format!("\\x{byte:02x}")));
    all.push(base64(&secret[..6]));
    all
}

/// Base64 of a multiple of three bytes.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |three: &[u8]| {
        let value = three.iter().fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[value >> shift & 0x3f]))
    };
    bytes.chunks_exact(3).flat_map(digits).collect()
}
