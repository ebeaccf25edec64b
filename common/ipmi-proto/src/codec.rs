//! The bit-level packer and unpacker of typed parameters.
//!
//! A request's data is a stream of bits: bytes in order, within a byte the least significant bit
//! first, multi-byte values least significant byte first (IPMI v2.0 §5.1 and the field tables of
//! §18-35; OpenBMC's IPMI architecture document, "typed handlers"). A value takes as many bits as
//! its type says, and the next value goes on where it ended:
//!
//! | type | bits |
//! |---|---|
//! | `u8`…`u64`, `i8`…`i64` | as many as they have |
//! | [`Uint<N>`](Uint), [`Int<N>`](Int), [`Bits<N>`](Bits) | N |
//! | `bool` | 1 |
//! | [`BitSet<N>`](BitSet) | N, one for each member |
//! | [`Zero<N>`](Zero), [`Ignored<N>`](Ignored) | N; a reserved field that must be 0, or that is passed over |
//! | `Option<T>` | those of `T`, if as many remain, else none |
//! | `[T; N]`, tuples | those of the parts |
//! | `Vec<T>` | all that remain |
//! | [`Remaining`] | all that remain, to be decoded later |
//! | other types | by implementing [`Decode`] and [`Encode`] |
//!
//! A request must be consumed exactly: one that is too short or too long is
//! [`DecodeError::Length`] (C7h); a value outside its type is [`DecodeError::Value`] (CCh).

mod collections;
mod integers;
mod reader;
mod vocabulary;
mod writer;

pub use collections::{Remaining, Text};
pub use integers::{BitSet, Bits, Ignored, Int, Uint, Zero};
pub use reader::Reader;
pub use writer::Writer;

use crate::CompletionCode;

/// Why a request's data cannot be decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer or more bits than the parameters take.
    #[error("the data's length does not fit the parameters")]
    Length,
    /// A field has a value that its type does not have.
    #[error("{field} cannot be {value:#x}")]
    Value {
        /// The type of the field.
        field: &'static str,
        /// The value of the field.
        value: u64,
    },
}

impl From<DecodeError> for CompletionCode {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Length => Self::REQUEST_LENGTH_INVALID,
            DecodeError::Value { .. } => Self::INVALID_DATA_FIELD,
        }
    }
}

/// A type that can be decoded from a request's data.
pub trait Decode: Sized {
    /// Decodes a value from `reader`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`] when too few remain, [`DecodeError::Value`] when they are no value
    /// of this type. The position of the reader is then undefined.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// A type that can be encoded into a response's data.
pub trait Encode {
    /// Appends the value's bits to `writer`.
    fn encode(&self, writer: &mut Writer);
}

/// Decodes `T` from `bytes`, which must be consumed exactly.
///
/// # Errors
///
/// As [`Decode::decode`], and [`DecodeError::Length`] when bits are left over.
pub fn decode<T: Decode>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// The bytes of `value`; the last byte is padded with zero bits.
pub fn encode<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut writer = Writer::default();
    value.encode(&mut writer);
    writer.finish()
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    /// Checks one value against its bytes, both ways.
    fn golden<T: Decode + Encode + PartialEq + std::fmt::Debug>(bytes: &[u8], value: &T) {
        assert_eq!(decode::<T>(bytes).as_ref(), Ok(value), "decode {bytes:02x?}");
        assert_eq!(encode(value), bytes, "encode {value:?}");
    }

    #[test]
    fn values_match_golden_bytes() {
        golden(&hex!("04"), &0x04_u8);
        golden(&hex!("02 86"), &0x8602_u16);
        golden(&hex!("02 00 86 04"), &0x0486_0002_u32);
        golden(&hex!("ef cd ab 89 67 45 23 01"), &0x0123_4567_89ab_cdef_u64);
        golden(&hex!("fe"), &-2_i8);
        golden(&hex!("fe ff ff"), &Int::<24>::new(-2).unwrap());
        golden(&hex!("7b a9 01"), &Uint::<24>::new(0x01_a97b).unwrap());
        golden(&hex!("00 80"), &i16::MIN);
        // Least significant bits first: 1, 0, then 101b, then 3 bits 110b.
        golden(&hex!("d5"), &(true, false, Bits::<3>::new(5).unwrap(), Bits::<3>::new(6).unwrap()));
        // A 12-bit value over a byte's edge.
        golden(&hex!("2a c1"), &(Bits::<4>::new(10).unwrap(), Uint::<12>::new(0xc12).unwrap()));
        golden(&hex!("81 01"), &BitSet::<16>::from_iter([0, 7, 8]));
        golden(&hex!("01 02 03"), &[1_u8, 2, 3]);
        golden(&hex!("01 00 02 00"), &vec![1_u16, 2]);
        golden(&hex!("01 02 03 04"), &(1_u8, (2_u8, (3_u8, 4_u8))));
        golden(&hex!("07 61 62"), &(7_u8, Remaining::from(b"ab".to_vec())));
        golden(&hex!("0f"), &(Bits::<4>::new(15).unwrap(), Zero::<4>));
        golden(&hex!(""), &());
    }

