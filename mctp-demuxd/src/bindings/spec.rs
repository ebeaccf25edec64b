//! A binding as it is written: `kind:what[,key=value]...`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// One binding, in its parts. What they mean is up to the kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spec {
    kind: String,
    what: String,
    options: Vec<(String, String)>,
}

/// What a binding is made of; each option is taken once.
#[derive(Clone, Debug)]
pub struct Options {
    what: String,
    options: Vec<(String, String)>,
}

impl Spec {
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    pub(super) fn options(&self) -> Options {
        Options { what: self.what.clone(), options: self.options.clone() }
    }
}

impl Options {
    /// What stands after the colon.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The same, as a path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(&self.what)
    }

    /// Takes an option.
    pub fn take(&mut self, wanted: &str) -> Option<String> {
        let at = self.options.iter().position(|(key, _)| key == wanted)?;
        Some(self.options.swap_remove(at).1)
    }

    /// Checks that no option is left.
    ///
    /// # Errors
    ///
    /// The name of one that is.
    pub fn finish(&self) -> Result<(), String> {
        match self.options.first() {
            Some((key, _)) => Err(format!("no option {key} here")),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.what)
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        daemon::element::from_text(deserializer, "a binding", str::parse)
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("binding {text:?}: {why}");
        let (kind, rest) = text.split_once(':').ok_or_else(|| wrong("no kind before a colon"))?;
        let mut parts = rest.split(',');
        let what = parts.next().filter(|what| !what.is_empty());
        let what = what.ok_or_else(|| wrong("nothing after the colon"))?;
        let mut options = Vec::new();
        for part in parts {
            let (key, value) =
                part.split_once('=').ok_or_else(|| wrong("an option without `=`"))?;
            options.push((key.to_owned(), value.to_owned()));
        }
        let spec = Self { kind: kind.to_owned(), what: what.to_owned(), options };
        spec.open().map_err(|why| wrong(&why))?;
        Ok(spec)
    }
}

/// A number from 0 to 255, decimal or with `0x`.
///
/// # Errors
///
/// The text, as part of a line.
pub fn number(text: &str) -> Result<u8, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text:?} is no number from 0 to 255"))
}

#[cfg(test)]
mod tests {
    use mctp_proto::Medium;

    use super::super::link_kind;
    use super::*;
    use crate::demux::LinkKind;

    #[test]
    fn bindings_are_read() {
        for (text, medium, devices) in [
            ("serial:/dev/x", Some(Medium::Serial), &["/dev/x"][..]),
            ("serial:/dev/x,baud=115200", Some(Medium::Serial), &["/dev/x"]),
            ("i2c:/dev/x,address=0x10,slave-mqueue=/sys/q", Some(Medium::Smbus), &["/sys/q"]),
            ("pcie:/dev/x", Some(Medium::PcieVdm), &["/dev/x"]),
            ("kernel:1", None, &["kernel:1"]),
        ] {
            let spec: Spec = text.parse().unwrap();
            let binding = spec.open().unwrap();
            let devices: Vec<PathBuf> = devices.iter().map(PathBuf::from).collect();
            assert_eq!((binding.medium(), binding.devices()), (medium, devices), "{text}");
            assert!(text.starts_with(&spec.to_string()));
        }
    }

    #[test]
    fn mistakes_name_the_binding() {
        for text in [
            "serial",
            "serial:",
            "serial:/dev/x,baud",
            "serial:/dev/x,baud=fast",
            "serial:/dev/x,speed=1",
            "serial:/dev/x,baud=1,baud=2",
            "i2c:/dev/x",
            "i2c:/dev/x,address=0x80,slave-mqueue=/q",
            "i2c:/dev/x,address=0x10",
            "kernel:eth0",
            "usb:/dev/x",
        ] {
            let error = text.parse::<Spec>().unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn packets_have_to_fit_every_endpoint_and_the_medium() {
        let kind = |text: &str, mtu| {
            let spec: Spec = text.parse().unwrap();
            link_kind(&*spec.open().unwrap(), mtu)
        };
        assert_eq!(kind("serial:/dev/x", None), Ok(LinkKind::Packets(Medium::Serial, 64)));
        assert!(kind("serial:/dev/x", Some(251)).is_ok());
        assert!(kind("serial:/dev/x", Some(252)).is_err() && kind("serial:/x", Some(63)).is_err());
        let i2c = "i2c:/dev/x,address=1,slave-mqueue=/q";
        assert!(kind(i2c, Some(250)).is_ok() && kind(i2c, Some(251)).is_err());
    }
}
