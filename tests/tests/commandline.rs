//! What all daemons share on the command line: scripts and units rely on it.

use std::fs;
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use nix::sys::signal::Signal;
use tests::bus::Bus;
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
        for option in ["--check", "--config", "--state-dir", "-v", "--version", "--help"] {
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
        for what in ["cannot connect to the bus", "the device is not available"] {
            let count = process.log().matches(what).count();
            assert!(count <= 1, "{daemon} repeats itself: {}", process.log());
        }
    }
}

#[test]
fn a_hangup_reloads_the_configuration_of_every_daemon_or_refuses_it_with_its_line() {
    for daemon in DAEMONS {
        let dir = tempfile::tempdir().expect("a folder");
        let bus = Bus::start(dir.path());
        let file = dir.path().join("causeway.toml");
        fs::write(&file, "").expect("a configuration");
        let mut arguments = arguments(daemon, dir.path());
        arguments.extend(["--config".to_owned(), file.display().to_string()]);
        let environment = [("DBUS_SYSTEM_BUS_ADDRESS", bus.address())];
        let path = program(daemon);
        let mut process = Process::start(daemon, dir.path(), &path, &arguments, &environment);
        let list = || bus.busctl(&["list", "--acquired"]).stdout;
        wait::until_true(&format!("{daemon} has started"), || list().contains("causeway.Daemon."));
        process.signal(Signal::SIGHUP);
        wait::until_true(&format!("{daemon} logs that it reloads"), || {
            assert_eq!(process.exited(), None, "{daemon}: {}", process.log());
            process.log().contains("configuration reloaded")
        });
        fs::write(&file, "[log]\n\nlevel = \"loud\"\n").expect("a configuration");
        process.signal(Signal::SIGHUP);
        wait::until_true(&format!("{daemon} logs that it refuses"), || {
            assert_eq!(process.exited(), None, "{daemon}: {}", process.log());
            process.log().contains("causeway.toml:3: unknown variant `loud`")
        });
        assert!(process.terminate().success(), "{daemon}: {}", process.log());
    }
}

#[test]
fn a_platform_with_the_most_sensors_starts_and_ends_on_a_signal() {
    let dir = tempfile::tempdir().expect("a folder");
    let platform = |count: u32| {
        let file = dir.path().join(format!("{count}.toml"));
        let sensor = "[[sensor]]\nkind = \"temperature\"\nname = \"T{n}\"\n\
                      wave = { shape = \"sine\", amplitude = 5.0, period-ms = 60000 }\n";
        fs::write(&file, format!("{sensor}count = {count}\n")).expect("a file");
        file.display().to_string()
    };
    let mut refused = Command::new(program("platformd"));
    let text = refusal(refused.args(["--platform", &platform(60_000)]));
    assert!(text.contains("60000.toml:5: ") && text.contains("1 to 10000"), "{text}");

    let bus = Bus::start(dir.path());
    let arguments = ["--platform".to_owned(), platform(10_000)];
    let state = ["--state-dir".to_owned(), dir.path().join("state").display().to_string()];
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", bus.address())];
    let (path, arguments) = (program("platformd"), [arguments, state].concat());
    let mut process =
        Process::start_ready("platformd", dir.path(), &path, &arguments, &environment);
    assert!(process.terminate().success(), "{}", process.log());
}

#[test]
fn small_programs_print_their_usage_and_touch_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let victim = dir.path().join("file");
    fs::write(&victim, "text").expect("a file");
    for name in ["console", "ipmi-pass", "causeway"] {
        for (option, code) in [("--help", 0), ("-h", 0), ("--no-such-option", 2)] {
            let mut command = Command::new(program(name));
            let assert = command.arg(option).current_dir(dir.path()).assert().code(code);
            let output = assert.get_output();
            let text = if code == 0 { &output.stdout } else { &output.stderr };
            let text = String::from_utf8_lossy(text).into_owned();
            assert!(text.to_lowercase().contains("usage: "), "{name} {option}: {text}");
        }
        Command::new(program(name)).current_dir(dir.path()).assert().code(2);
    }
    let names: Vec<_> = fs::read_dir(dir.path()).expect("a folder").collect();
    assert_eq!(names.len(), 1, "{names:?}");
    // A file that is in the way of a socket is not removed.
    Command::new(program("console")).arg(&victim).assert().code(1);
    assert_eq!(fs::read_to_string(&victim).expect("the file"), "text");
}
