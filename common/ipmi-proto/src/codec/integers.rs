//! Integers, bit fields and bit sets.

use super::{Decode, DecodeError, Encode, Reader, Writer};

macro_rules! whole_integers {
    ($($type:ident)*) => {$(
        impl Decode for $type {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                // As many bits as the type has: nothing is cut off.
                #[allow(clippy::cast_possible_truncation)]
                reader.bits($type::BITS).map(|bits| bits as $type)
            }
        }

        impl Encode for $type {
            fn encode(&self, writer: &mut Writer) {
                // Sign extension goes no further than the bits that are written.
                #[allow(clippy::cast_sign_loss)]
                writer.bits(*self as u64, $type::BITS);
            }
        }
    )*};
}

whole_integers! { u8 u16 u32 u64 i8 i16 i32 i64 }

impl Decode for bool {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.bits(1)? == 1)
    }
}

impl Encode for bool {
    fn encode(&self, writer: &mut Writer) {
        writer.bits(u64::from(*self), 1);
    }
}

/// An unsigned value of `N` bits, 1 to 64.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uint<const N: u32>(u64);

impl<const N: u32> Uint<N> {
    const MAX: u64 = u64::MAX >> (64 - N);

    /// `None` when `value` takes more than `N` bits.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX { Some(Self(value)) } else { None }
    }

    /// The value itself.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl<const N: u32> Decode for Uint<N> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.bits(N).map(Self)
    }
}

impl<const N: u32> Encode for Uint<N> {
    fn encode(&self, writer: &mut Writer) {
        writer.bits(self.0, N);
    }
}

/// A signed value of `N` bits in two's complement, 2 to 64.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Int<const N: u32>(i64);

impl<const N: u32> Int<N> {
    /// `None` when `value` takes more than `N` bits.
    #[must_use]
    pub const fn new(value: i64) -> Option<Self> {
        let shift = 64 - N;
        if (value << shift) >> shift == value { Some(Self(value)) } else { None }
    }

    /// The value itself.
    #[must_use]
    pub const fn value(self) -> i64 {
        self.0
    }
}

impl<const N: u32> Decode for Int<N> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let shift = 64 - N;
        let bits = reader.bits(N)?;
        Ok(Self((bits << shift).cast_signed() >> shift))
    }
}

impl<const N: u32> Encode for Int<N> {
    fn encode(&self, writer: &mut Writer) {
        writer.bits(self.0.cast_unsigned(), N);
    }
}

/// A field of `N` bits within a byte, 1 to 8.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Bits<const N: u32>(u8);

impl<const N: u32> Bits<N> {
    const MAX: u8 = u8::MAX >> (8 - N);

    /// `None` when `value` takes more than `N` bits.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= Self::MAX { Some(Self(value)) } else { None }
    }

    /// The lowest `N` bits of `value`.
    #[must_use]
    pub const fn low(value: u8) -> Self {
        Self(value & Self::MAX)
    }

    /// The value itself.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl<const N: u32> Decode for Bits<N> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let [low, ..] = reader.bits(N)?.to_le_bytes();
        Ok(Self(low))
    }
}

impl<const N: u32> Encode for Bits<N> {
    fn encode(&self, writer: &mut Writer) {
        writer.bits(self.0.into(), N);
    }
}

/// A set of `N` flags, 1 to 64; member 0 is the first bit on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct BitSet<const N: u32>(u64);

impl<const N: u32> BitSet<N> {
    /// The set whose members are the bits of `bits`; `None` when one is beyond `N`.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits <= u64::MAX >> (64 - N) { Some(Self(bits)) } else { None }
    }

    /// The members as bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether `member` is set.
    #[must_use]
    pub const fn contains(self, member: u32) -> bool {
        member < N && self.0 >> member & 1 == 1
    }

    /// This set with `member` in or out, as `present` says; one beyond `N` changes nothing.
    #[must_use]
    pub const fn with(self, member: u32, present: bool) -> Self {
        if member >= N {
            return self;
        }
        let bit = 1 << member;
        Self(if present { self.0 | bit } else { self.0 & !bit })
    }
}

impl<const N: u32> FromIterator<u32> for BitSet<N> {
    fn from_iter<I: IntoIterator<Item = u32>>(members: I) -> Self {
        members.into_iter().fold(Self::default(), |set, member| set.with(member, true))
    }
}

impl<const N: u32> Decode for BitSet<N> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.bits(N).map(Self)
    }
}

impl<const N: u32> Encode for BitSet<N> {
    fn encode(&self, writer: &mut Writer) {
        writer.bits(self.0, N);
    }
}

/// `N` reserved bits that must be zero: of values that are stored, since what is accepted must be read back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Zero<const N: u32>;

impl<const N: u32> Decode for Zero<N> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.reserved(N)?;
        Ok(Self)
    }
}

impl<const N: u32> Encode for Zero<N> {
    fn encode(&self, writer: &mut Writer) {
        writer.bits(0, N);
    }
}

/// `N` bits of which nothing is made: clients set them although they are reserved.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ignored<const N: u32>;

impl<const N: u32> Decode for Ignored<N> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.bits(N)?;
        Ok(Self)
    }
}
