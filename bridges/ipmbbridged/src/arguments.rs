//! The command line.

use std::path::PathBuf;

use daemon::Arguments;
use daemon::lexopt::{self, Arg, Parser, ValueExt};
use ipmi_proto::ipmb::IpmbAddress;

/// The arguments of `ipmbbridged`.
#[derive(Clone, Debug, Default)]
pub struct IpmbArguments {
    channel: Option<String>,
    device: Option<PathBuf>,
    i2c: Option<PathBuf>,
    slave_mqueue: Option<PathBuf>,
    address: Option<u8>,
}

/// The device of an IPMB.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BusPath {
    /// `/dev/ipmb-N`, or the I2C bus that is written to.
    pub device: PathBuf,
    /// The queue that is read from, where the device is an I2C bus.
    pub slave_mqueue: Option<PathBuf>,
}

impl Arguments for IpmbArguments {
    const USAGE: &str = "  --channel NAME        channel to serve (default: Ipmb)
  --device PATH         the kernel's IPMB device, such as /dev/ipmb-3
  --i2c PATH            in its place: I2C bus to write to, such as /dev/i2c-3,
  --slave-mqueue PATH   and the slave queue in sysfs to read from
  --address N           the BMC's own 8-bit address (default: 0x20)
";

    fn accept(&mut self, arg: &Arg<'_>, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        match arg {
            Arg::Long("channel") => self.channel = Some(parser.value()?.string()?),
            Arg::Long("device") => self.device = Some(parser.value()?.into()),
            Arg::Long("i2c") => self.i2c = Some(parser.value()?.into()),
            Arg::Long("slave-mqueue") => self.slave_mqueue = Some(parser.value()?.into()),
            Arg::Long("address") => self.address = Some(parser.value()?.parse_with(address)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn check(&self) -> Result<(), String> {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if self.channel().is_empty() || !self.channel().bytes().all(letters) {
            return Err(format!("{:?} is not a valid channel name", self.channel()));
        }
        match (&self.device, &self.i2c, &self.slave_mqueue) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => Ok(()),
            (None, None, None) => Err("--device, or --i2c and --slave-mqueue are needed".into()),
            (Some(_), _, _) => Err("--device excludes --i2c and --slave-mqueue".into()),
            _ => Err("--i2c and --slave-mqueue need each other".into()),
        }
    }
}

impl IpmbArguments {
    /// The channel's name.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or("Ipmb")
    }

    /// The BMC's own address.
    #[must_use]
    pub fn address(&self) -> IpmbAddress {
        self.address.map_or(IpmbAddress::BMC, IpmbAddress)
    }

    /// The device of the bus; empty before the arguments are checked.
    #[must_use]
    pub fn bus_path(&self) -> BusPath {
        BusPath {
            device: self.device.clone().or(self.i2c.clone()).unwrap_or_default(),
            slave_mqueue: self.slave_mqueue.clone(),
        }
    }
}

/// An 8-bit slave address, decimal or `0x` hexadecimal.
fn address(text: &str) -> Result<u8, String> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match value {
        Ok(value) if value & 1 == 0 && value != 0 => Ok(value),
        _ => Err("not an even 8-bit address".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_even_and_not_zero() {
        assert_eq!(address("0x20"), Ok(0x20));
        assert_eq!(address("36"), Ok(0x24));
        for text in ["0", "0x21", "256", "x", "", "0x"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bus_is_one_of_the_two_kinds() {
        let some = || Some(PathBuf::from("/dev/x"));
        for (device, i2c, slave_mqueue, good) in [
            (some(), None, None, true),
            (None, some(), some(), true),
            (None, None, None, false),
            (None, some(), None, false),
            (None, None, some(), false),
            (some(), some(), some(), false),
        ] {
            let arguments = IpmbArguments { device, i2c, slave_mqueue, ..IpmbArguments::default() };
            assert_eq!(arguments.check().is_ok(), good, "{arguments:?}");
        }
    }
}
