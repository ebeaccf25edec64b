//! The data of IPMI requests and responses, by a table of their fields (`messages.txt`).

use super::layer::Layer;
use crate::{hex, time};

const MESSAGES: &str = include_str!("messages.txt");

/// The fields of a request's or response's data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    reference: &'static str,
    fields: &'static str,
}

/// Whose data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Request,
    Response,
}

impl Message {
    /// The fields of a command's data; `None` for one that the table does not have.
    pub(super) fn find(netfn: u8, command: u8, side: Side) -> Option<Self> {
        let sign = if side == Side::Request { '>' } else { '<' };
        let wanted = format!("{netfn:02x} {command:02x} {sign} ");
        let line = MESSAGES.lines().find_map(|line| line.strip_prefix(wanted.as_str()))?;
        let (reference, fields) = line.split_once(" | ")?;
        Some(Self { reference, fields })
    }

    /// Where they are specified.
    pub(super) fn reference(self) -> String {
        format!("IPMI v2.0 {}", self.reference)
    }

    /// Adds the fields of `data` to `layer`; what is missing or left over is a field too.
    pub(super) fn decode(self, data: &[u8], mut layer: Layer) -> Layer {
        let mut bits = Bits { data, at: 0 };
        let mut optional = false;
        for text in self.fields.split(" | ") {
            if text == "?" {
                optional = true;
                continue;
            }
            let Some(field) = Field::parse(text) else { continue };
            if bits.left() == 0 && (optional || field.width == Width::Rest) {
                break;
            }
            match field.take(&mut bits) {
                Some(_) if field.name == "-" => {}
                Some(value) => layer = layer.with(field.name, value),
                None => {
                    return layer.with("Missing", format!("the data end before {}", field.name));
                }
            }
        }
        layer.bytes("Left over", bits.rest())
    }
}

/// One field of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Field<'a> {
    name: &'a str,
    width: Width,
    form: &'a str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Width {
    Bits(usize),
    Bytes(usize),
    Rest,
}

impl<'a> Field<'a> {
    /// `NAME:WIDTH` or `NAME:WIDTH:FORM`. A name may have colons.
    fn parse(text: &'a str) -> Option<Self> {
        let width = |text: &str| match text.strip_suffix('b') {
            Some("*") => Some(Width::Rest),
            Some(bytes) => bytes.parse().ok().map(Width::Bytes),
            None => text.parse().ok().map(Width::Bits),
        };
        let (rest, last) = text.rsplit_once(':')?;
        if let Some(width) = width(last) {
            return Some(Self { name: rest, width, form: "" });
        }
        let (head, form) = match text.split_once(":(") {
            Some((head, form)) => (head, form.strip_suffix(')')?),
            None => (rest, last),
        };
        let (name, last) = head.rsplit_once(':')?;
        Some(Self { name, width: width(last)?, form })
    }

    /// Its value; `None` where the data end before.
    fn take(&self, bits: &mut Bits<'_>) -> Option<String> {
        match self.width {
            Width::Bits(count) => Some(self.number(count, bits.take(count)?)),
            Width::Bytes(count) => Some(self.text(bits.take_bytes(count)?)),
            Width::Rest => Some(self.text(bits.take_bytes(bits.left() / 8)?)),
        }
    }

    fn text(&self, bytes: &[u8]) -> String {
        match self.form {
            "secret" => "(not shown)".to_owned(),
            "text" => {
                let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                format!("\"{}\"", text.escape_ascii())
            }
            _ => hex::spaced(bytes),
        }
    }

    fn number(&self, width: usize, value: u64) -> String {
        let digits = width.div_ceil(4);
        let plain = format!("{value:0digits$X}h");
        match self.form {
            "dec" => value.to_string(),
            "bcd" => format!("{value:x}"),
            "time" => u32::try_from(value).map_or(plain, time::record),
            "privilege" => {
                let level = u8::try_from(value).ok().and_then(ipmi_proto::Privilege::new);
                match (level, value) {
                    (Some(level), _) => hex::privilege(level).to_owned(),
                    (None, 0x0f) => "no access".to_owned(),
                    (None, _) => plain,
                }
            }
            "" if width == 1 => (if value == 0 { "no" } else { "yes" }).to_owned(),
            "" => plain,
            list => match meaning(list, value) {
                Some(meaning) => format!("{plain} {meaning}"),
                None => plain,
            },
        }
    }
}

