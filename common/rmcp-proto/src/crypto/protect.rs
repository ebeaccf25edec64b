//! One session's integrity and confidentiality (IPMI v2.0 §13.28.4, §13.29).
//!
//! Keys are scheduled once per session. A packet's auth code is verified before anything of its
//! payload is decrypted.

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use md5::{Digest as _, Md5};

use super::UserKey;
use super::mac::{Digest, Hash, KeyedHash};
use crate::suite::{Algorithms, Confidentiality, Integrity};
use crate::wire::rmcp;
use crate::wire::v20::{V20Header, V20Packet};

/// Length of an AES block, and of the initialization vector before the ciphertext.
const BLOCK: usize = 16;
/// Bytes of the RMCP header, which the auth code does not cover.
const RMCP_LEN: usize = 4;
/// Offset of the payload length within a datagram, and of the payload.
const LENGTH_AT: usize = 14;
const PAYLOAD_AT: usize = 16;
/// The trailer's last byte before the auth code (IPMI v2.0 Table 13-8, "next header").
const NEXT_HEADER: u8 = 0x07;
/// What fills the trailer so that the auth code begins at a multiple of four.
const INTEGRITY_PAD: u8 = 0xff;
/// Most pad bytes accepted: three by the format, four from peers that pad aligned packets too.
const MAX_INTEGRITY_PAD: u8 = 4;

/// Why a packet of a session could not be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// The trailer is not where and what it should be.
    #[error("malformed session trailer")]
    Trailer,
    /// The auth code is not the packet's.
    #[error("auth code does not match")]
    AuthCode,
    /// Authenticated in a session without integrity, or encrypted in one without confidentiality.
    #[error("protection that the session does not have")]
    NotNegotiated,
    /// The ciphertext is no multiple of a block, or its pad is wrong.
    #[error("malformed ciphertext")]
    Ciphertext,
}

/// The keys of one session, ready for use.
pub struct Protector {
    integrity: IntegrityKey,
    cipher: Option<Box<Aes128>>,
}

enum IntegrityKey {
    None,
    Hmac {
        keyed: KeyedHash,
        length: usize,
    },
    /// The user's key goes before and after the packet.
    Md5(UserKey),
}

impl IntegrityKey {
    const fn code_length(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Hmac { length, .. } => *length,
            Self::Md5(_) => Integrity::Md5.code_length(),
        }
    }

    fn code(&self, packet: &[u8]) -> Digest {
        match self {
            Self::None => Digest::new(&[]),
            Self::Hmac { keyed, length } => keyed.digest(&[packet]).truncated(*length),
            Self::Md5(key) => {
                let mut hash = Md5::new();
                hash.update(key.as_bytes());
                hash.update(packet);
                hash.update(key.as_bytes());
                Digest::new(&hash.finalize())
            }
        }
    }
}

impl Protector {
    pub(super) fn new(algorithms: Algorithms, k1: &[u8], k2: &[u8], key: &UserKey) -> Self {
        let length = algorithms.integrity.code_length();
        let hmac = |hash| IntegrityKey::Hmac { keyed: KeyedHash::new(hash, k1), length };
        let integrity = match algorithms.integrity {
            Integrity::None => IntegrityKey::None,
            Integrity::HmacSha1 => hmac(Hash::Sha1),
            Integrity::HmacMd5 => hmac(Hash::Md5),
            Integrity::HmacSha256 => hmac(Hash::Sha256),
            Integrity::Md5 => IntegrityKey::Md5(key.clone()),
        };
        let cipher = match algorithms.confidentiality {
            Confidentiality::None => None,
            // Every digest is at least 16 bytes long.
            Confidentiality::AesCbc128 => {
                k2.first_chunk().map(|key: &[u8; BLOCK]| Box::new(Aes128::new(&(*key).into())))
            }
        };
        Self { integrity, cipher }
    }

    /// Whether the session authenticates its packets.
    #[must_use]
    pub const fn has_integrity(&self) -> bool {
        !matches!(self.integrity, IntegrityKey::None)
    }

    /// Whether the session can encrypt payloads.
    #[must_use]
    pub const fn has_confidentiality(&self) -> bool {
        self.cipher.is_some()
    }

    /// Verifies `packet` as far as it claims to be authenticated.
    ///
    /// # Errors
    ///
    /// [`OpenError`] for a malformed trailer, a wrong code, or a protection not negotiated.
    pub fn verify(&self, packet: &V20Packet<'_>) -> Result<(), OpenError> {
        let protection = packet.header.protection;
        if protection.encrypted && !self.has_confidentiality() {
            return Err(OpenError::NotNegotiated);
        }
        if !protection.authenticated {
            return Ok(());
        }
        if !self.has_integrity() {
            return Err(OpenError::NotNegotiated);
        }
        let length = self.integrity.code_length();
        let cut = |bytes: &[u8]| bytes.len().checked_sub(length).ok_or(OpenError::Trailer);
        let (fixed, _) = packet.trailer.split_at(cut(packet.trailer)?);
        match *fixed {
            [ref pad @ .., count, NEXT_HEADER]
                if pad.len() == usize::from(count) && count <= MAX_INTEGRITY_PAD => {}
            _ => return Err(OpenError::Trailer),
        }
        let (covered, code) = packet.whole.split_at(cut(packet.whole)?);
        if self.integrity.code(covered).matches(code) { Ok(()) } else { Err(OpenError::AuthCode) }
    }

