//! The file of a backup: a header in the clear, and a body that is sealed as a whole.
//!
//! | bytes | |
//! |---|---|
//! | 16 | `causeway-backup\n` |
//! | 2 | the format, 1 (all numbers are big-endian) |
//! | 4 | iterations of PBKDF2 with HMAC-SHA256 (RFC 8018 §5.2), whose output is a key and a verifier |
//! | 16 | its salt |
//! | 12 | the nonce |
//! | 16 | the verifier, by which a wrong passphrase is told from a damaged body |
//! | 4 | the length of the body, with its tag |
//! | 32 | SHA-256 of all above |
//!
//! The body is sealed with AES-256-GCM (NIST SP 800-38D); the header is its associated data.

use std::num::NonZeroU32;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, pbkdf2};
use zeroize::Zeroizing;

use crate::error::Error;

const MAGIC: &[u8; 16] = b"causeway-backup\n";
const FORMAT: u16 = 1;
const KEY: usize = 32;
const VERIFIER: usize = 16;
const TAG: usize = 16;
/// What is hashed of the header, and the whole of it.
const HASHED: usize = 16 + 2 + 4 + 16 + 12 + VERIFIER + 4;
const HEADER: usize = HASHED + 32;

/// Iterations of a new backup, and the bounds for one that is read: fewer are weak, more keep a BMC busy for minutes.
const ITERATIONS: u32 = 600_000;
const FEWEST: u32 = 100_000;
const MOST: u32 = 10_000_000;

/// The largest body, and the largest file.
pub(super) const LARGEST_BODY: usize = 64 << 20;
pub(super) const LARGEST: usize = HEADER + LARGEST_BODY + TAG;

/// Why a file is no backup that can be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OpenError {
    NoBackup,
    Format(u16),
    Damaged,
    Truncated,
    Iterations(u32),
    Passphrase,
    Altered,
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoBackup => f.write_str("it is no backup of causewayctl"),
            Self::Format(format) => {
                write!(f, "its format is {format}, and this version knows {FORMAT}")
            }
            Self::Damaged => f.write_str("its header is damaged"),
            Self::Truncated => f.write_str("it is shorter or longer than its header says"),
            Self::Iterations(count) => write!(f, "{count} iterations are not within bounds"),
            Self::Passphrase => f.write_str("the passphrase is wrong"),
            Self::Altered => f.write_str("its content is damaged or was altered"),
        }
    }
}

/// The header of a backup.
#[derive(Debug)]
pub(super) struct Header {
    bytes: [u8; HEADER],
    iterations: NonZeroU32,
    salt: [u8; 16],
    nonce: [u8; 12],
    verifier: [u8; VERIFIER],
}

/// Seals a body.
pub(super) fn seal(passphrase: &[u8], body: &[u8]) -> Result<Vec<u8>, Error> {
    seal_with(passphrase, body, NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN))
}

fn seal_with(passphrase: &[u8], body: &[u8], iterations: NonZeroU32) -> Result<Vec<u8>, Error> {
    let failed = |_| Error::failed("cannot seal the backup: no random bytes");
    if body.len() > LARGEST_BODY {
        return Err(Error::failed("the state is larger than a backup can be"));
    }
    let random = SystemRandom::new();
    let (mut salt, mut nonce) = ([0; 16], [0; 12]);
    random.fill(&mut salt).and_then(|()| random.fill(&mut nonce)).map_err(failed)?;
    let (key, verifier) = derive(passphrase, iterations, &salt);
    let length = u32::try_from(body.len() + TAG).map_err(Error::failed)?;
    let mut file = Vec::with_capacity(HEADER + body.len() + TAG);
    file.extend(MAGIC);
    file.extend(FORMAT.to_be_bytes());
    file.extend(iterations.get().to_be_bytes());
    file.extend(salt);
    file.extend(nonce);
    file.extend(verifier);
    file.extend(length.to_be_bytes());
    file.extend(digest::digest(&digest::SHA256, &file).as_ref());
    let mut sealed = Zeroizing::new(body.to_vec());
    let aad = Aad::from(file.as_slice());
    let tag = key_of(&key)
        .and_then(|key| {
            key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
        })
        .map_err(failed)?;
    file.extend_from_slice(&sealed);
    file.extend(tag.as_ref());
    Ok(file)
}

impl Header {
    /// Reads the header of a file, and checks what can be checked without the passphrase.
    pub(super) fn parse(file: &[u8]) -> Result<Self, OpenError> {
        let rest = file.strip_prefix(MAGIC).ok_or(OpenError::NoBackup)?;
        // Another format may have another header.
        let (&format, _) = rest.split_first_chunk().ok_or(OpenError::Truncated)?;
        match u16::from_be_bytes(format) {
            FORMAT => {}
            format => return Err(OpenError::Format(format)),
        }
        let (&bytes, body) = file.split_first_chunk::<HEADER>().ok_or(OpenError::Truncated)?;
        let (hashed, hash) = bytes.split_at(HASHED);
        if digest::digest(&digest::SHA256, hashed).as_ref() != hash {
            return Err(OpenError::Damaged);
        }
        let mut fields = Fields(hashed.get(MAGIC.len() + format.len()..).unwrap_or_default());
        let iterations = u32::from_be_bytes(fields.next()?);
        let (salt, nonce, verifier) = (fields.next()?, fields.next()?, fields.next()?);
        let length = u32::from_be_bytes(fields.next()?);
        if u32::try_from(body.len()) != Ok(length) {
            return Err(OpenError::Truncated);
        }
        let wrong = OpenError::Iterations(iterations);
        if !(FEWEST..=MOST).contains(&iterations) {
            return Err(wrong);
        }
        let iterations = NonZeroU32::new(iterations).ok_or(wrong)?;
        Ok(Self { bytes, iterations, salt, nonce, verifier })
    }

