//! A UUID for this endpoint when none is configured.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Builder;

use crate::config::parse_uuid;

const MACHINE_ID: &str = "/etc/machine-id";
const PURPOSE: &[u8] = b"causeway mctp-demuxd endpoint";

/// The same at each start, and derived from the machine's id, which itself is not for others
/// (`machine-id(5)`).
pub(crate) fn machine() -> Option<[u8; 16]> {
    let id = parse_uuid(&std::fs::read_to_string(MACHINE_ID).ok()?)?;
    derive(&id)
}

fn derive(id: &[u8; 16]) -> Option<[u8; 16]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(id).ok()?;
    mac.update(PURPOSE);
    let digest = mac.finalize().into_bytes();
    // Version 4 (RFC 9562 §5.4).
    Some(Builder::from_random_bytes(*digest.first_chunk()?).into_uuid().into_bytes())
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
