//! All daemons of the suite, and with the features `causewayctl` and `causeway-vm` those programs, in one binary, to save flash: code that they share exists once.
//!
//! The name it is called by says which daemon it is: installed as `causeway`, with a link of each
//! daemon's name to it. `causeway NAME ARGUMENTS...` does the same without a link.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use daemon::Setup;

/// A program's name and its start.
type Daemon = (&'static str, fn(Vec<OsString>) -> ExitCode);

/// The programs, each as in its own `main.rs`.
const DAEMONS: &[Daemon] = &[
    ("btbridged", |args| {
        daemon::run_with("btbridged", args, Setup::config, host_link::serve::<btbridged::BtDevice>)
    }),
    #[cfg(feature = "causeway-vm")]
    ("causeway-vm", causeway_vm::main),
    #[cfg(feature = "causewayctl")]
    ("causewayctl", causewayctl::main),
    ("ipmbbridged", |args| {
        daemon::run_with("ipmbbridged", args, ipmbbridged::prepare, ipmbbridged::serve)
    }),
    ("kcsbridged", |args| {
        daemon::run_with(
            "kcsbridged",
            args,
            Setup::config,
            host_link::serve::<kcsbridged::KcsDevice>,
        )
    }),
    ("ipmid", |args| daemon::run_with("ipmid", args, ipmid::prepare, ipmid::run)),
    ("mctp-demuxd", |args| {
        daemon::run_with("mctp-demuxd", args, mctp_demuxd::prepare, mctp_demuxd::run)
    }),
    ("netipmid", |args| daemon::run_with("netipmid", args, netipmid::prepare, netipmid::serve)),
    ("platformd", |args| daemon::run_with("platformd", args, platformd::prepare, platformd::run)),
    ("ssifbridged", |args| {
        daemon::run_with(
            "ssifbridged",
            args,
            Setup::config,
            host_link::serve::<ssifbridged::SsifDevice>,
        )
    }),
];

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    if let Some(start) = find(&called) {
        return start(words.collect());
    }
    let word = words.next().unwrap_or_default();
    match find(&word) {
        Some(start) => start(words.collect()),
        None if word == "--help" || word == "-h" => {
            print(io::stdout(), &usage());
            ExitCode::SUCCESS
        }
        None if word == "--version" || word == "-V" => {
            print(io::stdout(), &format!("causeway {}\n", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        None => {
            print(io::stderr(), &usage());
            ExitCode::from(2)
        }
    }
}

/// The start of the daemon that `word`, a name or a path that ends in one, stands for.
fn find(word: &OsStr) -> Option<fn(Vec<OsString>) -> ExitCode> {
    let name = Path::new(word).file_name()?;
    DAEMONS.iter().find(|(known, _)| name == *known).map(|(_, start)| *start)
}

fn usage() -> String {
    let names: Vec<&str> = DAEMONS.iter().map(|(name, _)| *name).collect();
    format!("Usage: causeway NAME [OPTIONS]\n\nNAME is one of {}.\n", names.join(", "))
}

fn print(mut to: impl Write, text: &str) {
    // Printing to a closed stream has no reader, so its error is dropped.
    let _closed = to.write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_the_last_part_of_the_path() {
        for word in ["kcsbridged", "/usr/bin/kcsbridged", "./kcsbridged"] {
            assert!(find(OsStr::new(word)).is_some(), "{word}");
        }
        for word in ["causeway", "", "/", "kcsbridge", "kcsbridged2"] {
            assert!(find(OsStr::new(word)).is_none(), "{word}");
        }
    }
}
