use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Sample {
    text: String,
    letter: Option<char>,
    small: u8,
    large: u64,
    negative: i32,
    fraction: f64,
    is_set: bool,
    numbers: Vec<i16>,
    pair: (u8, String),
    named: BTreeMap<String, i64>,
    nested: Vec<Inner>,
    kind: Kind,
    either: Option<Either>,
    newtype: Newtype,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Inner {
    name: String,
    #[serde(default)]
    list: Vec<Vec<u8>>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Plain,
    Wrapped(u8),
    Full {
        first: u8,
    },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Either {
    Number(i64),
    Text(String),
}

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Newtype(u16);

/// What is read, or the error's message and place, here and by toml.
fn both<T: DeserializeOwned>(text: &str) -> [Result<T, (String, Option<usize>)>; 2] {
    let here = read(text).map_err(|error| (error.message().to_owned(), error.offset()));
    let toml = toml::from_str(text)
        .map_err(|error| (error.message().to_owned(), error.span().map(|span| span.start)));
    [here, toml]
}

const KEYS: &[&str] = &[
    "text", "letter", "small", "large", "negative", "fraction", "is-set", "numbers", "named",
    "nested", "either", "newtype", "unknown",
];
const VALUES: &[&str] = &[
    "\"\"",
    "\"a\"",
    "'several'",
    "\"plain\"",
    "\"wrapped\"",
    "0",
    "255",
    "256",
    "-1",
    "0x7f",
    "0b11",
    "9223372036854775808",
    "18446744073709551615",
    "1.5",
    "-0.0",
    "1e3",
    "inf",
    "nan",
    "true",
    "false",
    "[]",
    "[1, 2]",
    "[1, \"a\"]",
    "[300, 70000]",
    "{}",
    "{ a = 1, b = -2 }",
    "{ a = \"b\" }",
    "[{ name = \"n\" }]",
    "[{ name = \"n\", list = [[1], []] }]",
    "[{ list = [] }]",
    "[{ name = \"n\" }, { name = 1 }]",
    "{ wrapped = 7 }",
    "{ wrapped = 700 }",
    "{ full = { first = 1 } }",
    "{ full = { first = 256 } }",
    "{ plain = {} }",
    "\n[1,\n2,\n'x']",
];

proptest! {
    #[test]
    fn values_and_errors_are_those_of_toml(
        chosen in prop::collection::vec((prop::sample::select(KEYS), prop::sample::select(VALUES)), 0..6),
    ) {
        let text: String = chosen.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let [here, toml] = both::<Sample>(&text);
        match (&here, &toml) {
            // "Not a number" is unlike itself.
            (Ok(here), Ok(toml)) => prop_assert_eq!(format!("{here:?}"), format!("{toml:?}")),
            _ => prop_assert_eq!(here, toml, "{}", text),
        }
        let [here, toml] = both::<toml::Table>(&text);
        prop_assert_eq!(format!("{here:?}"), format!("{toml:?}"));
    }

    #[test]
    fn foreign_text_is_read_as_toml_reads_it(text in "[ -~\n]{0,60}") {
        let [here, toml] = both::<toml::Table>(&text);
        prop_assert_eq!(format!("{here:?}"), format!("{toml:?}"));
    }
}

#[test]
fn a_variant_is_a_name_or_a_table_with_its_content() {
    for text in ["'plain'", "{ wrapped = 7 }", "{ full = { first = 1 } }"] {
        let [here, toml] = both::<Sample>(&format!("kind = {text}"));
        assert!(here.is_ok() && here == toml, "{here:?}");
    }
    for text in
        ["'other'", "'wrapped'", "0", "[]", "{}", "{ wrapped = 700 }", "{ full = { first = 256 } }"]
    {
        let [here, toml] = both::<Sample>(&format!("kind = {text}"));
        let (here, toml) = (here.unwrap_err(), toml.unwrap_err());
        assert_eq!(here.1, toml.1, "{here:?}");
    }
    let [here, _] = both::<Sample>("kind = { wrapped = 7, plain = {} }");
    assert!(here.is_err());
}

#[test]
fn a_list_is_no_table() {
    let [here, toml] = both::<Sample>("nested = [['a', []]]");
    assert_eq!(here, Err(("invalid type: sequence, expected struct Inner".into(), Some(10))));
    assert!(toml.is_ok(), "what this reader is stricter in");
}

#[test]
fn a_list_with_too_many_elements_is_refused() {
    let [here, _] = both::<Sample>("pair = [1, \"a\", 2]");
    assert_eq!(here, Err(("invalid length 3, expected 2 elements".into(), Some(7))));
}

#[test]
fn numbers_of_more_than_64_bits_are_refused() {
    for (text, number) in [
        ("small = 18446744073709551616", "18446744073709551616"),
        ("small = 0x1_0000_0000_0000_0000", "0x10000000000000000"),
    ] {
        let [here, _] = both::<Sample>(text);
        let message = format!("invalid value: integer `{number}`, expected u8");
        assert_eq!(here, Err((message, Some(8))));
    }
    let [here, toml] = both::<Sample>("fraction = 1e999");
    assert!(here.is_err() && here == toml, "{here:?}");
}