/// What a list of the table, such as `0 none, 0x55 passed`, says of a value.
fn meaning(list: &str, value: u64) -> Option<&str> {
    list.split(", ").find_map(|entry| {
        let (number, meaning) = entry.split_once(' ')?;
        let number = match number.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => number.parse(),
        };
        (number == Ok(value)).then_some(meaning)
    })
}

/// Data, read from the least significant bit of the first byte on.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    /// Bits that are left.
    const fn left(&self) -> usize {
        self.data.len() * 8 - self.at
    }

    /// The next `count` bits, at most 64.
    fn take(&mut self, count: usize) -> Option<u64> {
        if count > self.left() || count > 64 {
            return None;
        }
        let bit =
            |at: usize| self.data.get(at / 8).map_or(0, |byte| u64::from(byte >> (at % 8) & 1));
        let value = (0..count).fold(0, |value, index| value | bit(self.at + index) << index);
        self.at += count;
        Some(value)
    }

    /// The next `count` bytes, at a byte's boundary.
    fn take_bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let start = self.at.div_ceil(8);
        let bytes = self.data.get(start..start.checked_add(count)?)?;
        self.at = (start + count) * 8;
        Some(bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        self.take_bytes(self.left() / 8).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> impl Iterator<Item = &'static str> {
        MESSAGES.lines().filter(|line| !line.starts_with('#'))
    }

    #[test]
    fn every_line_is_a_command_a_place_and_fields_that_end_at_a_byte() {
        for line in lines() {
            let (head, fields) = line.split_once(" | ").expect(line);
            let (command, reference) = head.split_once(" §").expect(line);
            assert!(command.len() == 7 && reference.contains('.'), "{line}");
            let mut bits = 0;
            for text in fields.split(" | ").filter(|text| *text != "?") {
                let field = Field::parse(text).unwrap_or_else(|| panic!("{text:?} of {line}"));
                match field.width {
                    Width::Bits(count) => bits += count,
                    Width::Bytes(_) | Width::Rest => assert_eq!(bits % 8, 0, "{text} of {line}"),
                }
                let forms = ["", "dec", "bcd", "text", "secret", "time", "privilege"];
                assert!(
                    forms.contains(&field.form) || field.form.contains(' '),
                    "{text} of {line}"
                );
            }
            assert_eq!(bits % 8, 0, "{line}");
        }
    }

    #[test]
    fn no_command_is_twice_in_the_table() {
        let mut heads: Vec<_> = lines().map(|line| &line[..7]).collect();
        let all = heads.len();
        heads.sort_unstable();
        heads.dedup();
        assert_eq!(heads.len(), all);
    }

    #[test]
    fn fields_are_taken_from_the_least_significant_bit_on() {
        let mut bits = Bits { data: &[0x51, 0xcf, 0xc2, 0x00], at: 0 };
        assert_eq!((bits.take(4), bits.take(4)), (Some(1), Some(5)));
        assert_eq!((bits.take(20), bits.left()), (Some(49871), 4));
        assert_eq!((bits.take(5), bits.rest()), (None, &[][..]));
    }

    #[test]
    fn data_of_any_length_are_decoded_without_a_panic() {
        let data = [0xa5; 80];
        for line in lines() {
            let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
            let side = if line.contains(" > ") { Side::Request } else { Side::Response };
            let message = Message::find(byte(0), byte(3), side).expect(line);
            for length in 0..data.len() {
                let layer = message.decode(&data[..length], Layer::new("", message.reference()));
                assert!(length == 0 || !layer.fields.is_empty(), "{line}");
            }
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let request = Message::find(0x06, 0x47, Side::Request).unwrap();
        let data = [&[0x02, 0x02][..], b"opensesame"].concat();
        let layer = request.decode(&data, Layer::new("", request.reference()));
        let last = layer.fields.last().unwrap();
        assert_eq!((last.name.as_str(), last.value.as_str()), ("Password", "(not shown)"));
    }
}
