//! The command line.

use std::net::SocketAddr;

use daemon::Arguments;
use daemon::lexopt::{self, Arg, Parser, ValueExt};

/// The channel without `--channel`.
pub(crate) const DEFAULT_CHANNEL: &str = "lan0";

/// `--channel` and `--listen`.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// The channel's name; alone, also the interface to bind.
    pub channel: Option<String>,
    /// The address to listen on, bound to no interface.
    pub listen: Option<SocketAddr>,
}

impl Arguments for Args {
    const USAGE: &str = "  \
        --channel NAME     the channel; without --listen or a socket passed in, also\n                     \
        the network interface to bind (default lan0)\n  \
        --listen ADDR:PORT listen there, bound to no interface\n";

    fn accept(&mut self, arg: &Arg<'_>, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        match arg {
            Arg::Long("channel") | Arg::Short('c') => {
                self.channel = Some(parser.value()?.string()?);
            }
            Arg::Long("listen") => self.listen = Some(parser.value()?.parse()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Args {
    /// The channel that this process serves.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or(DEFAULT_CHANNEL)
    }
}
