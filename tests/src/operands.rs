//! The command line of the small programs: operands, and no options but `--help`.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// The operands of this program, if there are `N`.
///
/// # Errors
///
/// The exit code to end with: 0 after `--help`, which prints the usage; 2 for unknown options
/// and for another number of operands. Operands that begin with `-` follow `--`.
pub fn operands<const N: usize>(usage: &str) -> Result<[OsString; N], ExitCode> {
    match parse(env::args_os().skip(1)).map(|operands| operands.map(<[_; N]>::try_from)) {
        Some(Some(Ok(operands))) => Ok(operands),
        None => {
            let _closed = writeln!(io::stdout(), "usage: {usage}");
            Err(ExitCode::SUCCESS)
        }
        Some(_) => {
            let _closed = writeln!(io::stderr(), "usage: {usage}");
            Err(ExitCode::from(2))
        }
    }
}

/// The operands; no list of them for an unknown option, and nothing at all where help is asked for.
fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Option<Vec<OsString>>> {
    let mut operands = Vec::new();
    let (mut only_operands, mut is_known) = (false, true);
    for argument in arguments {
        match argument.as_encoded_bytes() {
            _ if only_operands => operands.push(argument),
            b"--" => only_operands = true,
            b"-h" | b"--help" => return None,
            [b'-', _, ..] => is_known = false,
            _ => operands.push(argument),
        }
    }
    Some(is_known.then_some(operands))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Option<Option<Vec<OsString>>> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn options_are_no_operands() {
        let one = |word: &str| Some(Some(vec![OsString::from(word)]));
        assert_eq!(parsed(&["a"]), one("a"));
        assert_eq!(parsed(&["-"]), one("-"));
        assert_eq!(parsed(&["--", "--help"]), one("--help"));
        assert_eq!(parsed(&["a", "--help"]), None);
        assert_eq!(parsed(&["-x", "-h"]), None);
        assert_eq!(parsed(&["a", "-x"]), Some(None));
        assert_eq!(parsed(&[]), Some(Some(Vec::new())));
    }
}
