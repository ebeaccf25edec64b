//! The command line: the arguments of all daemons, and those of each one.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

/// Where the configuration is read when `--config` is not given.
const DEFAULT_CONFIG: &str = "/etc/causeway/causeway.toml";
/// The state directory when `--state-dir` is not given.
const DEFAULT_STATE_DIR: &str = "/var/lib/ipmi";

/// A daemon's own arguments, besides the common ones.
pub trait Arguments: Default {
    /// One line per own option for `--help`, indented by two blanks and ended by a newline each;
    /// empty for a daemon without own options.
    const USAGE: &str;

    /// Handles one option or word; its value, if it has one, comes from `parser.value()`.
    ///
    /// Returns whether the argument is one of this daemon's.
    ///
    /// # Errors
    ///
    /// A missing or malformed value.
    fn accept(&mut self, arg: &Arg<'_>, parser: &mut Parser) -> Result<bool, lexopt::Error>;

    /// Checks the whole command line, for example that no option is missing.
    ///
    /// # Errors
    ///
    /// What is wrong, as one line.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The keys of the configuration that this command line sets, with their values as TOML.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The daemon's own file, which has all of its keys but those of `[log]`.
    fn own_file(&self) -> Option<PathBuf> {
        None
    }
}

/// For daemons that have no arguments of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoArguments;

impl Arguments for NoArguments {
    const USAGE: &str = "";

    fn accept(&mut self, _: &Arg<'_>, _: &mut Parser) -> Result<bool, lexopt::Error> {
        Ok(false)
    }
}

/// A parsed command line.
#[derive(Debug)]
pub(crate) enum Invocation<A> {
    Help,
    Version,
    Run(Options<A>),
}

/// A complete command line.
#[derive(Debug)]
pub(crate) struct Options<A> {
    pub(crate) own: A,
    /// The file named by `--config`.
    pub(crate) config: Option<PathBuf>,
    pub(crate) state_dir: PathBuf,
    /// Whether arguments and configuration are checked only.
    pub(crate) check: bool,
    /// How often `-v` was given.
    pub(crate) verbose: u8,
}

impl<A> Options<A> {
    /// The configuration file, and whether it may be absent.
    pub(crate) fn config_file(&self) -> (PathBuf, bool) {
        match &self.config {
            Some(path) => (path.clone(), false),
            None => (DEFAULT_CONFIG.into(), true),
        }
    }
}

/// Reads a command line, the program's name not included.
pub(crate) fn parse<A: Arguments>(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Invocation<A>, String> {
    let mut parser = Parser::from_args(args);
    parse_all(&mut parser).map_err(|error| error.to_string())
}

fn parse_all<A: Arguments>(parser: &mut Parser) -> Result<Invocation<A>, lexopt::Error> {
    let mut own = A::default();
    let mut config = None;
    let mut state_dir = PathBuf::from(DEFAULT_STATE_DIR);
    let mut check = false;
    let mut verbose = 0_u8;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => return Ok(Invocation::Help),
            Arg::Long("version") | Arg::Short('V') => return Ok(Invocation::Version),
            Arg::Long("verbose") | Arg::Short('v') => verbose = verbose.saturating_add(1),
            Arg::Long("check") => check = true,
            Arg::Long("config") => config = Some(parser.value()?.parse()?),
            Arg::Long("state-dir") => state_dir = parser.value()?.parse()?,
            arg => accept_own(&mut own, &Owned::from(arg), parser)?,
        }
    }
    own.check()?;
    Ok(Invocation::Run(Options { own, config, state_dir, check, verbose }))
}

fn accept_own<A: Arguments>(
    own: &mut A,
    arg: &Owned,
    parser: &mut Parser,
) -> Result<(), lexopt::Error> {
    let arg = arg.borrow();
    if own.accept(&arg, parser)? { Ok(()) } else { Err(arg.unexpected()) }
}

/// An argument that does not borrow the parser, so that both can be passed on.
enum Owned {
    Short(char),
    Long(String),
    Value(OsString),
}

