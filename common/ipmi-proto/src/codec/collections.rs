//! Options, arrays, lists, tuples, text, and what remains.

use super::{Decode, DecodeError, Encode, Reader, Writer};

impl<T: Decode> Decode for Option<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut ahead = *reader;
        match T::decode(&mut ahead) {
            Ok(value) => {
                *reader = ahead;
                Ok(Some(value))
            }
            Err(DecodeError::Length) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, writer: &mut Writer) {
        if let Some(value) = self {
            value.encode(writer);
        }
    }
}

impl<T: Decode + Copy + Default, const N: usize> Decode for [T; N] {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut values = [T::default(); N];
        for value in &mut values {
            *value = T::decode(reader)?;
        }
        Ok(values)
    }
}

impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, writer: &mut Writer) {
        self.as_slice().encode(writer);
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, writer: &mut Writer) {
        self.iter().for_each(|value| value.encode(writer));
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut values = Self::new();
        while reader.remaining() > 0 {
            let before = reader.remaining();
            values.push(T::decode(reader)?);
            if reader.remaining() == before {
                return Err(DecodeError::Length); // an element of no bits would never end
            }
        }
        Ok(values)
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, writer: &mut Writer) {
        self.as_slice().encode(writer);
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, writer: &mut Writer) {
        (**self).encode(writer);
    }
}

/// All that remains of a request, to be taken apart once it is known what it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Remaining {
    bytes: Vec<u8>,
    /// Bits on top of the last byte that are not part of it.
    missing: u32,
}

impl Remaining {
    /// Takes it apart as `T`, which must use it up exactly.
    ///
    /// # Errors
    ///
    /// As [`super::decode`].
    pub fn decode<T: Decode>(&self) -> Result<T, DecodeError> {
        let mut reader = Reader::new(&self.bytes);
        let value = T::decode(&mut reader)?;
        // Fewer bits left than the last byte lacks are none at all.
        reader.finish_before(self.missing as usize)?;
        Ok(value)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Vec<u8>> for Remaining {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, missing: 0 }
    }
}

impl From<Remaining> for Vec<u8> {
    fn from(remaining: Remaining) -> Self {
        remaining.bytes
    }
}

impl Decode for Remaining {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let missing = (8 - reader.remaining() % 8) % 8;
        Ok(Self { bytes: reader.rest(), missing: u32::try_from(missing).unwrap_or(0) })
    }
}

impl Encode for Remaining {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.bytes);
    }
}

/// A name of up to `N` bytes in a field of `N`, padded with NUL; its encoding is the user's affair.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// `None` when `text` has more than `N` bytes.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        let mut field = [0; N];
        field.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(field))
    }

    /// What comes before the first NUL.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

impl<const N: usize> std::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

impl<const N: usize> Decode for Text<N> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        <[u8; N]>::decode(reader).map(Self)
    }
}

impl<const N: usize> Encode for Text<N> {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }
}

impl Decode for () {
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl Encode for () {
    fn encode(&self, _: &mut Writer) {}
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Decode),+> Decode for ($($name,)+) {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(($($name::decode(reader)?,)+))
            }
        }

        impl<$($name: Encode),+> Encode for ($($name,)+) {
            fn encode(&self, writer: &mut Writer) {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                $($name.encode(writer);)+
            }
        }
    };
}

tuples! { A }
tuples! { A B }
tuples! { A B C }
tuples! { A B C D }
tuples! { A B C D E }
tuples! { A B C D E F }
tuples! { A B C D E F G }
tuples! { A B C D E F G H }
tuples! { A B C D E F G H I }
tuples! { A B C D E F G H I J }
tuples! { A B C D E F G H I J K }
tuples! { A B C D E F G H I J K L }
tuples! { A B C D E F G H I J K L M }
tuples! { A B C D E F G H I J K L M N }
tuples! { A B C D E F G H I J K L M N O }
tuples! { A B C D E F G H I J K L M N O P }
