//! `causewayctl`: every subcommand's help, page, JSON and errors, on real daemons.

mod accounts;
mod backup;
mod configuration;
mod daemons;
mod decoding;
mod doctor;
mod help;
mod lan;
mod mctp;
mod metrics;
mod observation;
mod recording;
mod requests;
mod sol;
mod surface;

use insta::assert_snapshot;
use tests::client::Output;

/// Compares all that a command has printed, and how it ended, with the snapshot `name`.
#[track_caller]
fn check(name: &str, output: &Output) {
    let Output { code, stdout, stderr, .. } = output;
    let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
    assert_snapshot!(name, format!("exit code {code}\n--- output\n{stdout}--- errors\n{stderr}"));
}