    /// Decrypts the payload of a verified packet into `plain`, or copies it if it is not encrypted.
    ///
    /// # Errors
    ///
    /// [`OpenError::Ciphertext`] for a payload of the wrong length or with a wrong pad.
    pub fn decrypt(&self, packet: &V20Packet<'_>, plain: &mut Vec<u8>) -> Result<(), OpenError> {
        plain.clear();
        if !packet.header.protection.encrypted {
            plain.extend_from_slice(packet.payload);
            return Ok(());
        }
        let cipher = self.cipher.as_deref().ok_or(OpenError::NotNegotiated)?;
        let (iv, ciphertext) = packet.payload.split_first_chunk().ok_or(OpenError::Ciphertext)?;
        let iv: &[u8; BLOCK] = iv;
        if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(BLOCK) {
            return Err(OpenError::Ciphertext);
        }
        plain.extend_from_slice(ciphertext);
        let (blocks, _) = Array::slice_as_chunks_mut(plain);
        cbc::Decryptor::inner_iv_init(cipher, &(*iv).into()).decrypt_blocks(blocks);
        strip_pad(plain)
    }

    /// Appends the datagram with `payload` under `header` to `out`, which must be empty.
    /// `iv` is fresh random bytes, used if the packet is encrypted.
    ///
    /// A protection that the session does not have is left out. `payload` must leave room in 16
    /// bits for the pads; longer ones are cut, which no caller does.
    pub fn seal(&self, header: &V20Header, payload: &[u8], iv: [u8; BLOCK], out: &mut Vec<u8>) {
        let mut header = *header;
        header.protection.encrypted &= self.has_confidentiality();
        header.protection.authenticated &= self.has_integrity();
        out.reserve(PAYLOAD_AT + payload.len() + 3 * BLOCK + 32);
        rmcp::emit_ipmi_header(out);
        header.emit(0, out);
        match self.cipher.as_deref() {
            Some(cipher) if header.protection.encrypted => encrypt(cipher, payload, iv, out),
            _ => out.extend_from_slice(payload),
        }
        let length = u16::try_from(out.len().saturating_sub(PAYLOAD_AT)).unwrap_or(u16::MAX);
        for (to, from) in out.iter_mut().skip(LENGTH_AT).zip(length.to_le_bytes()) {
            *to = from;
        }
        if header.protection.authenticated {
            self.authenticate(out);
        }
    }

    fn authenticate(&self, out: &mut Vec<u8>) {
        // Pad, pad length and next header bring what the code covers to a multiple of four.
        let pad = out.len().wrapping_add(2).wrapping_neg() & 3;
        out.resize(out.len() + pad, INTEGRITY_PAD);
        out.extend([u8::try_from(pad).unwrap_or_default(), NEXT_HEADER]);
        let code = self.integrity.code(out.get(RMCP_LEN..).unwrap_or_default());
        out.extend_from_slice(code.as_bytes());
    }
}

/// Appends IV and ciphertext: `payload`, pad bytes 01h, 02h, ..., and their number
/// (IPMI v2.0 §13.29.2, Table 13-20).
fn encrypt(cipher: &Aes128, payload: &[u8], iv: [u8; BLOCK], out: &mut Vec<u8>) {
    out.extend(iv);
    let start = out.len();
    out.extend_from_slice(payload);
    let pad = (payload.len() + 1).wrapping_neg() % BLOCK;
    let pad = u8::try_from(pad).unwrap_or_default();
    out.extend(1..=pad);
    out.push(pad);
    let (blocks, _) = Array::slice_as_chunks_mut(out.get_mut(start..).unwrap_or_default());
    cbc::Encryptor::inner_iv_init(cipher, &iv.into()).encrypt_blocks(blocks);
}