    #[test]
    fn option_is_there_when_enough_bits_remain() {
        golden::<(u8, Option<u16>)>(&hex!("01"), &(1, None));
        golden::<(u8, Option<u16>)>(&hex!("01 02 03"), &(1, Some(0x0302)));
        // Half of it is not it, and what is left over is a length error.
        assert_eq!(decode::<(u8, Option<u16>)>(&hex!("01 02")), Err(DecodeError::Length));
        golden::<(Option<u8>, Option<u8>)>(&hex!("09"), &(Some(9), None));
    }

    #[test]
    fn too_short_too_long_and_left_over_are_length_errors() {
        for bytes in [&hex!("")[..], &hex!("01"), &hex!("01 02 03")] {
            assert_eq!(decode::<u16>(bytes), Err(DecodeError::Length), "{bytes:02x?}");
        }
        assert_eq!(decode::<Bits<4>>(&hex!("01")), Err(DecodeError::Length));
        assert_eq!(decode::<Vec<u16>>(&hex!("01 02 03")), Err(DecodeError::Length));
        assert_eq!(decode::<[u16; 2]>(&hex!("01 02 03")), Err(DecodeError::Length));
        let code = CompletionCode::from(DecodeError::Length);
        assert_eq!(code, CompletionCode::REQUEST_LENGTH_INVALID);
    }

    #[test]
    fn reserved_bits_that_are_set_are_a_value_error() {
        let error = decode::<(Bits<4>, Zero<4>)>(&hex!("1f")).unwrap_err();
        assert_eq!(error, DecodeError::Value { field: "reserved", value: 1 });
        assert_eq!(CompletionCode::from(error), CompletionCode::INVALID_DATA_FIELD);
        assert!(decode::<(Bits<4>, Ignored<4>)>(&hex!("1f")).is_ok());
    }

    #[test]
    fn remaining_is_taken_apart_with_the_same_calls() {
        let (selector, rest): (u8, Remaining) = decode(&hex!("05 80 04 00 00 00")).unwrap();
        assert_eq!(selector, 5);
        assert_eq!(rest.decode::<[u8; 5]>(), Ok([0x80, 4, 0, 0, 0]));
        assert_eq!(rest.decode::<u16>(), Err(DecodeError::Length));
        // Bits that were not taken are part of what remains.
        let (low, rest): (Bits<4>, Remaining) = decode(&hex!("a5 0c")).unwrap();
        assert_eq!(low.value(), 5);
        assert_eq!(rest.decode::<(Bits<4>, u8)>(), Ok((Bits::new(0xa).unwrap(), 0x0c)));
    }

    #[test]
    fn text_ends_at_its_first_nul_and_is_padded_with_nul() {
        golden(&hex!("626f62 0000"), &Text::<5>::new(b"bob").unwrap());
        assert_eq!(Text::<5>::new(b"bobby!"), None);
        let odd: Text<4> = decode(&hex!("61 00 62 00")).unwrap();
        assert_eq!(odd.as_bytes(), b"a");
    }

    type Everything =
        ((u8, u16, u32, u64), (i8, i16, i32, i64), (bool, Bits<7>), Uint<24>, Vec<u8>);

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(
            unsigned: (u8, u16, u32, u64), signed: (i8, i16, i32, i64), flag: bool,
            seven in 0_u8..0x80, wide in 0_u64..0x0100_0000, tail: Vec<u8>,
        ) {
            let bits = (flag, Bits::new(seven).unwrap());
            let value: Everything = (unsigned, signed, bits, Uint::new(wide).unwrap(), tail);
            prop_assert_eq!(decode::<Everything>(&encode(&value)), Ok(value));
        }

        #[test]
        fn any_alignment_survives(lead in 0_u8..8, a: u32, b: i16, set: u16) {
            let lead = Bits::<3>::new(lead).unwrap();
            let value = (lead, a, b, BitSet::<13>::from_bits(u64::from(set & 0x1fff)).unwrap());
            prop_assert_eq!(decode::<(Bits<3>, u32, i16, BitSet<13>)>(&encode(&value)), Ok(value));
        }

        #[test]
        fn bytes_that_decode_encode_to_themselves(bytes: Vec<u8>) {
            if let Ok(value) = decode::<(Option<(Bits<4>, Int<12>)>, Vec<(u8, u16)>)>(&bytes) {
                prop_assert_eq!(encode(&value), bytes);
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = decode::<Everything>(&bytes);
            let _ = decode::<(Option<Uint<24>>, Option<[Bits<3>; 5]>, Remaining)>(&bytes);
            let _ = decode::<(Text<16>, crate::Privilege, crate::ChannelNumber, Zero<4>)>(&bytes);
        }
    }
}
