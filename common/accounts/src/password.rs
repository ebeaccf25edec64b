//! Passwords and KG: erased after use, never formatted, compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The length of a user key `K[UID]` and of KG (IPMI v2.0 §13.28-13.33).
pub const KEY_LENGTH: usize = 20;

/// As which size a password was set (IPMI v2.0 §22.30, byte 1 bit 7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PasswordSize {
    /// 16 bytes: valid for IPMI 1.5 and 2.0.
    Bytes16,
    /// 20 bytes: for IPMI 2.0 only.
    Bytes20,
}

impl PasswordSize {
    /// The length of the longest password.
    pub(crate) const MAX_LENGTH: usize = 20;

    /// The number of bytes.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Bytes16 => 16,
            Self::Bytes20 => 20,
        }
    }

    /// The size that has so many bytes.
    fn of_length(length: u8) -> Option<Self> {
        match length {
            16 => Some(Self::Bytes16),
            20 => Some(Self::Bytes20),
            _ => None,
        }
    }
}

/// A password: up to 20 bytes, and the size it was set as. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password {
    key: [u8; KEY_LENGTH],
    #[zeroize(skip)]
    size: PasswordSize,
}

impl Password {
    /// The length of [`to_sealed_form`](Self::to_sealed_form).
    pub(crate) const FORM_LENGTH: usize = 1 + KEY_LENGTH;

    /// The password in `bytes`, which zeros follow to its size; `None` if it is longer.
    #[must_use]
    pub fn new(bytes: &[u8], size: PasswordSize) -> Option<Self> {
        let mut key = [0; KEY_LENGTH];
        key.get_mut(..size.length())?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { key, size })
    }

    /// The password padded with zeros to 20 bytes: `K[UID]` of RAKP (IPMI v2.0 §13.31).
    ///
    /// IPMI 1.5 takes the first 16 of them.
    #[must_use]
    pub fn key(&self) -> &[u8; KEY_LENGTH] {
        &self.key
    }

    /// The size it was set as.
    #[must_use]
    pub fn size(&self) -> PasswordSize {
        self.size
    }

    /// Compares with the `offered` password, in a time that does not depend on where they differ.
    #[must_use]
    pub fn test(&self, offered: &Self) -> PasswordTest {
        if offered.size != self.size {
            PasswordTest::WrongSize
        } else if bool::from(self.key.ct_eq(&offered.key)) {
            PasswordTest::Match
        } else {
            PasswordTest::Mismatch
        }
    }

    /// As [`test`](Self::test), where a store does not know as which size the password was set: one
    /// that is longer than the size offered is another one.
    pub(crate) fn test_bytes(&self, offered: &Self) -> PasswordTest {
        if bool::from(self.key.ct_eq(&offered.key)) {
            PasswordTest::Match
        } else {
            PasswordTest::Mismatch
        }
    }

    /// The bytes up to the zeros behind them.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        let end = self.key.iter().position(|&byte| byte == 0);
        self.key.get(..end.unwrap_or(KEY_LENGTH)).unwrap_or_default()
    }

    /// Whether a client has nothing to type for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text().is_empty()
    }

    /// The bytes to seal: the size and all 20 bytes, so that the length of the sealed form is constant.
    pub(crate) fn to_sealed_form(&self) -> [u8; Self::FORM_LENGTH] {
        let mut form = [0; Self::FORM_LENGTH];
        let (length, key) = form.split_at_mut(1);
        length.fill(if self.size == PasswordSize::Bytes16 { 16 } else { 20 });
        key.copy_from_slice(&self.key);
        form
    }

    /// The password of which `form` is the sealed form.
    pub(crate) fn from_sealed_form(form: &[u8]) -> Option<Self> {
        let (&length, key) = form.split_first()?;
        Some(Self { key: key.try_into().ok()?, size: PasswordSize::of_length(length)? })
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How a password test ends (IPMI v2.0 §22.30, operation 11b).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PasswordTest {
    /// It is the password.
    Match,
    /// It is another one, or none is set: completion code 80h.
    Mismatch,
    /// The password was set as the other size: completion code 81h.
    WrongSize,
}

/// The key of a BMC, KG, which two-key logins need beside the user's (IPMI v2.0 §13.33, §22.25).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Kg([u8; KEY_LENGTH]);

impl Kg {
    /// The key of these bytes; `None` if all are zero, which is to have no KG.
    #[must_use]
    pub fn new(bytes: [u8; KEY_LENGTH]) -> Option<Self> {
        (bytes != [0; KEY_LENGTH]).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Kg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kg(..)")
    }
}

#[cfg(test)]
mod tests {
    use PasswordSize::{Bytes16, Bytes20};

    use super::*;

    #[test]
    fn secrets_are_wiped() {
        fn is_wiped<T: ZeroizeOnDrop>(_: &T) {}
        let mut password = Password::new(b"secret16", Bytes16).unwrap();
        is_wiped(&password);
        password.zeroize();
        assert_eq!(password.key(), &[0; KEY_LENGTH]);
        is_wiped(&Kg::new([1; KEY_LENGTH]).unwrap());
    }

    #[test]
    fn test_tells_mismatch_from_wrong_size() {
        let stored = Password::new(b"secret16", Bytes16).unwrap();
        let offer = |bytes: &[u8], size| stored.test(&Password::new(bytes, size).unwrap());
        assert_eq!(offer(b"secret16", Bytes16), PasswordTest::Match);
        assert_eq!(offer(b"secret16\0\0", Bytes16), PasswordTest::Match);
        assert_eq!(offer(b"secret17", Bytes16), PasswordTest::Mismatch);
        assert_eq!(offer(b"secret16", Bytes20), PasswordTest::WrongSize);
    }

    #[test]
    fn password_longer_than_its_size_is_refused() {
        assert!(Password::new(&[b'x'; 16], Bytes16).is_some());
        assert!(Password::new(&[b'x'; 17], Bytes16).is_none());
        assert!(Password::new(&[b'x'; 20], Bytes20).is_some());
        assert!(Password::new(&[b'x'; 21], Bytes20).is_none());
    }

    #[test]
    fn secrets_are_not_shown() {
        let password = Password::new(b"hunter2", Bytes16).unwrap();
        let kg = Kg::new(*b"hunter2 hunter2 hunt").unwrap();
        let shown = format!("{password:?} {kg:?}");
        assert_eq!(shown, "Password(..) Kg(..)");
    }

    #[test]
    fn sealed_form_keeps_size_and_bytes() {
        for size in [Bytes16, Bytes20] {
            let password = Password::new(b"x", size).unwrap();
            let back = Password::from_sealed_form(&password.to_sealed_form()).unwrap();
            assert_eq!(password.test(&back), PasswordTest::Match);
        }
        assert!(Password::from_sealed_form(&[17; 21]).is_none());
        assert!(Password::from_sealed_form(&[16; 20]).is_none());
    }
}
