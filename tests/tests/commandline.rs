//! What all daemons share on the command line: scripts and units rely on it.

use std::fs;
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use tests::daemons::{DAEMONS, arguments};
use tests::process::Process;
use tests::programs::program;
use tests::wait;

/// The daemons of this build.
fn daemons() -> impl Iterator<Item = Command> {
    DAEMONS.iter().map(|name| Command::new(program(name)))
}

/// What the daemon wrote on standard error when it refused its configuration, as one line.
#[track_caller]
fn refusal(command: &mut Command) -> String {
    let assert = command.assert().code(2);
    let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "one clear line: {text:?}");
    text
}

#[test]
fn version_and_help_are_printed() {
    for mut daemon in daemons() {
        let name = daemon.get_program().to_string_lossy().into_owned();
        let name = name.rsplit('/').next().expect("a name").to_owned();
        let version = daemon.arg("--version").assert().success();
        let version = String::from_utf8_lossy(&version.get_output().stdout).into_owned();
        assert!(version.starts_with(&format!("{name} ")), "{version}");
        let help = Command::new(program(&name)).arg("--help").assert().success();
        let help = String::from_utf8_lossy(&help.get_output().stdout).into_owned();
        for option in ["--config", "--state-dir", "-v", "--version", "--help"] {
            assert!(help.contains(option), "{name} --help lacks {option}:\n{help}");
        }
    }
}

#[test]
fn an_unknown_argument_is_one_line_and_exit_2() {
    for mut daemon in daemons() {
        let text = refusal(daemon.arg("--no-such-option"));
        assert!(text.contains("--no-such-option"), "{text}");
    }
}

#[test]
fn a_named_configuration_that_is_absent_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    for daemon in DAEMONS {
        let mut command = Command::new(program(daemon));
        command.args(arguments(daemon, dir.path()));
        let text = refusal(command.args(["--config", "/nonexistent/causeway.toml"]));
        assert!(text.contains("/nonexistent/causeway.toml"), "{text}");
    }
}

#[test]
fn a_misspelt_section_is_an_error_for_every_daemon() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("causeway.toml");
    fs::write(&path, "[chanel]\nnumber = 1\n").expect("a file");
    for daemon in DAEMONS {
        let mut command = Command::new(program(daemon));
        command.args(arguments(daemon, dir.path())).arg("--config").arg(&path);
        let text = refusal(&mut command);
        assert!(text.contains("causeway.toml:1: ") && text.contains("chanel"), "{text}");
    }
}

#[test]
fn cipher_suite_0_cannot_be_configured() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("causeway.toml");
    fs::write(&path, "[lan]\ncipher-suites = [17, 0]\n").expect("a file");
    let mut netipmid = Command::new(program("netipmid"));
    let text = refusal(netipmid.args(["--listen", "127.0.0.1:6230", "--config"]).arg(&path));
    assert!(text.contains("cipher suite 0"), "{text}");
}

#[test]
fn a_daemon_waits_for_a_bus_that_is_not_there_and_ends_on_a_signal() {
    for daemon in DAEMONS {
        let dir = tempfile::tempdir().expect("a folder");
        let arguments = arguments(daemon, dir.path());
        let address = "unix:path=/nonexistent/bus".to_owned();
        let environment = [("DBUS_SYSTEM_BUS_ADDRESS", address)];
        let path = program(daemon);
        let mut process = Process::start(daemon, dir.path(), &path, &arguments, &environment);
        wait::until_true(&format!("{daemon} says what is missing"), || {
            assert_eq!(process.exited(), None, "{daemon}: {}", process.log());
            !process.log().is_empty()
        });
        assert!(process.terminate().success(), "{daemon}: {}", process.log());
        for what in ["no bus", "the device is not available"] {
            let count = process.log().matches(what).count();
            assert!(count <= 1, "{daemon} repeats itself: {}", process.log());
        }
    }
}
