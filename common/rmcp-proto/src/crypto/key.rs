//! A key of 20 bytes: a user's password, or KG (IPMI v2.0 §13.31).

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `K[UID]` or KG: the password padded with zeros to 20 bytes. Wiped when dropped, never shown.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct UserKey([u8; Self::LEN]);

impl UserKey {
    /// Length of a key.
    pub const LEN: usize = 20;
    /// Length of the part that IPMI 1.5 uses.
    pub const LEN_15: usize = 16;

    /// The key of `password`; `None` beyond 20 bytes.
    #[must_use]
    pub fn from_password(password: &[u8]) -> Option<Self> {
        let mut key = Self::default();
        key.0.get_mut(..password.len())?.copy_from_slice(password);
        Some(key)
    }

    /// The key `bytes`.
    #[must_use]
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The key's bytes. A copy must be wiped.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The first 16 bytes: the key of an IPMI 1.5 session.
    #[must_use]
    pub fn first_16(&self) -> &[u8] {
        self.0.get(..Self::LEN_15).unwrap_or_default()
    }

    /// Whether nothing follows the first 16 bytes.
    #[must_use]
    pub fn fits_16(&self) -> bool {
        let rest = self.0.get(Self::LEN_15..).unwrap_or_default();
        rest.iter().fold(0, |any, byte| any | byte) == 0
    }

    /// Whether all bytes are zero, in constant time: such a KG means that none is set.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.ct_eq(&[0; Self::LEN]).into()
    }
}

impl ConstantTimeEq for UserKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_wiped() {
        fn is_wiped<T: ZeroizeOnDrop>(_: &T) {}
        let mut key = UserKey::from_password(b"0penBmc").unwrap();
        is_wiped(&key);
        key.zeroize();
        assert!(bool::from(key.as_bytes().ct_eq(&[0; UserKey::LEN])));
    }

    #[test]
    fn passwords_are_padded_with_zeros_and_never_shown() {
        let key = UserKey::from_password(b"0penBmc").unwrap();
        assert_eq!(&key.as_bytes()[..8], b"0penBmc\0");
        assert_eq!(key.first_16().len(), 16);
        assert!(!key.is_zero() && UserKey::default().is_zero());
        assert!(UserKey::from_password(&[1; 21]).is_none());
        assert_eq!(format!("{key:?}"), "UserKey(..)");
    }
}
