//! Values of the configuration that are written as a text or a number and checked when they are read.
//!
//! A conversion after the value was read has no line when the value is an element of a list; here it
//! is made while TOML still knows where the element stands.

use std::fmt;

use serde::de::{self, Deserializer, Unexpected, Visitor};

/// The value that `read` makes of a text. `expecting` names it in errors of type.
///
/// # Errors
///
/// For what is not a text, and for what `read` refuses.
pub fn from_text<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    expecting: &'static str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Text { expecting, read })
}

/// The value that `read` makes of a whole number. `expecting` names it in errors.
///
/// # Errors
///
/// For what is not a number, for a number beyond 64 bits, and for what `read` refuses.
pub fn from_number<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    expecting: &'static str,
    read: impl FnOnce(i64) -> Result<T, String>,
) -> Result<T, D::Error> {
    deserializer.deserialize_i64(Number { expecting, read })
}

struct Text<F> {
    expecting: &'static str,
    read: F,
}

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(E::custom)
    }
}

struct Number<F> {
    expecting: &'static str,
    read: F,
}

impl<T, F: FnOnce(i64) -> Result<T, String>> Visitor<'_> for Number<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        (self.read)(number).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{Validate, parse_toml};

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Lists {
        names: Vec<Upper>,
        numbers: Vec<Even>,
    }

    impl Validate for Lists {}

    #[derive(Debug)]
    struct Upper;

    impl<'de> Deserialize<'de> for Upper {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            from_text(deserializer, "capitals", |text| match text {
                "A" => Ok(Self),
                _ => Err(format!("{text} is no capital")),
            })
        }
    }

    #[derive(Debug)]
    struct Even;

    impl<'de> Deserialize<'de> for Even {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            from_number(deserializer, "an even number", |number| match number % 2 {
                0 => Ok(Self),
                _ => Err(format!("{number} is odd")),
            })
        }
    }

    #[test]
    fn the_line_is_that_of_the_element() {
        assert!(parse_toml::<Lists>("x.toml", "names = [\"A\"]\nnumbers = [2]").is_ok());
        for (text, expected) in [
            ("names = [\n\"A\",\n\"b\"]", "x.toml:3: b is no capital"),
            ("names = [\n1]", "x.toml:2: invalid type: integer `1`, expected capitals"),
            ("numbers = [\n2,\n3]", "x.toml:3: 3 is odd"),
            (
                "numbers = [\n18446744073709551615]",
                "x.toml:2: invalid value: integer `18446744073709551615`, expected an even number",
            ),
        ] {
            let error = parse_toml::<Lists>("x.toml", text).unwrap_err().to_string();
            assert_eq!(error, expected);
        }
    }
}
