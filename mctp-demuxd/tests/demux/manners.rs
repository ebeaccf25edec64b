//! Arguments, configuration and devices that cannot work, and what the daemon says of them.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::daemon::{Daemon, try_connect};
use crate::wire::{Wire, wait_until};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mctp-demuxd"));
    command.args(args).env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Runs a daemon that ends by itself; gives its exit code and what it logged.
fn fails(args: &[&str]) -> (Option<i32>, String) {
    let output = command(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Fails with a configuration, in one line that has `word` in it.
fn is_refused(args: &[&str], word: &str) {
    let (code, log) = fails(args);
    assert_eq!((code, log.lines().count()), (Some(2), 1), "{args:?}: {log}");
    assert!(log.contains(word), "{args:?}: {log}");
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_capture_that_cannot_be_created_is_one_line_with_its_path() {
    let line = Wire::new();
    let binding = format!("serial:{}", line.path.display());
    for path in ["/nonexistent/folder/x.pcap", "/tmp"] {
        is_refused(&["--socket", "manners-capture", "--capture", path, &binding], path);
    }
}

#[test]
fn a_capture_is_for_its_group_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcap");
    let _daemon = Daemon::with(&["--capture", path.to_str().unwrap()]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn what_is_no_terminal_is_refused_as_a_serial_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in ["/dev/null", file.path().to_str().unwrap()] {
        is_refused(&["--socket", "manners-serial", &format!("serial:{path}")], path);
    }
}

#[test]
fn one_binding_given_twice_is_an_error() {
    let line = Wire::new();
    let binding = format!("serial:{}", line.path.display());
    is_refused(&["--socket", "manners-twice", &binding, &binding], "another binding");
}

#[test]
fn places_and_limits_that_cannot_work_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("causeway.toml");
    let place = "[[mctp.owned.place]]\nbinding = 0\n";
    let owner = "[mctp]\nrole = \"bus-owner\"\n";
    for (binding, text, word) in [
        ("pcie:/dev/x", place.to_owned(), "bus-owner"),
        ("kernel:1", format!("{owner}{place}"), "kernel"),
        ("pcie:/dev/x", format!("{owner}{place}eid = 8\n"), "own"),
        (
            "pcie:/dev/x",
            format!("{owner}{place}address = 1\neid = 9\n{place}address = 2\neid = 9\n"),
            "EID 9",
        ),
        ("pcie:/dev/x", "[mctp.limits]\nclients = 0\n".to_owned(), "causeway.toml:2"),
        ("pcie:/dev/x", "[mctp]\nsockets = [\"\"]\n".to_owned(), "socket"),
    ] {
        std::fs::write(&file, text).unwrap();
        is_refused(&["--config", file.to_str().unwrap(), binding], word);
    }
    is_refused(&["--socket", "", "pcie:/dev/x"], "socket");
}

#[test]
fn a_line_is_served_by_one_daemon_at_a_time() {
    let mut daemon = Daemon::start();
    daemon.settle();
    let binding = format!("serial:{}", daemon.wire.path.display());
    let socket = format!("manners-lock-{}", std::process::id());
    let mut second = Running(command(&["--socket", &socket, &binding]).spawn().unwrap());
    let mut log = second.0.stderr.take().unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0; 1];
        assert_eq!(log.read(&mut byte).unwrap(), 1);
        line.extend(byte);
    }
    let line = String::from_utf8(line).unwrap();
    assert!(line.contains("locked") && line.contains(&binding), "{line}");
    // The first has the line for itself.
    let client = daemon.client(0x20);
    for number in 0..20 {
        daemon.wire.request(0, &[0x20, number]);
        assert_eq!(client.message().1, [0x20, number]);
    }
    // And the second takes it when the first has ended.
    let mut line = daemon.give_up_line();
    wait_until(|| {
        line.send(0x55, 0x0f, &[0, 0x9e, 2]);
        line.message_within(Duration::from_millis(500)).is_some()
    });
}

#[test]
fn refused_registrations_are_logged_at_a_bounded_rate() {
    let line = Wire::new();
    let binding = format!("serial:{}", line.path.display());
    let socket = format!("manners-refused-{}", std::process::id());
    let mut daemon = Running(command(&["--socket", &socket, &binding]).spawn().unwrap());
    wait_until(|| try_connect(&socket).is_some());
    for _ in 0..100 {
        let client = crate::daemon::Client(try_connect(&socket).unwrap());
        client.send_raw(&[0]);
        assert!(client.is_closed());
    }
    daemon.0.kill().unwrap();
    daemon.0.wait().unwrap();
    let mut log = String::new();
    daemon.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let refused = log.lines().filter(|line| line.contains("registration refused")).count();
    assert!((1..=5).contains(&refused), "{log}");
}
