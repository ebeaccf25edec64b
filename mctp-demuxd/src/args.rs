//! The command line.

use std::path::PathBuf;

use daemon::Arguments;
use daemon::lexopt::{Arg, Error, Parser, ValueExt};
use mctp_proto::Eid;

use crate::bindings::{Spec, number};

/// The command line, beyond what all daemons take. It takes precedence over the configuration.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// `--eid`.
    pub eid: Option<Eid>,
    /// `--socket`, each.
    pub sockets: Vec<String>,
    /// `--mtu`.
    pub mtu: Option<usize>,
    /// `--capture`.
    pub capture: Option<PathBuf>,
    /// The bindings.
    pub bindings: Vec<Spec>,
}

impl Arguments for Args {
    const USAGE: &str = "  \
  --eid N         this endpoint's id (default 8; 0: none until one is assigned)
  --socket NAME   abstract socket for clients (default mctp-demux; may be repeated)
  --mtu N         payload bytes of a packet, for all bindings (default 64)
  --capture FILE  write all packets to a pcap file
  BINDING...      serial:PATH[,baud=N]
                  i2c:PATH,address=0x10,slave-mqueue=PATH
                  pcie:PATH
                  kernel:NET
";

    fn accept(&mut self, arg: &Arg<'_>, parser: &mut Parser) -> Result<bool, Error> {
        match arg {
            Arg::Long("eid") => self.eid = Some(Eid(parser.value()?.parse_with(number)?)),
            Arg::Long("socket") => self.sockets.push(parser.value()?.string()?),
            Arg::Long("mtu") => self.mtu = Some(usize::from(parser.value()?.parse_with(number)?)),
            Arg::Long("capture") => self.capture = Some(parser.value()?.into()),
            Arg::Value(binding) => {
                let text = binding.to_str().ok_or("a binding that is not UTF-8")?;
                self.bindings.push(text.parse().map_err(|error: String| error)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = Vec::new();
        settings.extend(self.eid.map(|eid| ("mctp.eid", eid.0.to_string())));
        settings.extend(self.mtu.map(|mtu| ("mctp.mtu", mtu.to_string())));
        let bindings: Vec<String> = self.bindings.iter().map(ToString::to_string).collect();
        for (key, texts) in [("mctp.sockets", &self.sockets), ("mctp.bindings", &bindings)] {
            if !texts.is_empty() {
                settings.push((key, format!("{texts:?}")));
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Args, String> {
        let mut parser = Parser::from_args(line);
        let mut args = Args::default();
        while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
            let arg = match arg {
                Arg::Long(name) => Arg::Long(Box::leak(name.to_owned().into_boxed_str())),
                Arg::Short(letter) => Arg::Short(letter),
                Arg::Value(value) => Arg::Value(value),
            };
            if !args.accept(&arg, &mut parser).map_err(|e| e.to_string())? {
                return Err("unexpected".to_owned());
            }
        }
        Ok(args)
    }

    #[test]
    fn all_arguments_are_read() {
        let args = parse(&[
            "--eid",
            "0x1d",
            "--socket",
            "a",
            "--socket",
            "b",
            "--mtu",
            "128",
            "serial:/dev/ttyS1",
            "--capture",
            "/tmp/x",
            "kernel:1",
        ]);
        let args = args.unwrap();
        assert_eq!((args.eid, args.mtu), (Some(Eid(0x1d)), Some(128)));
        assert_eq!(args.sockets, ["a", "b"]);
        assert_eq!(args.bindings.len(), 2);
    }

    #[test]
    fn mistakes_are_errors() {
        for line in [&["--eid", "300"][..], &["--mtu", "x"], &["usb:/dev/x"], &["--fast"]] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
