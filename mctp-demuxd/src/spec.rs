//! A binding as it is written: `kind:what[,key=value]...`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use mctp_proto::framing::{pcie_vdm, serial, smbus};
use mctp_proto::packet::Header;
use mctp_proto::{BASELINE_MTU, Medium};
use serde::{Deserialize, Deserializer};

use crate::demux::LinkKind;

/// One binding and how to reach its device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Spec {
    /// A UART or a pty.
    Serial {
        /// The line.
        path: PathBuf,
        /// Bits per second; left as it is when not given.
        baud: Option<u32>,
    },
    /// An I2C bus with a master and a slave side.
    I2c {
        /// The bus, for transfers to others.
        path: PathBuf,
        /// This endpoint's own 7-bit address.
        address: u8,
        /// Where the kernel queues what others write to that address.
        slave_mqueue: PathBuf,
    },
    /// A character device that carries whole vendor defined messages.
    Pcie {
        /// The device.
        path: PathBuf,
    },
    /// The kernel's own stack.
    Kernel {
        /// The kernel's number of the network; 0 for its default one.
        network: u32,
    },
}

impl Spec {
    /// What the demultiplexer is to know of the link.
    ///
    /// # Errors
    ///
    /// For packets smaller than every endpoint takes, or larger than the medium can carry.
    pub fn link_kind(&self, mtu: Option<usize>) -> Result<LinkKind, String> {
        let mtu = mtu.unwrap_or(BASELINE_MTU);
        let (medium, most) = match self {
            Self::Serial { .. } => (Medium::Serial, serial::MAX_PACKET - Header::LEN),
            Self::I2c { .. } => (Medium::Smbus, smbus::MAX_PACKET - Header::LEN),
            Self::Pcie { .. } => (Medium::PcieVdm, pcie_vdm::MAX_PAYLOAD),
            Self::Kernel { .. } => return Ok(LinkKind::Kernel),
        };
        if (BASELINE_MTU..=most).contains(&mtu) {
            Ok(LinkKind::Packets(medium, mtu))
        } else {
            Err(format!(
                "{self}: packets of {mtu} bytes, where {BASELINE_MTU} to {most} are possible"
            ))
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, .. } => write!(f, "serial:{}", path.display()),
            Self::I2c { path, .. } => write!(f, "i2c:{}", path.display()),
            Self::Pcie { path } => write!(f, "pcie:{}", path.display()),
            Self::Kernel { network } => write!(f, "kernel:{network}"),
        }
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
        let wrong = |what: &str| format!("binding {text:?}: {what}");
        let (kind, rest) = text.split_once(':').ok_or_else(|| wrong("no kind before a colon"))?;
        let mut parts = rest.split(',');
        let what = parts.next().filter(|what| !what.is_empty());
        let what = what.ok_or_else(|| wrong("nothing after the colon"))?;
        let mut keys = Vec::new();
        for part in parts {
            keys.push(part.split_once('=').ok_or_else(|| wrong("an option without `=`"))?);
        }
        let mut take = |wanted: &str| {
            let at = keys.iter().position(|(key, _)| *key == wanted)?;
            Some(keys.swap_remove(at).1)
        };
        let path = PathBuf::from(what);
        let spec = match kind {
            "serial" => {
                let baud = take("baud").map(str::parse).transpose();
                Self::Serial { path, baud: baud.map_err(|_| wrong("baud is no number"))? }
            }
            "i2c" => {
                let address = take("address").ok_or_else(|| wrong("no address"))?;
                let address = number(address).ok().filter(|address| *address < 0x80);
                let queue = take("slave-mqueue").ok_or_else(|| wrong("no slave-mqueue"))?;
                Self::I2c {
                    path,
                    address: address.ok_or_else(|| wrong("address is not from 0 to 0x7f"))?,
                    slave_mqueue: queue.into(),
                }
            }
            "pcie" => Self::Pcie { path },
            "kernel" => {
                let network = what.parse().map_err(|_| wrong("the network is no number"))?;
                Self::Kernel { network }
            }
            _ => return Err(wrong("the kind is none of serial, i2c, pcie, kernel")),
        };
        match keys.first() {
            Some((key, _)) => Err(wrong(&format!("no option {key} here"))),
            None => Ok(spec),
        }
    }
}

/// A number from 0 to 255, decimal or with `0x`.
pub(crate) fn number(text: &str) -> Result<u8, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text:?} is no number from 0 to 255"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_read() {
        let read = |text: &str| text.parse::<Spec>().unwrap();
        let path = || PathBuf::from("/dev/x");
        assert_eq!(read("serial:/dev/x"), Spec::Serial { path: path(), baud: None });
        let fast = Spec::Serial { path: path(), baud: Some(115_200) };
        assert_eq!(read("serial:/dev/x,baud=115200"), fast);
        let i2c = Spec::I2c { path: path(), address: 0x10, slave_mqueue: "/sys/q".into() };
        assert_eq!(read("i2c:/dev/x,address=0x10,slave-mqueue=/sys/q"), i2c);
        assert_eq!(read("pcie:/dev/x"), Spec::Pcie { path: path() });
        assert_eq!(read("kernel:1"), Spec::Kernel { network: 1 });
    }

    #[test]
    fn mistakes_name_the_binding() {
        for text in [
            "serial",
            "serial:",
            "serial:/dev/x,baud",
            "serial:/dev/x,baud=fast",
            "serial:/dev/x,speed=1",
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
        let serial: Spec = "serial:/dev/x".parse().unwrap();
        assert_eq!(serial.link_kind(None), Ok(LinkKind::Packets(Medium::Serial, 64)));
        assert!(serial.link_kind(Some(251)).is_ok());
        assert!(serial.link_kind(Some(252)).is_err() && serial.link_kind(Some(63)).is_err());
        let i2c: Spec = "i2c:/dev/x,address=1,slave-mqueue=/q".parse().unwrap();
        assert!(i2c.link_kind(Some(250)).is_ok() && i2c.link_kind(Some(251)).is_err());
    }
}