    /// Opens the body of the file.
    pub(super) fn open(
        &self,
        passphrase: &[u8],
        file: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let Self { bytes, iterations, salt, nonce, verifier } = self;
        let (key, own_verifier) = derive(passphrase, *iterations, salt);
        // Whoever has the file has the verifier, so that the time of this says nothing.
        if own_verifier != *verifier {
            return Err(OpenError::Passphrase);
        }
        let body = file.get(HEADER..).ok_or(OpenError::Truncated)?;
        let mut body = Zeroizing::new(body.to_vec());
        let opened = key_of(&key).and_then(|key| {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            key.open_in_place(nonce, Aad::from(bytes), &mut body).map(|opened| opened.len())
        });
        let length = opened.map_err(|_| OpenError::Altered)?;
        body.truncate(length);
        Ok(body)
    }
}

/// The fields of a header, one after another.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> Result<[u8; N], OpenError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(OpenError::Truncated)?;
        self.0 = rest;
        Ok(*field)
    }
}

/// The key, and the verifier of the passphrase.
fn derive(
    passphrase: &[u8],
    iterations: NonZeroU32,
    salt: &[u8],
) -> (Zeroizing<[u8; KEY]>, [u8; VERIFIER]) {
    let mut output = Zeroizing::new([0; KEY + VERIFIER]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, passphrase, &mut *output);
    let (mut key, mut verifier) = (Zeroizing::new([0; KEY]), [0; VERIFIER]);
    let (first, second) = output.split_at(KEY);
    key.copy_from_slice(first);
    verifier.copy_from_slice(second);
    (key, verifier)
}

fn key_of(key: &[u8; KEY]) -> Result<LessSafeKey, ring::error::Unspecified> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"the state of all daemons";
    const PASSPHRASE: &[u8] = b"correct horse battery staple";

    fn sealed() -> Vec<u8> {
        seal_with(PASSPHRASE, BODY, NonZeroU32::new(FEWEST).unwrap()).unwrap()
    }

    fn open(file: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, OpenError> {
        Header::parse(file)?.open(passphrase, file).map(|body| body.to_vec())
    }

    #[test]
    fn body_comes_back_under_its_passphrase_alone() {
        let file = sealed();
        assert_eq!(open(&file, PASSPHRASE).as_deref(), Ok(BODY));
        assert_eq!(open(&file, b"another"), Err(OpenError::Passphrase));
        assert!(!file.windows(5).any(|part| part == b"state"));
        assert_ne!(file, sealed(), "salt and nonce are new each time");
    }

    /// A header with another field, and its hash.
    fn with_field(at: usize, field: &[u8]) -> Vec<u8> {
        let mut file = sealed();
        file[at..at + field.len()].copy_from_slice(field);
        let hash = digest::digest(&digest::SHA256, &file[..HASHED]);
        file[HASHED..HEADER].copy_from_slice(hash.as_ref());
        file
    }

    #[test]
    fn every_altered_byte_and_every_cut_is_refused() {
        let file = sealed();
        for at in (0..HEADER).chain([HEADER, HEADER + BODY.len() / 2, file.len() - 1]) {
            let mut altered = file.clone();
            altered[at] ^= 1;
            // Without the hash, all but the first fields are refused before a key is derived.
            assert!(open(&altered, PASSPHRASE).is_err(), "byte {at}");
        }
        for length in 0..file.len() {
            assert!(Header::parse(&file[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(Header::parse(&[&file[..], b"x"].concat()).unwrap_err(), OpenError::Truncated);
    }

    #[test]
    fn headers_that_were_made_anew_are_bounded_and_bound_to_the_body() {
        for iterations in [0, 1, FEWEST - 1, MOST + 1, u32::MAX] {
            let file = with_field(18, &iterations.to_be_bytes());
            assert_eq!(Header::parse(&file).unwrap_err(), OpenError::Iterations(iterations));
        }
        let other_salt = with_field(22, &[0; 16]);
        assert_eq!(open(&other_salt, PASSPHRASE), Err(OpenError::Passphrase));
        let other_nonce = with_field(38, &[0; 12]);
        assert_eq!(open(&other_nonce, PASSPHRASE), Err(OpenError::Altered));
        let newer = with_field(16, &2_u16.to_be_bytes());
        assert_eq!(Header::parse(&newer).unwrap_err(), OpenError::Format(2));
        assert_eq!(Header::parse(b"PK\x03\x04 an archive").unwrap_err(), OpenError::NoBackup);
    }
}
