//! A UUID for this endpoint when none is configured.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::uuid;

const MACHINE_ID: &str = "/etc/machine-id";
const PURPOSE: &[u8] = b"causeway mctp-demuxd endpoint";

/// The same at each start, and derived from the machine's id, which itself is not for others
/// (`machine-id(5)`).
pub(crate) fn machine() -> Option<[u8; 16]> {
    let id = uuid(&std::fs::read_to_string(MACHINE_ID).ok()?)?;
    derive(&id)
}

fn derive(id: &[u8; 16]) -> Option<[u8; 16]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(id).ok()?;
    mac.update(PURPOSE);
    let digest = mac.finalize().into_bytes();
    let mut uuid: [u8; 16] = digest.get(..16)?.try_into().ok()?;
    // Version 4, variant 1 (RFC 9562 §5.4).
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut uuid;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    Some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_is_stable_and_does_not_show_the_machine_id() {
        let id = [7; 16];
        let derived = derive(&id).unwrap();
        assert_eq!(derive(&id), Some(derived));
        assert_ne!(derived, id);
        assert_eq!((derived[6] >> 4, derived[8] >> 6), (4, 2));
    }
}
