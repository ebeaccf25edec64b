//! Secrets at rest: ChaCha20-Poly1305 under a key file, each with its own random nonce.
//!
//! The context of a secret (kind, owner, generation) is authenticated with it, so a secret that was copied to another
//! entry does not open.

use ipmi_proto::ChannelNumber;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{AccountError, UserId, text};

const SEALING_KEY_LENGTH: usize = 32;

/// The key that seals, as it is in its file.
#[derive(Clone, Deserialize, Serialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(crate) struct SealingKey(#[serde(with = "text::hex")] [u8; SEALING_KEY_LENGTH]);

impl SealingKey {
    pub(crate) fn random() -> Result<Self, AccountError> {
        let mut key = Self([0; SEALING_KEY_LENGTH]);
        SystemRandom::new().fill(&mut key.0).map_err(|_| AccountError::NoRandom)?;
        Ok(key)
    }
}

/// A sealed secret, as it is in its file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Sealed {
    #[serde(with = "text::hex")]
    nonce: [u8; NONCE_LEN],
    #[serde(with = "text::hex")]
    text: Vec<u8>,
}

/// The kind, owner and generation of a secret: the additional data of the AEAD.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SealContext {
    Password { user: UserId, generation: u64 },
    Kg { channel: ChannelNumber, generation: u64 },
}

impl SealContext {
    fn to_bytes(self) -> Vec<u8> {
        let (kind, number, generation) = match self {
            Self::Password { user, generation } => (b'P', user.value(), generation),
            Self::Kg { channel, generation } => (b'K', channel.value(), generation),
        };
        let mut bytes = b"causeway access ".to_vec();
        bytes.extend([kind, number]);
        bytes.extend(generation.to_le_bytes());
        bytes
    }
}

/// Seals and opens.
pub(crate) struct Sealer(LessSafeKey);

impl Sealer {
    /// A sealer of this key; `None` if the library does not take it, which it does at this length.
    pub(crate) fn new(key: &SealingKey) -> Option<Self> {
        UnboundKey::new(&CHACHA20_POLY1305, &key.0).ok().map(LessSafeKey::new).map(Self)
    }

    pub(crate) fn seal(&self, context: SealContext, secret: &[u8]) -> Result<Sealed, AccountError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| AccountError::NoRandom)?;
        let mut text = Vec::with_capacity(secret.len() + CHACHA20_POLY1305.tag_len());
        text.extend_from_slice(secret);
        let aad = Aad::from(context.to_bytes());
        let used = Nonce::assume_unique_for_key(nonce);
        if self.0.seal_in_place_append_tag(used, aad, &mut text).is_err() {
            text.zeroize();
            return Err(AccountError::NoRandom);
        }
        Ok(Sealed { nonce, text })
    }

    /// The secret, if it was sealed with this key for this context and not changed since.
    pub(crate) fn open(&self, context: SealContext, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(sealed.text.clone());
        let aad = Aad::from(context.to_bytes());
        let nonce = Nonce::assume_unique_for_key(sealed.nonce);
        let length = self.0.open_in_place(nonce, aad, &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: u8, generation: u64) -> SealContext {
        SealContext::Password { user: UserId::new(user).unwrap(), generation }
    }

    #[test]
    fn secret_opens_in_its_own_context_only() {
        let sealer = Sealer::new(&SealingKey::random().unwrap()).unwrap();
        let sealed = sealer.seal(password(2, 7), b"secret").unwrap();
        assert_eq!(sealer.open(password(2, 7), &sealed).unwrap().as_slice(), b"secret");
        assert!(sealer.open(password(3, 7), &sealed).is_none());
        assert!(sealer.open(password(2, 8), &sealed).is_none());
        let channel = ChannelNumber::new(2).unwrap();
        assert!(sealer.open(SealContext::Kg { channel, generation: 7 }, &sealed).is_none());
        let other = Sealer::new(&SealingKey::random().unwrap()).unwrap();
        assert!(other.open(password(2, 7), &sealed).is_none());
    }

    #[test]
    fn changed_or_cut_secret_does_not_open() {
        let sealer = Sealer::new(&SealingKey::random().unwrap()).unwrap();
        let sealed = sealer.seal(password(2, 7), b"secret").unwrap();
        for at in 0..sealed.text.len() {
            let mut changed = sealed.clone();
            changed.text[at] ^= 1;
            assert!(sealer.open(password(2, 7), &changed).is_none());
            changed.text.truncate(at);
            assert!(sealer.open(password(2, 7), &changed).is_none());
        }
    }

    #[test]
    fn same_secret_never_looks_the_same() {
        let sealer = Sealer::new(&SealingKey::random().unwrap()).unwrap();
        let seal = || sealer.seal(password(2, 7), b"secret").unwrap();
        assert_ne!(seal(), seal());
    }
}