impl From<Arg<'_>> for Owned {
    fn from(arg: Arg<'_>) -> Self {
        match arg {
            Arg::Short(name) => Self::Short(name),
            Arg::Long(name) => Self::Long(name.to_owned()),
            Arg::Value(word) => Self::Value(word),
        }
    }
}

impl Owned {
    fn borrow(&self) -> Arg<'_> {
        match self {
            Self::Short(name) => Arg::Short(*name),
            Self::Long(name) => Arg::Long(name),
            Self::Value(word) => Arg::Value(word.clone()),
        }
    }
}

/// The text of `--help`.
pub(crate) fn help<A: Arguments>(name: &str) -> String {
    format!(
        "Usage: {name} [OPTIONS]\n\nOptions:\n{}  \
           --config FILE      configuration (default {DEFAULT_CONFIG};\n                     \
           the built-in one is used if that is absent)\n  \
           --state-dir DIR    state directory (default {DEFAULT_STATE_DIR})\n  \
           --check            check arguments and configuration, and end: touches neither\n                     \
           the bus nor devices nor state\n  \
           -v, --verbose      log more; twice for all there is\n  \
           --version          print the version and end\n  \
           --help             print this and end\n",
        A::USAGE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Bridge {
        channel: Option<String>,
        bindings: Vec<String>,
    }

    impl Arguments for Bridge {
        const USAGE: &str = "  --channel NAME     the channel's name\n";

        fn accept(&mut self, arg: &Arg<'_>, parser: &mut Parser) -> Result<bool, lexopt::Error> {
            match arg {
                Arg::Long("channel") => self.channel = Some(parser.value()?.string()?),
                Arg::Value(word) => self.bindings.push(word.clone().string()?),
                _ => return Ok(false),
            }
            Ok(true)
        }

        fn check(&self) -> Result<(), String> {
            self.channel.as_ref().map(drop).ok_or_else(|| "--channel is missing".to_owned())
        }
    }

    fn options(words: &[&str]) -> Result<Options<Bridge>, String> {
        match parse(words.iter().map(OsString::from))? {
            Invocation::Run(options) => Ok(options),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn common_and_own_arguments_mix_in_any_order() {
        let line = [
            "a",
            "--state-dir",
            "/tmp/x",
            "--channel=kcs0",
            "-v",
            "b",
            "--config",
            "c.toml",
            "--check",
        ];
        let options = options(&line).unwrap();
        assert!(options.check);
        assert_eq!(options.own.channel.as_deref(), Some("kcs0"));
        assert_eq!(options.own.bindings, ["a", "b"]);
        assert_eq!(options.state_dir, PathBuf::from("/tmp/x"));
        assert_eq!(options.config_file(), ("c.toml".into(), false));
        assert_eq!(options.verbose, 1);
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let options = options(&["--channel", "kcs0"]).unwrap();
        assert!(!options.check);
        assert_eq!(options.state_dir, PathBuf::from("/var/lib/ipmi"));
        assert_eq!(options.config_file(), ("/etc/causeway/causeway.toml".into(), true));
    }

    #[test]
    fn bad_command_lines_name_the_culprit() {
        for (line, culprit) in [
            (&["--channel"][..], "--channel"),
            (&["--chanel", "x"][..], "--chanel"),
            (&["--channel", "x", "-q"][..], "-q"),
            (&["--channel", "x", "--config"][..], "--config"),
            (&[][..], "--channel is missing"),
        ] {
            let error = options(line).unwrap_err();
            assert!(error.contains(culprit), "{line:?}: {error}");
            assert!(!error.contains('\n'), "{line:?}: {error}");
        }
    }

    #[test]
    fn help_and_version_win_over_missing_arguments() {
        assert!(matches!(parse::<Bridge>(["--help".into()]), Ok(Invocation::Help)));
        assert!(matches!(parse::<Bridge>(["--version".into()]), Ok(Invocation::Version)));
        assert!(help::<Bridge>("x").contains("--channel NAME"));
    }
}
