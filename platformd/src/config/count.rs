//! How many there are of a sensor or a part.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::de::DeTable;

use super::{Error, content};

/// The most sensors, and the most parts, of a platform; a large server has a tenth.
const MOST: u32 = 10_000;

/// A number from 0 to [`MOST`]; 1 unless given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Count(u32);

impl Count {
    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

impl Default for Count {
    fn default() -> Self {
        Self(1)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor).map(Self)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a count from 0 to {MOST}")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u32, E> {
        let count = u32::try_from(number).ok().filter(|&count| count <= MOST);
        count.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u32, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }
}

/// Refuses more than [`MOST`] in all of the tables `[[kind]]` of the file `name`.
pub(super) fn check_all(
    kind: &str,
    counts: impl Iterator<Item = Count>,
    name: &str,
    text: &str,
) -> Result<(), Error> {
    let mut sum = 0_u64;
    for (index, count) in counts.enumerate() {
        sum += u64::from(count.0);
        if sum > u64::from(MOST) {
            let message = format!("more than {MOST} in all of [[{kind}]]");
            return Err(content(name, text, start_of(kind, index, text), message));
        }
    }
    Ok(())
}

/// Where the table `index` of `[[kind]]` begins.
fn start_of(kind: &str, index: usize, text: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let tables = table.get_ref().get(kind)?.get_ref().as_array()?;
    Some(tables.get(index)?.span().start)
}

#[cfg(test)]
mod tests {
    use super::super::Platform;

    fn error(text: &str) -> String {
        Platform::parse("x.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn counts_have_a_range_and_so_has_their_sum() {
        for table in [
            "[[sensor]]\nkind = \"voltage\"\nname = \"a{n}\"\n",
            "[[inventory]]\nkind = \"fan\"\npath = \"a{n}\"\n",
        ] {
            for count in ["0", "1", "10000"] {
                Platform::parse("x.toml", &format!("{table}count = {count}\n")).unwrap();
            }
            for count in
                ["10001", "60000", "4294967295", "9223372036854775807", "-1", "1.5", "\"1\""]
            {
                let error = error(&format!("{table}count = {count}\n"));
                assert!(error.starts_with("x.toml:4: ") && error.contains("0 to 10000"), "{error}");
            }
            let error = error(&format!("{table}count = 9999\n{table}\n{table}\n"));
            assert!(error.starts_with("x.toml:9: ") && error.contains("10000"), "{error}");
        }
    }
}
