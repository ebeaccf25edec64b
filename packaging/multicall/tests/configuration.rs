//! Invalid configurations, and valid ones with extreme values: each daemon runs, or ends with one
//! line and exit code 2.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

#[path = "configuration/schema.rs"]
mod schema;
#[path = "configuration/wrong.rs"]
mod wrong;

/// How long a daemon may take to start or to end before the test fails.
const LIMIT: Duration = Duration::from_secs(60);

/// What a daemon needs on the command line.
fn arguments(daemon: &str) -> &'static [&'static str] {
    match daemon {
        "btbridged" | "kcsbridged" | "ssifbridged" | "ipmbbridged" => {
            &["--device", "/nonexistent/device"]
        }
        "mctp-demuxd" => &["serial:/nonexistent/line"],
        "netipmid" => &["--listen", "127.0.0.1:0"],
        _ => &[],
    }
}

fn daemon(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.arg(name).env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    command
}

/// A daemon whose file is `file`: the platform's for platformd, and the configuration for others.
fn with_file(name: &str, file: &Path, state: &Path) -> Command {
    let mut command = daemon(name);
    let option = if name == "platformd" { "--platform" } else { "--config" };
    command.arg(option).arg(file).arg("--state-dir").arg(state);
    command.args(arguments(name));
    command
}

/// The output of a daemon that ends by itself.
fn ended(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
    let end = Instant::now() + LIMIT;
    while child.try_wait().expect("our child").is_none() {
        if Instant::now() > end {
            child.kill().expect("our child");
            panic!("does not end: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().expect("our child")
}

/// Asserts that the daemon ends with exit code 2 and one line, and returns the line.
#[track_caller]
fn refusal(command: &mut Command) -> String {
    let output = ended(command);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{command:?}: {text}");
    assert!(output.stdout.is_empty(), "{command:?}");
    text
}

/// A daemon that was started, and its log.
struct Started {
    child: Child,
    log: PathBuf,
}

impl Started {
    fn new(mut command: Command, log: PathBuf) -> Self {
        let file = fs::File::create(&log).expect("a file");
        let child = command.stdout(Stdio::null()).stderr(file).spawn().expect("a child");
        Self { child, log }
    }

    /// Waits until the daemon runs, which its log shows by the bus or device that it waits for, and ends it.
    #[track_caller]
    fn runs(mut self, what: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let code = self.child.try_wait().expect("our child");
            assert_eq!(code, None, "{what}: {log}");
            if log.contains("nonexistent") || log.contains("cannot connect to the bus") {
                break;
            }
            assert!(Instant::now() < end, "{what} does not come up: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }
}

const DAEMONS: [&str; 8] = [
    "btbridged",
    "ipmbbridged",
    "ipmid",
    "kcsbridged",
    "mctp-demuxd",
    "netipmid",
    "platformd",
    "ssifbridged",
];

#[test]
fn check_says_that_a_configuration_is_valid_and_touches_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let file = folder.path().join("x.toml");
    fs::write(&file, "").expect("a file");
    for name in DAEMONS {
        let output = ended(with_file(name, &file, &state).arg("--check"));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{name}: {text}");
        assert_eq!(output.stdout, b"configuration is valid\n", "{name}");
        assert!(text.is_empty(), "{name}: {text}");
        assert!(!state.exists(), "{name} made its state folder");
    }
}

#[test]
fn each_daemon_checks_its_own_sections() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.toml");
    fs::write(&file, "[sol]\nring = 0\n").expect("a file");
    for name in DAEMONS {
        let mut command = daemon(name);
        command.arg("--config").arg(&file).args(arguments(name)).arg("--check");
        if name == "platformd" {
            command.args(["--platform", "/dev/null"]);
        }
        let code = if name == "netipmid" { 2 } else { 0 };
        assert_eq!(ended(&mut command).status.code(), Some(code), "{name}");
    }
}
