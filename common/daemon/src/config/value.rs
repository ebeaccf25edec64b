//! Values of parsed TOML, read as `toml::from_str` reads them, with the same errors; but a list is neither a table nor
//! longer than what it is read into.
//!
//! Of a table the code that reads a table is needed, of a number the code that reads a number. toml's own
//! [`Deserializer`] has, for each struct of the configuration, the code for all kinds of values, which on a BMC would be
//! 0.27 MB more flash.

use std::fmt;
use std::ops::Range;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, Visitor,
};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// Reads a value from TOML.
///
/// # Errors
///
/// What is not TOML, and what is not such a value.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let root = DeTable::parse(text)?;
    let span = root.span();
    let root = DeValue::Table(root.into_inner());
    T::deserialize(Value(&root)).map_err(|error| error.at(span))
}

/// Why a text is not the value that is read, and where.
#[derive(Debug)]
pub(super) struct Error {
    message: String,
    span: Option<Range<usize>>,
}

impl Error {
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The first byte of what is wrong.
    pub(super) fn offset(&self) -> Option<usize> {
        Some(self.span.as_ref()?.start)
    }

    /// The innermost place counts.
    fn at(mut self, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        self
    }
}

impl From<toml::de::Error> for Error {
    fn from(error: toml::de::Error) -> Self {
        Self { message: error.message().to_owned(), span: error.span() }
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), span: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// A value that is yet to be read.
#[derive(Clone, Copy)]
struct Value<'a>(&'a DeValue<'a>);

impl Value<'_> {
    /// The error for a value of another kind.
    fn unlike(self, expected: &dyn Expected) -> Error {
        let unexpected = match self.0 {
            DeValue::String(text) => Unexpected::Str(text),
            DeValue::Integer(number) => return not_an_integer(number, expected),
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => Unexpected::Float(number),
                Err(_) => Unexpected::Other("floating point number"),
            },
            DeValue::Boolean(value) => Unexpected::Bool(*value),
            DeValue::Datetime(_) => Unexpected::Other("date or time"),
            DeValue::Array(_) => Unexpected::Seq,
            DeValue::Table(_) => Unexpected::Map,
        };
        Error::invalid_type(unexpected, expected)
    }
}

/// The error for a number where none is expected, or none of more than 64 bits.
fn not_an_integer(number: &DeInteger<'_>, expected: &dyn Expected) -> Error {
    match Integer::of(number) {
        Some(Integer::Signed(number)) => Error::invalid_type(Unexpected::Signed(number), expected),
        Some(Integer::Unsigned(number)) => {
            Error::invalid_type(Unexpected::Unsigned(number), expected)
        }
        None => {
            let number = format!("integer `{number}`");
            Error::invalid_value(Unexpected::Other(&number), expected)
        }
    }
}

enum Integer {
    Signed(i64),
    /// Above those that are signed.
    Unsigned(u64),
}

impl Integer {
    /// `None` if it has more than 64 bits.
    fn of(number: &DeInteger<'_>) -> Option<Self> {
        let (digits, radix) = (number.as_str(), number.radix());
        let signed = i64::from_str_radix(digits, radix).map(Self::Signed);
        signed.or_else(|_| u64::from_str_radix(digits, radix).map(Self::Unsigned)).ok()
    }
}

/// Methods that read as another does.
macro_rules! same {
    ($($method:ident = $as:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$as(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Error;

    same! {
        deserialize_i8 = deserialize_i64
        deserialize_i16 = deserialize_i64
        deserialize_i32 = deserialize_i64
        deserialize_i128 = deserialize_i64
        deserialize_u8 = deserialize_i64
        deserialize_u16 = deserialize_i64
        deserialize_u32 = deserialize_i64
        deserialize_u64 = deserialize_i64
        deserialize_u128 = deserialize_i64
        deserialize_f32 = deserialize_f64
        deserialize_char = deserialize_str
        deserialize_string = deserialize_str
        deserialize_identifier = deserialize_str
        deserialize_bytes = deserialize_any
        deserialize_byte_buf = deserialize_any
        deserialize_unit = deserialize_any
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            DeValue::String(_) => self.deserialize_str(visitor),
            DeValue::Integer(_) => self.deserialize_i64(visitor),
            DeValue::Float(_) => self.deserialize_f64(visitor),
            DeValue::Boolean(_) => self.deserialize_bool(visitor),
            DeValue::Datetime(time) => visitor.visit_str(&time.to_string()),
            DeValue::Array(_) => self.deserialize_seq(visitor),
            DeValue::Table(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            _ => Err(self.unlike(&visitor)),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let DeValue::Integer(number) = self.0 else {
            return Err(self.unlike(&visitor));
        };
        match Integer::of(number) {
            Some(Integer::Signed(number)) => visitor.visit_i64(number),
            Some(Integer::Unsigned(number)) => visitor.visit_u64(number),
            None => Err(self.unlike(&visitor)),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let DeValue::Float(number) = self.0 else {
            return self.deserialize_i64(visitor);
        };
        match number.as_str().parse::<f64>() {
            // Infinity is written as such.
            Ok(value)
                if value.is_finite() || !number.as_str().contains(|c: char| c.is_ascii_digit()) =>
            {
                visitor.visit_f64(value)
            }
            _ => Err(Error::custom("floating-point number overflowed")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            DeValue::String(text) => visitor.visit_str(text),
            _ => Err(self.unlike(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        Err(self.unlike(&visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let DeValue::Array(array) = self.0 else {
            return Err(self.unlike(&visitor));
        };
        let mut elements = Elements(array.iter());
        let value = visitor.visit_seq(&mut elements)?;
        match elements.0.len() {
            0 => Ok(value),
            more => {
                let taken = format!("{} elements", array.len() - more);
                Err(Error::invalid_length(array.len(), &taken.as_str()))
            }
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            DeValue::Table(table) => visitor.visit_map(Entries { left: table.iter(), value: None }),
            _ => Err(self.unlike(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    /// A variant is its name, or a table of its name and its content.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            DeValue::String(name) => visitor.visit_enum(text(name)),
            DeValue::Table(table) if table.len() == 1 => {
                let entries = Entries { left: table.iter(), value: None };
                visitor.visit_enum(MapAccessDeserializer::new(entries))
            }
            _ => Err(Error::custom("wanted a name, or a table of one name and its content")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

fn text(text: &str) -> StrDeserializer<'_, Error> {
    text.into_deserializer()
}

struct Elements<'a>(std::slice::Iter<'a, Spanned<DeValue<'a>>>);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(element) = self.0.next() else {
            return Ok(None);
        };
        let read = seed.deserialize(Value(element.get_ref()));
        read.map(Some).map_err(|error| error.at(element.span()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'a> {
    left: toml::map::Iter<'a, Spanned<std::borrow::Cow<'a, str>>, Spanned<DeValue<'a>>>,
    /// Of the key that was read last.
    value: Option<&'a Spanned<DeValue<'a>>>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.left.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let read = seed.deserialize(text(key.get_ref()));
        read.map(Some).map_err(|error| error.at(key.span()))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let value = self.value.take().ok_or_else(|| Error::custom("a value before its key"))?;
        seed.deserialize(Value(value.get_ref())).map_err(|error| error.at(value.span()))
    }
}

#[cfg(test)]
mod tests;
