//! Numbers of the configuration that have a least and a greatest value.
//!
//! A field is bounded where it is declared:
//!
//! ```
//! #[derive(serde::Deserialize)]
//! struct Lan {
//!     #[serde(deserialize_with = "daemon::range::number::<1, 62, _, _>")]
//!     sessions: usize,
//! }
//! ```
//!
//! The error is one of deserialization, so it has the line of the value, and the schema
//! ([`schema`](crate::schema)) knows the range.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected, Visitor};

/// A whole number from `MIN` to `MAX`.
///
/// # Errors
///
/// What is not a number, and a number outside.
pub fn number<'de, const MIN: i64, const MAX: i64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<i64>,
    D: Deserializer<'de>,
{
    Number::<MIN, MAX, T>::deserialize(deserializer).map(|number| number.0)
}

/// As [`number`], for an optional key, which also needs `#[serde(default)]`.
///
/// # Errors
///
/// As [`number`].
pub fn optional<'de, const MIN: i64, const MAX: i64, T, D>(
    deserializer: D,
) -> Result<Option<T>, D::Error>
where
    T: TryFrom<i64>,
    D: Deserializer<'de>,
{
    let number = Option::<Number<MIN, MAX, T>>::deserialize(deserializer)?;
    Ok(number.map(|number| number.0))
}

/// A fraction from `MIN` to `MAX`: neither infinite nor "not a number".
///
/// # Errors
///
/// What is not a number, and a number outside.
pub fn fraction<'de, const MIN: i64, const MAX: i64, D>(deserializer: D) -> Result<f64, D::Error>
where
    D: Deserializer<'de>,
{
    Fraction::<MIN, MAX>::deserialize(deserializer).map(|fraction| fraction.0)
}

/// As [`fraction`], for an optional key, which also needs `#[serde(default)]`.
///
/// # Errors
///
/// As [`fraction`].
pub fn optional_fraction<'de, const MIN: i64, const MAX: i64, D>(
    deserializer: D,
) -> Result<Option<f64>, D::Error>
where
    D: Deserializer<'de>,
{
    let fraction = Option::<Fraction<MIN, MAX>>::deserialize(deserializer)?;
    Ok(fraction.map(|fraction| fraction.0))
}

struct Number<const MIN: i64, const MAX: i64, T>(T);

impl<'de, const MIN: i64, const MAX: i64, T: TryFrom<i64>> Deserialize<'de>
    for Number<MIN, MAX, T>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(NumberVisitor::<MIN, MAX, T>(PhantomData)).map(Self)
    }
}

struct NumberVisitor<const MIN: i64, const MAX: i64, T>(PhantomData<T>);

impl<const MIN: i64, const MAX: i64, T: TryFrom<i64>> Visitor<'_> for NumberVisitor<MIN, MAX, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number from {MIN} to {MAX}")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        let outside = E::invalid_value(Unexpected::Signed(value), &self);
        let inside = Some(value).filter(|value| (MIN..=MAX).contains(value));
        inside.and_then(|value| T::try_from(value).ok()).ok_or(outside)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<T, E> {
        Err(E::invalid_value(Unexpected::Other(&format!("integer `{value}`")), &self))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<T, E> {
        Err(E::invalid_value(Unexpected::Other(&format!("integer `{value}`")), &self))
    }
}

struct Fraction<const MIN: i64, const MAX: i64>(f64);

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Fraction<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(FractionVisitor::<MIN, MAX>).map(Self)
    }
}

struct FractionVisitor<const MIN: i64, const MAX: i64>;

impl<const MIN: i64, const MAX: i64> Visitor<'_> for FractionVisitor<MIN, MAX> {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number from {MIN} to {MAX}")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
        if (MIN as f64..=MAX as f64).contains(&value) {
            Ok(value)
        } else {
            Err(E::invalid_value(Unexpected::Float(value), &self))
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
        if (MIN..=MAX).contains(&value) {
            Ok(value as f64)
        } else {
            Err(E::invalid_value(Unexpected::Signed(value), &self))
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
        Err(E::invalid_value(Unexpected::Unsigned(value), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(default)]
    struct Bounded {
        #[serde(deserialize_with = "number::<1, 62, _, _>")]
        sessions: u8,
        #[serde(deserialize_with = "optional::<-4, 1000000, _, _>")]
        offset: Option<i32>,
        #[serde(deserialize_with = "fraction::<-10, 10, _>")]
        value: f64,
    }

    impl Default for Bounded {
        fn default() -> Self {
            Self { sessions: 5, offset: None, value: 0.5 }
        }
    }

    fn read(text: &str) -> Result<Bounded, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn values_inside_are_taken() {
        let bounded = read("sessions = 62\noffset = -4\nvalue = -10").unwrap();
        assert_eq!((bounded.sessions, bounded.offset), (62, Some(-4)));
        assert!((bounded.value + 10.0).abs() < 1e-9);
        let bounded = read("").unwrap();
        assert_eq!((bounded.sessions, bounded.offset), (5, None));
    }

    #[test]
    fn values_outside_are_refused_with_the_range() {
        for (key, values, range) in [
            ("sessions", &["0", "63", "-1", "256", "18446744073709551615"][..], "1 to 62"),
            ("sessions", &["340282366920938463463374607431768211455"], ""),
            ("offset", &["-5", "1000001", "9223372036854775807"], "-4 to 1000000"),
            ("value", &["10.01", "11", "nan", "inf", "-inf", "18446744073709551615"], "-10 to 10"),
        ] {
            for value in values {
                let error = read(&format!("{key} = {value}")).unwrap_err();
                assert!(error.contains(range), "{key} = {value}: {error}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_a_type_error() {
        let error = read("sessions = \"5\"").unwrap_err();
        assert_eq!(error, "invalid type: string \"5\", expected a number from 1 to 62");
    }
}
