//! The frame as a process: exit codes, signals, readiness and the log, seen from outside.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::Duration;

use daemon::lexopt::{Arg, Parser, ValueExt};
use daemon::{Arguments, Failure, Setup};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Set in the environment of the copy of this program that is the daemon.
const CHILD: &str = "CAUSEWAY_TEST_CHILD";

#[derive(Debug, Default)]
struct Args {
    act: String,
}

impl Arguments for Args {
    const USAGE: &str = "  --act NAME         what to do once started\n";

    fn accept(
        &mut self,
        arg: &Arg<'_>,
        parser: &mut Parser,
    ) -> Result<bool, daemon::lexopt::Error> {
        match arg {
            Arg::Long("act") => self.act = parser.value()?.string()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// What the frame prepares: nothing but a refusal of one value.
fn prepare(setup: &Setup<Args>) -> Result<(), Failure> {
    match setup.args.act.as_str() {
        "refused" => Err(Failure::Config("--act: refused".to_owned())),
        _ => Ok(()),
    }
}

async fn act(setup: Setup<Args>, (): ()) -> Result<(), Failure> {
    tracing::info!(peer = "a\"b\u{1b}", state_dir = %setup.state_dir.display(), "started");
    tracing::debug!("details");
    setup.ready();
    match setup.args.act.as_str() {
        "fail" => Err(std::io::Error::other("the device is on fire").into()),
        "end" => Ok(()),
        "hang" => {
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(3600)));
            std::future::pending().await
        }
        _ => std::future::pending().await,
    }
}

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return daemon::run("testd", prepare, act);
    }
    let tests: &[(&str, fn())] = &[
        ("work_done_is_exit_code_0", work_done_is_exit_code_0),
        ("failure_is_one_line_and_exit_code_1", failure_is_one_line_and_exit_code_1),
        ("bad_usage_is_one_line_and_exit_code_2", bad_usage_is_one_line_and_exit_code_2),
        ("check_prepares_and_does_not_start", check_prepares_and_does_not_start),
        ("help_and_version_are_printed", help_and_version_are_printed),
        ("signals_end_whatever_goes_on", signals_end_whatever_goes_on),
        ("hangups_are_logged_and_end_nothing", hangups_are_logged_and_end_nothing),
        ("readiness_is_notified", readiness_is_notified),
        ("level_follows_arguments_and_config", level_follows_arguments_and_config),
        ("journal_gets_priorities", journal_gets_priorities),
    ];
    for (name, test) in tests {
        test();
        eprintln!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test's own path"));
    command.args(args).env(CHILD, "1").env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(args: &[&str]) -> Output {
    command(args).output().expect("the test program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("the log is UTF-8")
}

/// Starts the daemon and waits until it says that it is ready.
fn start(command: &mut Command) -> Child {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let child = command.env("NOTIFY_SOCKET", &path).spawn().expect("the test program starts");
    let mut buffer = [0; 64];
    let count = socket.recv(&mut buffer).expect("a notification");
    assert_eq!(&buffer[..count], b"READY=1\n");
    child
}

/// Sends `signal` and waits for the end, which must come: its exit code, and what was logged.
fn end(mut child: Child, signal: Signal) -> (Option<i32>, String) {
    let pid = Pid::from_raw(child.id().try_into().expect("a process id"));
    nix::sys::signal::kill(pid, signal).expect("the child is there");
    let status = child.wait().expect("the child is ours");
    let mut log = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut log).expect("the log is UTF-8");
    (status.code(), log)
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).expect("a temporary file");
    path.to_str().expect("a plain path").to_owned()
}

fn work_done_is_exit_code_0() {
    let output = output(&["--act", "end", "--state-dir", "/tmp/s"]);
    assert_eq!(output.status.code(), Some(0));
    let line = "testd: info: started peer=\"a\\\"b\\u{1b}\" state_dir=/tmp/s\n";
    assert_eq!(stderr(&output), line);
}

fn failure_is_one_line_and_exit_code_1() {
    let output = output(&["--act", "fail"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).ends_with("\ntestd: error: the device is on fire\n"));
}

fn bad_usage_is_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unknown = write(&folder.path().join("a.toml"), "\n[lna]\n");
    let level = write(&folder.path().join("b.toml"), "[log]\nlevel = \"loud\"\n");
    for (args, culprit) in [
        (&["--what"][..], "--what"),
        (&["stray"][..], "stray"),
        (&["--act", "refused"][..], "--act: refused"),
        (&["--act", "refused", "--check"][..], "--act: refused"),
        (&["--config", "/nonexistent/x.toml"][..], "/nonexistent/x.toml"),
        (&["--config", &unknown][..], "a.toml:2: unknown key `lna`"),
        (&["--config", &level][..], "b.toml:2: unknown variant `loud`"),
    ] {
        let output = output(args);
        let log = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {log}");
        assert_eq!(log.lines().count(), 1, "{args:?}: {log}");
        assert!(log.starts_with("testd: error: ") && log.contains(culprit), "{args:?}: {log}");
    }
}

fn check_prepares_and_does_not_start() {
    let output = output(&["--act", "fail", "--check"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"configuration is valid\n");
    assert_eq!(stderr(&output), "");
}

fn help_and_version_are_printed() {
    for (arg, text) in [("--help", "--act NAME"), ("--version", "testd ")] {
        let output = output(&[arg]);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).expect("UTF-8").contains(text));
        assert!(output.stderr.is_empty());
    }
}

/// Work that hangs for an hour included.
fn signals_end_whatever_goes_on() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for what in ["wait", "hang"] {
            let (code, _) = end(start(&mut command(&["--act", what])), signal);
            assert_eq!(code, Some(0), "{signal} {what}");
        }
    }
}

fn hangups_are_logged_and_end_nothing() {
    for what in ["wait", "hang"] {
        let mut child = start(&mut command(&["--act", what]));
        let pid = Pid::from_raw(child.id().try_into().expect("a process id"));
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        for _ in 0..3 {
            nix::sys::signal::kill(pid, Signal::SIGHUP).expect("the child is there");
        }
        while !line.contains("SIGHUP ignored") {
            line.clear();
            assert!(log.read_line(&mut line).expect("a log") > 0, "{what}: it ended");
        }
        nix::sys::signal::kill(pid, Signal::SIGTERM).expect("the child is there");
        assert_eq!(child.wait().expect("the child is ours").code(), Some(0), "{what}");
        let mut rest = String::new();
        log.read_to_string(&mut rest).expect("the log is UTF-8");
        assert!(!rest.contains("SIGHUP"), "one line is enough: {rest}");
    }
}

fn readiness_is_notified() {
    end(start(&mut command(&[])), Signal::SIGTERM);
}

fn level_follows_arguments_and_config() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let quiet = write(&folder.path().join("c.toml"), "[log]\nlevel = \"error\"\n");
    assert_eq!(stderr(&output(&["--act", "end", "--config", &quiet])), "");
    let verbose = stderr(&output(&["--act", "end", "--config", &quiet, "-v"]));
    assert!(verbose.contains("testd: debug: details\n"), "{verbose}");
}

fn journal_gets_priorities() {
    use std::os::linux::fs::MetadataExt;
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let data = file.as_file().metadata().expect("its metadata");
    let journal = format!("{}:{}", data.st_dev(), data.st_ino());
    let mut command = command(&["--act", "end"]);
    command.stderr(file.reopen().expect("the same file")).env("JOURNAL_STREAM", journal);
    assert!(command.status().expect("the test program starts").success());
    let log = std::fs::read_to_string(file.path()).expect("the log is UTF-8");
    assert!(log.starts_with("<6>started peer="), "{log}");
}
