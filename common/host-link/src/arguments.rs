//! The command line of a host bridge.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use daemon::Arguments;
use daemon::lexopt::{self, Arg, Parser, ValueExt};

/// The arguments of `kcsbridged`, `btbridged` and `ssifbridged`.
#[derive(Clone, Debug, Default)]
pub struct HostArguments {
    channel: Option<String>,
    device: Option<PathBuf>,
    qemu: Option<QemuAddress>,
}

/// The transport to the host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// Behind a character device.
    Device(PathBuf),
    /// In a QEMU that connects to this address.
    Qemu(QemuAddress),
}

/// The address to listen at for QEMU.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum QemuAddress {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

impl Arguments for HostArguments {
    const USAGE: &str =
        "  --channel NAME        channel to serve (default: the device's name, - as _)
  --device PATH         character device of the host interface
  --qemu unix:PATH      or tcp:ADDR:PORT: listen there for QEMU's ipmi-bmc-extern
";

    fn accept(&mut self, arg: &Arg<'_>, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        match arg {
            Arg::Long("channel") => self.channel = Some(parser.value()?.string()?),
            Arg::Long("device") => self.device = Some(parser.value()?.into()),
            Arg::Long("qemu") => self.qemu = Some(parser.value()?.parse_with(QemuAddress::parse)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn check(&self) -> Result<(), String> {
        match (&self.device, &self.qemu) {
            (None, None) => Err("one of --device and --qemu is needed".into()),
            (Some(_), Some(_)) => Err("--device and --qemu exclude each other".into()),
            (None, Some(_)) if self.channel.is_none() => Err("--qemu needs --channel".into()),
            _ if is_bus_name_element(&self.channel()) => Ok(()),
            _ => Err(format!("{:?} is not a valid channel name", self.channel())),
        }
    }
}

impl HostArguments {
    /// The channel's name: as given, or derived from the device's.
    #[must_use]
    pub fn channel(&self) -> String {
        self.channel.clone().unwrap_or_else(|| {
            let device = self.device.as_deref().and_then(Path::file_name);
            device.map_or_else(String::new, |name| name.to_string_lossy().replace('-', "_"))
        })
    }

    /// The transport to the host; `None` before the arguments are checked.
    #[must_use]
    pub fn host(&self) -> Option<Host> {
        let device = self.device.clone().map(Host::Device);
        device.or_else(|| self.qemu.clone().map(Host::Qemu))
    }
}

impl QemuAddress {
    /// Reads `unix:PATH` or `tcp:ADDR:PORT`.
    ///
    /// # Errors
    ///
    /// A text that says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp", address)) => address
                .to_socket_addrs()
                .ok()
                .and_then(|mut addresses| addresses.next())
                .map(Self::Tcp)
                .ok_or_else(|| format!("{address:?} is not ADDR:PORT")),
            _ => Err("neither unix:PATH nor tcp:ADDR:PORT".into()),
        }
    }
}

/// Whether `name` can end a bus name and an object path (letters, digits, underscore).
fn is_bus_name_element(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|first| !first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<HostArguments, String> {
        let mut parser = Parser::from_args(words);
        let mut arguments = HostArguments::default();
        while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
            let arg = match arg {
                Arg::Long(name) => name.to_owned(),
                other => return Err(format!("{other:?}")),
            };
            let known = arguments.accept(&Arg::Long(&arg), &mut parser);
            assert!(known.map_err(|error| error.to_string())?);
        }
        arguments.check().map(|()| arguments)
    }

    #[test]
    fn channel_defaults_to_the_devices_name() {
        let arguments = parse(&["--device", "/dev/ipmi-kcs3"]).unwrap();
        assert_eq!(arguments.channel(), "ipmi_kcs3");
        assert_eq!(arguments.host(), Some(Host::Device("/dev/ipmi-kcs3".into())));
        let arguments = parse(&["--channel", "kcs0", "--device", "/dev/ipmi-kcs3"]).unwrap();
        assert_eq!(arguments.channel(), "kcs0");
    }

    #[test]
    fn qemu_is_listened_for_on_unix_or_tcp() {
        let unix = parse(&["--channel", "kcs0", "--qemu", "unix:/run/kcs"]).unwrap();
        assert_eq!(unix.host(), Some(Host::Qemu(QemuAddress::Unix("/run/kcs".into()))));
        let tcp = parse(&["--channel", "kcs0", "--qemu", "tcp:127.0.0.1:9002"]).unwrap();
        let address = "127.0.0.1:9002".parse().unwrap();
        assert_eq!(tcp.host(), Some(Host::Qemu(QemuAddress::Tcp(address))));
    }

    #[test]
    fn contradictions_and_bad_names_are_refused() {
        for words in [
            &[][..],
            &["--device", "/dev/x", "--qemu", "unix:/x", "--channel", "kcs0"],
            &["--qemu", "unix:/x"],
            &["--qemu", "unix:", "--channel", "kcs0"],
            &["--qemu", "tcp:nowhere", "--channel", "kcs0"],
            &["--qemu", "file:/x", "--channel", "kcs0"],
            &["--device", "/dev/x", "--channel", "a.b"],
            &["--device", "/dev/x", "--channel", "0a"],
            &["--device", "/dev/x", "--channel", ""],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
