//! The keys of a configuration, derived from its types.
//!
//! Each key is found by deserializing the type from an input that records what it is asked for. A
//! list of keys that is made this way cannot differ from what the daemon reads.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Visitor,
};

/// A key, or the elements of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key {
    /// From the file's top, as `lan.sessions`; an element of a list is `i2c.allow[]`.
    pub path: String,
    /// The values of the key.
    pub kind: Kind,
}

/// The values of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number, in the words of its error: `a number from 1 to 62`, or `u16`.
    Integer(String),
    /// A number with or without a fraction.
    Float(String),
    /// A text.
    Text,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list; its elements follow under the path with `[]`.
    List,
    /// A table with these keys, which follow.
    Table(&'static [&'static str]),
    /// Values of more than one type.
    Mixed,
}

impl Kind {
    /// The least and the greatest value of a whole number.
    #[must_use]
    pub fn range(&self) -> Option<(i128, i128)> {
        let Self::Integer(expecting) = self else {
            return None;
        };
        let words: Vec<&str> = expecting.split(' ').collect();
        match words[..] {
            ["u8"] => Some((0, u8::MAX.into())),
            ["u16"] => Some((0, u16::MAX.into())),
            ["u32"] => Some((0, u32::MAX.into())),
            [.., "from", least, "to", greatest] => {
                Some((least.parse().ok()?, greatest.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// All keys of `T`, tables before their keys.
#[must_use]
pub fn keys<T: DeserializeOwned>() -> Vec<Key> {
    let mut keys = Vec::new();
    let mut ahead = vec![Vec::new()];
    while let Some(path) = ahead.pop() {
        let found = RefCell::new(None);
        // It always ends in an error: the recorder has no value to give.
        let _end = T::deserialize(Recorder { path: &path, found: &found });
        let Some(kind) = found.into_inner() else {
            continue;
        };
        match &kind {
            Kind::Table(fields) => ahead.extend(fields.iter().rev().map(|field| {
                let step = Step::Field(field);
                path.iter().copied().chain([step]).collect()
            })),
            Kind::List => ahead.push(path.iter().copied().chain([Step::Element]).collect()),
            _ => {}
        }
        if !path.is_empty() {
            keys.push(Key { path: written(&path), kind });
        }
    }
    keys
}

/// A step from a value into it.
#[derive(Clone, Copy)]
enum Step {
    Field(&'static str),
    Element,
}

fn written(path: &[Step]) -> String {
    path.iter().fold(String::new(), |mut text, step| {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Element => text.push_str("[]"),
        }
        text
    })
}

/// An input that leads along `path`, and records what the value at its end is asked for.
struct Recorder<'a> {
    path: &'a [Step],
    found: &'a RefCell<Option<Kind>>,
}

/// The end of a way through a type.
#[derive(Debug)]
struct End;

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the end of the path")
    }
}

impl std::error::Error for End {}

impl de::Error for End {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'a> Recorder<'a> {
    fn record<T>(&self, kind: Kind) -> Result<T, End> {
        *self.found.borrow_mut() = Some(kind);
        Err(End)
    }

    fn integer<'de, V: Visitor<'de>>(&self, visitor: &V) -> Result<V::Value, End> {
        self.record(Kind::Integer(expecting(visitor)))
    }

    fn float<'de, V: Visitor<'de>>(&self, visitor: &V) -> Result<V::Value, End> {
        self.record(Kind::Float(expecting(visitor)))
    }

    /// What follows the first step, and that step.
    fn step(&self) -> Option<(Step, Recorder<'a>)> {
        let (first, path) = self.path.split_first()?;
        Some((*first, Recorder { path, found: self.found }))
    }

    fn list<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, End> {
        match self.step() {
            Some((Step::Element, rest)) => visitor.visit_seq(Only { key: None, value: Some(rest) }),
            Some(_) => Err(End),
            None => self.record(Kind::List),
        }
    }
}

fn expecting(visitor: &dyn Expected) -> String {
    visitor.to_string()
}

/// A map of one key or a list of one element.
struct Only<'a> {
    key: Option<&'static str>,
    value: Option<Recorder<'a>>,
}

impl<'de> MapAccess<'de> for Only<'_> {
    type Error = End;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, End> {
        self.key.take().map(|key| seed.deserialize(StrDeserializer::new(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, End> {
        seed.deserialize(self.value.take().ok_or(End)?)
    }
}

impl<'de> SeqAccess<'de> for Only<'_> {
    type Error = End;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, End> {
        self.value.take().map(|value| seed.deserialize(value)).transpose()
    }
}

/// Methods of [`Deserializer`] that all record the same.
macro_rules! record {
    ($($method:ident)* => $record:ident) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
            self.$record(&visitor)
        }
    )*};
    ($($method:ident)* => $kind:expr) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
            self.record($kind)
        }
    )*};
}

impl<'de> Deserializer<'de> for Recorder<'_> {
    type Error = End;

    record!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 => integer);
    record!(deserialize_f32 deserialize_f64 => float);
    record!(deserialize_bool => Kind::Bool);
    record!(deserialize_char deserialize_str deserialize_string deserialize_identifier
        => Kind::Text);
    record!(deserialize_any deserialize_map deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_ignored_any => Kind::Mixed);

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, End> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, End> {
        self.list(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, End> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, End> {
        self.record(Kind::Mixed)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, End> {
        match self.step() {
            Some((Step::Field(name), rest)) => {
                visitor.visit_map(Only { key: Some(name), value: Some(rest) })
            }
            Some(_) => Err(End),
            None => self.record(Kind::Table(fields)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, End> {
        self.record(Kind::Choice(variants))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Config {
        users: Store,
        lan: Option<Lan>,
        channel: Vec<Channel>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Store {
        #[default]
        OwnFiles,
        Others,
    }

    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Lan {
        #[serde(deserialize_with = "crate::range::number::<-1, 9, _, _>")]
        rate_limit: i8,
        #[serde(deserialize_with = "crate::range::optional::<1, 2, _, _>")]
        wait: Option<u64>,
        bound: bool,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its keys are of interest")]
    struct Channel {
        name: String,
        bytes: [u8; 4],
    }

    #[test]
    fn every_key_is_found_with_what_it_takes() {
        let found = keys::<Config>();
        let paths: Vec<&str> = found.iter().map(|key| key.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "users",
                "lan",
                "lan.rate-limit",
                "lan.wait",
                "lan.bound",
                "channel",
                "channel[]",
                "channel[].name",
                "channel[].bytes",
                "channel[].bytes[]",
            ]
        );
        let kind = |path: &str| &found.iter().find(|key| key.path == path).unwrap().kind;
        assert_eq!(*kind("users"), Kind::Choice(&["own-files", "others"]));
        assert_eq!(kind("lan.rate-limit").range(), Some((-1, 9)));
        assert_eq!(kind("lan.wait").range(), Some((1, 2)));
        assert_eq!(*kind("lan.bound"), Kind::Bool);
        assert_eq!(*kind("channel[].name"), Kind::Text);
        assert_eq!(kind("channel[].bytes[]").range(), Some((0, 255)));
        assert_eq!(*kind("channel"), Kind::List);
    }
}
