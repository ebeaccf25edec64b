//! Type/length fields: the strings of FRU areas and of SDR names (Platform Management FRU
//! Information Storage Definition v1.3 §13; IPMI v2.0 §43.15).

use crate::record::{Reader, RecordError};

/// The byte that ends a FRU area's list of fields: 8-bit text of length one.
const END: u8 = 0xc1;

/// How a field's bytes are to be read (type/length bits 7:6).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Encoding {
    /// Binary or unspecified; Unicode in an SDR name.
    Binary = 0,
    /// BCD plus: `0`-`9`, space, dash, period.
    BcdPlus = 1,
    /// 6-bit ASCII, packed.
    SixBit = 2,
    /// 8-bit ASCII and Latin 1, or UTF-16 in a FRU area whose language is not English.
    Text = 3,
}

impl Encoding {
    /// The encoding in bits 7:6 of a type/length byte.
    #[must_use]
    pub const fn of(type_length: u8) -> Self {
        match type_length >> 6 {
            0 => Self::Binary,
            1 => Self::BcdPlus,
            2 => Self::SixBit,
            _ => Self::Text,
        }
    }

    const fn bits(self) -> u8 {
        (self as u8) << 6
    }
}

/// One field of a FRU area: at most 63 bytes, and never the one-byte text that would read as the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    encoding: Encoding,
    bytes: Vec<u8>,
}

impl Field {
    /// The most bytes a field holds.
    pub const MAX: usize = 63;

    /// A field of these bytes; `None` when it is too long, or would read as the end of the list.
    #[must_use]
    pub fn new(encoding: Encoding, bytes: Vec<u8>) -> Option<Self> {
        let end = encoding == Encoding::Text && bytes.len() == 1;
        (bytes.len() <= Self::MAX && !end).then_some(Self { encoding, bytes })
    }

    /// The field that says nothing (type/length 00h).
    #[must_use]
    pub const fn empty() -> Self {
        Self { encoding: Encoding::Binary, bytes: Vec::new() }
    }

    /// `text` as Latin 1, cut at 63 characters; what Latin 1 lacks becomes `?`.
    ///
    /// Text of one character gets a space after it, because its type/length byte would be C1h.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut bytes = latin1(text, Self::MAX);
        if bytes.is_empty() {
            return Self::empty();
        }
        if bytes.len() == 1 {
            bytes.push(b' ');
        }
        Self { encoding: Encoding::Text, bytes }
    }

    /// `text` in BCD plus, an odd digit followed by a space; `None` when a character is not in it or
    /// it is too long.
    #[must_use]
    pub fn bcd_plus(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.chars().map(bcd_digit).collect::<Option<_>>()?;
        let bytes = digits
            .chunks(2)
            .map(|pair| match *pair {
                [high, low] => high << 4 | low,
                [high, ..] => high << 4 | BCD_SPACE,
                [] => 0,
            })
            .collect();
        Self::new(Encoding::BcdPlus, bytes)
    }

    /// `text` in packed 6-bit ASCII (20h-5Fh); `None` when a character is not in it or it is too long.
    #[must_use]
    pub fn six_bit(text: &str) -> Option<Self> {
        Self::new(Encoding::SixBit, pack_six_bit(text)?)
    }

    /// How the bytes are to be read.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bytes as stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The field as text, in an area of this language code (0 and 25 are English). Binary fields
    /// become hexadecimal digits.
    #[must_use]
    pub fn to_text(&self, language: u8) -> String {
        let english = matches!(language, 0 | 25);
        match self.encoding {
            Encoding::Text if !english => utf16(&self.bytes),
            Encoding::Text => latin1_text(&self.bytes),
            Encoding::BcdPlus => bcd_text(&self.bytes),
            Encoding::SixBit => six_bit_text(&self.bytes),
            Encoding::Binary => self.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// The field at the front, or `None` at the end marker.
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Option<Self>, RecordError> {
        let head = reader.u8()?;
        if head == END {
            return Ok(None);
        }
        let bytes = reader.take(usize::from(head & 0x3f))?.to_vec();
        Ok(Some(Self { encoding: Encoding::of(head), bytes }))
    }

    /// Appends the type/length byte and the bytes.
    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.encoding.bits() | low_byte(self.bytes.len()) & 0x3f);
        out.extend(&self.bytes);
    }

    /// Appends the mark after an area's last field.
    pub(crate) fn emit_end(out: &mut Vec<u8>) {
        out.push(END);
    }
}

/// An SDR's id string: at most 31 bytes on the wire, of which the specification lets a record use 16
/// (IPMI v2.0 §43.15).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdString {
    encoding: Encoding,
    bytes: Vec<u8>,
}

impl IdString {
    /// The most characters a sensor's name has.
    pub const MAX: usize = 16;

    /// `text` in 8-bit ASCII and Latin 1, cut at 16 characters.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { encoding: Encoding::Text, bytes: latin1(text, Self::MAX) }
    }

    /// The name as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self.encoding {
            Encoding::Text => latin1_text(&self.bytes),
            Encoding::BcdPlus => bcd_text(&self.bytes),
            Encoding::SixBit => six_bit_text(&self.bytes),
            Encoding::Binary => utf16(&self.bytes),
        }
    }

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let head = reader.u8()?;
        let bytes = reader.take(usize::from(head & 0x1f))?.to_vec();
        Ok(Self { encoding: Encoding::of(head), bytes })
    }

    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.encoding.bits() | low_byte(self.bytes.len()) & 0x1f);
        out.extend(&self.bytes);
    }
}