/// Removes the confidentiality pad and its length. Up to 16 pad bytes are taken: some peers add a
/// whole block to a payload that needs none.
fn strip_pad(plain: &mut Vec<u8>) -> Result<(), OpenError> {
    let (&count, rest) = plain.split_last().ok_or(OpenError::Ciphertext)?;
    let length = rest.len().checked_sub(count.into()).ok_or(OpenError::Ciphertext)?;
    let pad = rest.get(length..).unwrap_or_default();
    if usize::from(count) > BLOCK || !pad.iter().copied().eq(1..=count) {
        return Err(OpenError::Ciphertext);
    }
    plain.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;
    use crate::suite::CipherSuite;
    use crate::wire::v20::{PayloadType, Protection};

    fn protector(suite: u8) -> Protector {
        let key = UserKey::from_password(b"0penBmc").unwrap();
        let algorithms = CipherSuite::from_id(suite).unwrap().algorithms();
        Protector::new(algorithms, &[0x41; 32], &[0x42; 32], &key)
    }

    const HEADER: V20Header = V20Header {
        payload_type: PayloadType::IPMI,
        protection: Protection::FULL,
        session_id: 0x1234_5678,
        sequence: 1,
    };

    fn seal(suite: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        protector(suite).seal(&HEADER, payload, [0x24; 16], &mut out);
        out
    }

    fn open(suite: u8, datagram: &[u8]) -> Result<Vec<u8>, OpenError> {
        let packet = V20Packet::parse(&datagram[4..]).map_err(|_| OpenError::Trailer)?;
        let protector = protector(suite);
        protector.verify(&packet)?;
        let mut plain = Vec::new();
        protector.decrypt(&packet, &mut plain)?;
        Ok(plain)
    }

    #[test]
    fn auth_codes_agree_with_an_independent_implementation() {
        use ring::hmac;
        let cases = [(2, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 12), (16, hmac::HMAC_SHA256, 16)];
        for (suite, algorithm, length) in cases {
            let datagram = seal(suite, &hex!("20 18 c8 81 04 01 7a"));
            let (covered, code) = datagram[4..].split_at(datagram.len() - 4 - length);
            let wanted = hmac::sign(&hmac::Key::new(algorithm, &[0x41; 32]), covered);
            assert_eq!(code, &wanted.as_ref()[..length], "suite {suite}");
            assert_eq!(covered[12 + 7..], hex!("ff ff ff 03 07"));
        }
    }

    #[test]
    fn ciphertext_matches_golden_bytes() {
        // openssl enc -aes-128-cbc -nopad with the key 42h x 16 and the IV 24h x 16, over the
        // message and its pad 01h..08h, 08h.
        let datagram = seal(3, &hex!("20 18 c8 81 04 01 7a"));
        assert_eq!(datagram[14..16], [32, 0]);
        assert_eq!(datagram[16..32], [0x24; 16]);
        assert_eq!(datagram[32..48], hex!("2d4c57a6585a796be9072bbccd532d12"));
    }

    #[test]
    fn any_flipped_bit_or_other_length_is_refused() {
        for suite in [2, 3, 7, 8, 11, 12, 16, 17] {
            let datagram = seal(suite, b"payload");
            assert_eq!(open(suite, &datagram).as_deref(), Ok(&b"payload"[..]));
            for bit in 4 * 8..datagram.len() * 8 {
                let mut forged = datagram.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                // Bit 6 of the payload type turned off leaves a trailer where none may be.
                assert!(open(suite, &forged).is_err(), "suite {suite}, bit {bit}");
            }
            for end in 4..datagram.len() {
                assert!(open(suite, &datagram[..end]).is_err(), "suite {suite}, {end} bytes");
            }
            let long = [&datagram[..], &[0; 4]].concat();
            assert!(open(suite, &long).is_err(), "suite {suite}, over-long");
        }
    }

    #[test]
    fn protection_that_was_not_negotiated_is_refused() {
        let encrypted = seal(3, b"payload");
        assert_eq!(open(2, &encrypted), Err(OpenError::NotNegotiated));
        let authenticated = seal(2, b"payload");
        assert_eq!(open(1, &authenticated), Err(OpenError::NotNegotiated));
        assert_eq!(open(1, &seal(1, b"payload")).as_deref(), Ok(&b"payload"[..]));
    }

    #[test]
    fn four_pad_bytes_from_peers_that_pad_aligned_packets_are_accepted() {
        // 12 header + 2 payload + 2 is aligned already.
        let datagram = seal(2, b"ab");
        let mut bytes = datagram[..18].to_vec();
        bytes.extend([0xff, 0xff, 0xff, 0xff, 4, 7]);
        let code = protector(2).integrity.code(&bytes[4..]);
        bytes.extend_from_slice(code.as_bytes());
        assert_eq!(open(2, &bytes).as_deref(), Ok(&b"ab"[..]));
    }

    #[test]
    fn a_whole_block_of_pad_is_accepted_and_a_wrong_pad_is_not() {
        let mut plain = [&[7u8; 15][..], &(1..=16).collect::<Vec<u8>>(), &[16]].concat();
        assert_eq!(strip_pad(&mut plain), Ok(()));
        assert_eq!(plain, [7; 15]);
        for bad in [&[1u8, 2, 2, 3][..], &[1, 1, 2], &[9], &[], &[0; 1][..0]] {
            assert_eq!(strip_pad(&mut bad.to_vec()), Err(OpenError::Ciphertext), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            for suite in CipherSuite::all() {
                let opened = open(suite.id(), &seal(suite.id(), &payload));
                prop_assert_eq!(opened.as_ref(), Ok(&payload));
            }
        }

        #[test]
        fn opening_any_bytes_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 4..120)) {
            let _ = open(17, &bytes);
            let mut plain = bytes;
            let _ = strip_pad(&mut plain);
        }
    }
}
