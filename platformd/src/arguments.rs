//! The command line.

use std::path::PathBuf;

use daemon::lexopt::{self, Arg, Parser, ValueExt as _};

/// What `platformd` takes besides what all daemons take.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The platform's description.
    pub platform: PathBuf,
    /// Whether mains power was away before this start.
    pub power_lost: bool,
}

impl daemon::Arguments for Arguments {
    const USAGE: &str = concat!(
        "  --platform FILE    the platform's description (TOML)\n",
        "  --power-lost       start as after a loss of mains power: the host is off, and the\n",
        "                     restore policy decides\n",
    );

    fn accept(&mut self, arg: &Arg<'_>, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        match arg {
            Arg::Long("platform") => self.platform = parser.value()?.parse()?,
            Arg::Long("power-lost") => self.power_lost = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn own_file(&self) -> Option<PathBuf> {
        Some(self.platform.clone())
    }

    fn check(&self) -> Result<(), String> {
        if self.platform.as_os_str().is_empty() {
            return Err("--platform FILE is missing".to_owned());
        }
        Ok(())
    }
}
