//! The address of the host's console.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

/// The address of the host's console in the configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub enum ConsoleAddress {
    /// `abstract:NAME`: an abstract Unix stream socket, such as obmc-console's. A break is the
    /// out-of-band byte 72.
    Abstract(String),
    /// `unix:PATH`: a Unix stream socket, such as QEMU's `-serial unix:PATH,server`.
    Unix(PathBuf),
    /// `listen-unix:PATH`: a Unix stream socket that netipmid listens at, for a host that dials: QEMU's
    /// `-chardev socket,id=console,path=PATH,reconnect=1 -serial chardev:console`.
    ListenUnix(PathBuf),
    /// `tty:PATH`: a serial device or a pseudo terminal, used as it is set but for raw mode.
    Tty(PathBuf),
    /// `tcp:HOST:PORT`: such as QEMU's `-serial tcp:HOST:PORT,server`.
    Tcp(String),
    /// `telnet:HOST:PORT`: such as QEMU's `-serial telnet:HOST:PORT,server`, which can be sent a
    /// break.
    Telnet(String),
    /// `none`: the host has no console, and SOL cannot be activated.
    None,
}

impl Default for ConsoleAddress {
    /// The socket of obmc-console for the only host of a BMC.
    fn default() -> Self {
        Self::Abstract("obmc-console.default".to_owned())
    }
}

impl ConsoleAddress {
    /// The file of a Unix socket.
    #[must_use]
    pub fn socket_file(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) | Self::ListenUnix(path) => Some(path),
            Self::Abstract(_) | Self::Tty(_) | Self::Tcp(_) | Self::Telnet(_) | Self::None => None,
        }
    }
}

impl FromStr for ConsoleAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::None);
        }
        let wrong = || {
            format!(
                "a console is abstract:NAME, unix:PATH, listen-unix:PATH, tty:PATH, tcp:HOST:PORT, telnet:HOST:PORT or \
                 none, not {text:?}"
            )
        };
        match text.split_once(':').ok_or_else(wrong)? {
            (_, "") => Err(wrong()),
            ("abstract" | "unix" | "listen-unix", name)
                if name.len() > SOCKET_NAME || name.contains('\0') =>
            {
                Err(format!("a socket's name has at most {SOCKET_NAME} bytes and no NUL"))
            }
            ("tty", path) if path.contains('\0') => Err("a path has no NUL".to_owned()),
            ("abstract", name) => Ok(Self::Abstract(name.to_owned())),
            ("unix", path) => Ok(Self::Unix(path.into())),
            ("listen-unix", path) => Ok(Self::ListenUnix(path.into())),
            ("tty", path) => Ok(Self::Tty(path.into())),
            ("tcp", address) if has_port(address) => Ok(Self::Tcp(address.to_owned())),
            ("telnet", address) if has_port(address) => Ok(Self::Telnet(address.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for ConsoleAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for ConsoleAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abstract(name) => write!(f, "abstract:{name}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::ListenUnix(path) => write!(f, "listen-unix:{}", path.display()),
            Self::Tty(path) => write!(f, "tty:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Telnet(address) => write!(f, "telnet:{address}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// What the address of a Unix socket has room for (unix(7)), beside the NUL that begins the name of
/// an abstract one or ends a path.
const SOCKET_NAME: usize = 107;

fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_parsed() {
        for text in [
            "abstract:obmc-console.default",
            "unix:/run/serial",
            "listen-unix:/run/serial",
            "tty:/dev/ttyVUART0",
            "tcp:127.0.0.1:4000",
            "tcp:[::1]:4000",
            "telnet:localhost:4001",
            "none",
        ] {
            assert_eq!(text.parse::<ConsoleAddress>().unwrap().to_string(), text);
        }
        assert_eq!(ConsoleAddress::default().to_string(), "abstract:obmc-console.default");
    }

    #[test]
    fn names_that_no_socket_can_have_are_refused() {
        for kind in ["abstract", "unix", "listen-unix"] {
            assert!(format!("{kind}:{}", "n".repeat(107)).parse::<ConsoleAddress>().is_ok());
            assert!(format!("{kind}:{}", "n".repeat(108)).parse::<ConsoleAddress>().is_err());
            assert!(format!("{kind}:a\0b").parse::<ConsoleAddress>().is_err());
        }
    }

    #[test]
    fn invalid_addresses_are_errors() {
        for text in ["", "tty", "tty:", "tcp:host", "tcp::1", "tcp:h:0", "tcp:h:x", "udp:h:1"] {
            let error = text.parse::<ConsoleAddress>().unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
