//! `causewayctl` as an operator runs it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bus::Bus;
use crate::client::{self, Output};
use crate::json_schema;
use crate::programs::program;

/// The command `causewayctl`, on no bus.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(program("causewayctl"));
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    command
}

/// Runs `causewayctl` with the words of `line`, on no bus.
#[must_use]
pub fn run(line: &str) -> Output {
    client::run(command().args(line.split_whitespace()))
}

/// Runs `causewayctl` with the words of `line` on `bus`.
#[must_use]
pub fn on(bus: &Bus, line: &str) -> Output {
    client::run(command().arg("--bus").arg(bus.address()).args(line.split_whitespace()))
}

/// Runs `causewayctl` with `words` and `input` on standard input; on `bus`, if there is one.
///
/// # Panics
///
/// If it cannot be started.
#[must_use]
pub fn with_input(bus: Option<&Bus>, words: &[&str], input: &[u8]) -> Output {
    let mut command = command();
    if let Some(bus) = bus {
        command.arg("--bus").arg(bus.address());
    }
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("causewayctl");
    // A program that reads nothing closes it, which is no failure.
    let _closed = child.stdin.take().expect("a pipe").write_all(input);
    let output = child.wait_with_output().expect("its output");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output {
        command: words.join(" "),
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// The JSON of `line` on `bus`, which its schema accepts.
///
/// # Panics
///
/// If it is no JSON, or the schema does not accept it.
#[must_use]
pub fn json_on(bus: &Bus, line: &str) -> Value {
    json_of(&on(bus, &format!("--json {line}")), line)
}

/// The JSON that the command of `line` has printed, which its schema accepts. The schema's name is the
/// subcommand's.
///
/// # Panics
///
/// If it is no JSON, or the schema does not accept it.
#[must_use]
pub fn json_of(output: &Output, line: &str) -> Value {
    let value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output}"));
    let subcommand = line.split_whitespace().next().expect("a subcommand");
    json_schema::check(subcommand, &value).unwrap_or_else(|error| panic!("{error}\n{output}"));
    value
}