const BCD_SPACE: u8 = 0x0a;

/// The low eight bits of a length that is known to be small.
pub(crate) const fn low_byte(length: usize) -> u8 {
    length.to_le_bytes()[0]
}

fn latin1(text: &str, max: usize) -> Vec<u8> {
    text.chars().take(max).map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

fn latin1_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes
        .chunks(2)
        .map(|pair| match *pair {
            [low, high] => u16::from_le_bytes([low, high]),
            [low, ..] => u16::from(low),
            [] => 0,
        })
        .collect();
    String::from_utf16_lossy(&units)
}

const fn bcd_digit(c: char) -> Option<u8> {
    match c {
        '0'..='9' => Some(c as u8 - b'0'),
        ' ' => Some(BCD_SPACE),
        '-' => Some(0x0b),
        '.' => Some(0x0c),
        _ => None,
    }
}

fn bcd_text(bytes: &[u8]) -> String {
    let digit = |value: u8| match value {
        0..=9 => char::from(b'0' + value),
        BCD_SPACE => ' ',
        0x0b => '-',
        0x0c => '.',
        _ => '?',
    };
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

/// Packs characters 20h-5Fh, four in three bytes, the first in the lowest bits.
fn pack_six_bit(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0u16, 0);
    for c in text.chars() {
        let value = u8::try_from(c).ok()?.checked_sub(0x20).filter(|value| *value < 0x40)?;
        bits |= u16::from(value) << held;
        held += 6;
        while held >= 8 {
            bytes.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        bytes.push(bits.to_le_bytes()[0]);
    }
    Some(bytes)
}

fn six_bit_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4 / 3);
    let (mut bits, mut held) = (0u16, 0);
    for byte in bytes {
        bits |= u16::from(*byte) << held;
        held += 8;
        while held >= 6 {
            text.push(char::from(0x20 + (bits & 0x3f).to_le_bytes()[0]));
            bits >>= 6;
            held -= 6;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodings_match_golden_bytes() {
        // The 6-bit example is the specification's own: "IPMI" packs into 29 DC A6 (FRU v1.3 §13.1).
        let cases: [(Field, &[u8], &str); 4] = [
            (Field::text("ACME"), &hex!("c4 41 43 4d 45"), "ACME"),
            (Field::six_bit("IPMI").unwrap(), &hex!("83 29 dc a6"), "IPMI"),
            (Field::bcd_plus("12-3.4").unwrap(), &hex!("43 12 b3 c4"), "12-3.4"),
            (Field::new(Encoding::Binary, vec![0xab, 1]).unwrap(), &hex!("02 ab 01"), "ab01"),
        ];
        for (field, bytes, text) in cases {
            let mut out = Vec::new();
            field.emit(&mut out);
            assert_eq!(out, bytes, "emit {text}");
            let parsed = Field::parse(&mut Reader::new("field", bytes)).unwrap().unwrap();
            assert_eq!(parsed, field, "parse {text}");
            assert_eq!(parsed.to_text(0), text);
        }
    }

    #[test]
    fn single_character_never_reads_as_the_end() {
        assert_eq!(Field::text("x").bytes(), b"x ");
        assert_eq!(Field::new(Encoding::Text, vec![b'x']), None);
        assert_eq!(Field::parse(&mut Reader::new("field", &[0xc1])), Ok(None));
    }

    #[test]
    fn field_cut_short_is_truncated() {
        for cut in 0..5 {
            let bytes = &hex!("c4 41 43 4d 45")[..cut];
            assert!(Field::parse(&mut Reader::new("field", bytes)).is_err(), "{cut}");
        }
    }

    #[test]
    fn names_are_cut_at_sixteen_characters() {
        let name = IdString::new("CPU0 Core Voltage 12");
        assert_eq!(name.to_text(), "CPU0 Core Voltag");
        assert_eq!(IdString::new("Ω°").to_text(), "?°");
    }

    #[test]
    fn other_languages_are_utf16() {
        let field = Field::new(Encoding::Text, vec![0x42, 0x30]).unwrap();
        assert_eq!(field.to_text(9), "あ");
    }

    proptest! {
        #[test]
        fn six_bit_text_survives(text in "[ -_]{0,80}") {
            if let Some(field) = Field::six_bit(&text) {
                let back = field.to_text(0);
                prop_assert_eq!(back.trim_end_matches(' '), text.trim_end_matches(' '));
            } else {
                prop_assert!(text.len() > 84 - 84 / 63);
            }
        }

        #[test]
        fn any_bytes_parse_or_fail_and_emit_again(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(Some(field)) = Field::parse(&mut Reader::new("field", &bytes)) {
                let mut out = Vec::new();
                field.emit(&mut out);
                prop_assert_eq!(&out[..], &bytes[..out.len()]);
                let _ = field.to_text(0);
                let _ = field.to_text(9);
            }
        }
    }
}
