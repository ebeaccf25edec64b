//! Keyed hashes: the key is scheduled once, each message clones the prepared state.

use std::fmt;

use hmac::{Hmac, KeyInit};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Which hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hash {
    /// SHA-1, 20 bytes.
    Sha1,
    /// MD5, 16 bytes.
    Md5,
    /// SHA-256, 32 bytes.
    Sha256,
}

/// An HMAC whose key is already taken in.
#[derive(Clone)]
pub struct KeyedHash(Keyed);

#[derive(Clone)]
enum Keyed {
    Sha1(Hmac<Sha1>),
    Md5(Hmac<Md5>),
    Sha256(Hmac<Sha256>),
}

impl KeyedHash {
    /// Takes in `key`.
    #[must_use]
    pub fn new(hash: Hash, key: &[u8]) -> Self {
        // An HMAC takes a key of any length.
        const ANY_LENGTH: &str = "HMAC keys are of any length";
        Self(match hash {
            Hash::Sha1 => Keyed::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Hash::Md5 => Keyed::Md5(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Hash::Sha256 => Keyed::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
        })
    }

    /// The digest of `parts`, one after the other.
    #[must_use]
    pub fn digest(&self, parts: &[&[u8]]) -> Digest {
        match &self.0 {
            Keyed::Sha1(keyed) => finish(keyed.clone(), parts),
            Keyed::Md5(keyed) => finish(keyed.clone(), parts),
            Keyed::Sha256(keyed) => finish(keyed.clone(), parts),
        }
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash(..)")
    }
}

fn finish<M: hmac::Mac>(mut keyed: M, parts: &[&[u8]]) -> Digest {
    for part in parts {
        keyed.update(part);
    }
    Digest::new(&keyed.finalize().into_bytes())
}

/// A digest of up to 32 bytes, wiped when dropped: some are keys.
#[derive(Clone)]
pub struct Digest {
    bytes: [u8; 32],
    length: usize,
}

impl Digest {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut digest = Self { bytes: [0; 32], length: 0 };
        for (to, from) in digest.bytes.iter_mut().zip(bytes) {
            *to = *from;
            digest.length += 1;
        }
        digest
    }

    /// The digest's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The digest cut to `length` bytes at most.
    #[must_use]
    pub fn truncated(mut self, length: usize) -> Self {
        self.length = self.length.min(length);
        self
    }

    /// Whether `code` is this digest, compared in constant time for a given length.
    #[must_use]
    pub fn matches(&self, code: &[u8]) -> bool {
        self.as_bytes().ct_eq(code).into()
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use ring::hmac as oracle;

    use super::*;

    #[test]
    fn digests_agree_with_an_independent_implementation() {
        let cases = [
            (Hash::Sha1, oracle::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            (Hash::Sha256, oracle::HMAC_SHA256),
        ];
        for (hash, algorithm) in cases {
            for key in [&b""[..], b"0penBmc\0", &[0x5a; 100]] {
                let ours = KeyedHash::new(hash, key).digest(&[b"ab", b"", b"c"]);
                let theirs = oracle::sign(&oracle::Key::new(algorithm, key), b"abc");
                assert_eq!(ours.as_bytes(), theirs.as_ref(), "{hash:?}");
                assert!(ours.matches(theirs.as_ref()));
            }
        }
    }

    #[test]
    fn hmac_md5_matches_rfc_2202() {
        let digest = KeyedHash::new(Hash::Md5, b"Jefe").digest(&[b"what do ya want for nothing?"]);
        assert_eq!(digest.as_bytes(), hex!("750c783e6ab0b503eaa86e310a5db738"));
    }

    #[test]
    fn a_digest_matches_only_itself() {
        let digest = KeyedHash::new(Hash::Sha1, b"key").digest(&[b"data"]).truncated(12);
        let code = digest.as_bytes().to_vec();
        assert!(digest.matches(&code));
        assert!(!digest.matches(&code[..11]));
        assert!(!digest.matches(&[]));
        for byte in 0..code.len() {
            let mut forged = code.clone();
            forged[byte] ^= 1;
            assert!(!digest.matches(&forged), "byte {byte}");
        }
        assert_eq!(format!("{digest:?}"), "Digest(..)");
    }
}
