//! The providers of `docs/examples/provider`, and any other program that answers commands.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Process;
use crate::suite::Suite;
use crate::{client, wait};

/// Debian's, which has the packages of Debian.
const PYTHON: &str = "/usr/bin/python3";
/// A board's own network function, as the examples use it.
pub const OWN: u8 = 0x30;
/// Get Device ID, as Python's example answers it over LAN.
pub const OF_EXAMPLE: &str = "42 01 02 00 02 80 d9 7e 00 34 12";

/// The folder of the examples.
#[must_use]
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/provider")
}

/// Starts `program` on the bus of `suite`.
pub fn start(suite: &Suite, name: &str, program: &Path, arguments: &[&str]) -> Process {
    let arguments: Vec<_> = arguments.iter().map(|&word| word.to_owned()).collect();
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", suite.bus.address())];
    Process::start(name, suite.dir(), program, &arguments, &environment)
}

/// Starts a script in Python on the bus of `suite`.
pub fn start_python(suite: &Suite, name: &str, script: &Path, arguments: &[&str]) -> Process {
    let script = script.display().to_string();
    start(suite, name, Path::new(PYTHON), &[&[script.as_str()], arguments].concat())
}

/// The example in Python, once ipmid knows its commands.
#[track_caller]
pub fn python_example(suite: &Suite) -> Process {
    let provider = start_python(suite, "provider-py", &examples().join("provider.py"), &[]);
    until_answered(suite, &provider, OWN, 0x01, &[1]);
    provider
}

/// The example in C, built, once ipmid knows its commands.
#[track_caller]
pub fn c_example(suite: &Suite) -> Process {
    let program = suite.dir().join("provider");
    let source = examples().join("provider.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Werror", "-o"]).arg(&program).arg(&source).arg("-lsystemd");
    client::run(&mut compiler).ok();
    let provider = start(suite, "provider-c", &program, &[]);
    until_answered(suite, &provider, 0x2e, 0x02, &[0xd9, 0x7e, 0x00, 0x02]);
    provider
}

/// Waits until a command is known.
///
/// # Panics
///
/// If it stays unknown.
#[track_caller]
pub fn until_answered(suite: &Suite, provider: &Process, netfn: u8, command: u8, data: &[u8]) {
    let answered = || suite.bus.execute(netfn, command, data).0 != 0xc1;
    wait::until_true_or_timeout(answered);
    assert!(answered(), "{netfn:02x}/{command:02x} is unknown: {}", provider.log());
}
