//! The frame as a process: exit codes, signals, readiness and the log, seen from outside.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::Duration;

use daemon::lexopt::{Arg, Parser, ValueExt};
use daemon::reload::Keys;
use daemon::{Arguments, Failure, Setup, Validate};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Set in the environment of the copy of this program that is the daemon.
const CHILD: &str = "CAUSEWAY_TEST_CHILD";

#[derive(Clone, Debug, Default)]
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

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Config {
    lan: Lan,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Lan {
    sessions: u8,
    handshakes: u8,
}

impl Validate for Config {}

const KEYS: Keys = Keys { live: &["lan.sessions"], restart: &["lan.handshakes"], others: &[] };

/// What the frame prepares: the configuration, and a refusal of one value.
fn prepare(setup: &Setup<Args>) -> Result<Config, Failure> {
    match setup.args.act.as_str() {
        "refused" => Err(Failure::Config("--act: refused".to_owned())),
        _ => setup.config(),
    }
}

async fn act(setup: Setup<Args>, _: Config) -> Result<(), Failure> {
    let apply = |config: Config| tracing::info!(sessions = config.lan.sessions, "applied");
    let _reload = setup.reloads(KEYS, prepare, apply);
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
        ("hangups_reload_the_configuration", hangups_reload_the_configuration),
        (
            "many_hangups_end_nothing_and_the_last_one_counts",
            many_hangups_end_nothing_and_the_last_one_counts,
        ),
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

/// A daemon with a configuration, what it logs and what it notifies.
struct Reloading {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    notified: UnixDatagram,
    config: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Reloading {
    fn start(what: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("x.toml");
        write(&config, "");
        let path = folder.path().join("notify");
        let notified = UnixDatagram::bind(&path).expect("a socket");
        notified.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut command = command(&["--act", what, "--config"]);
        command.arg(&config).env("NOTIFY_SOCKET", &path);
        let mut child = command.spawn().expect("the test program starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let daemon = Self { child, log, notified, config, _folder: folder };
        assert_eq!(daemon.notification(), "READY=1\n");
        daemon
    }

    fn notification(&self) -> String {
        let mut buffer = [0; 512];
        let count = self.notified.recv(&mut buffer).expect("a notification");
        String::from_utf8(buffer[..count].to_vec()).expect("UTF-8")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        nix::sys::signal::kill(pid, signal).expect("the child is there");
    }

    /// The next line of the log that has `text`.
    fn logged(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.log.read_line(&mut line).expect("a log") > 0, "it ended: no {text}");
        }
        line
    }

    /// Reloads `text`; returns what the service manager is notified of at the end.
    fn reload(&self, text: &str) -> String {
        write(&self.config, text);
        self.signal(Signal::SIGHUP);
        let begin = self.notification();
        assert!(begin.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{begin}");
        self.notification()
    }

    fn end(mut self) -> String {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.child.wait().expect("the child is ours").code(), Some(0));
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("the log is UTF-8");
        rest
    }
}

/// While other work hangs for an hour, too.
fn hangups_reload_the_configuration() {
    for what in ["wait", "hang"] {
        let mut daemon = Reloading::start(what);
        let end = daemon.reload("[lan]\nsessions = 7\nhandshakes = 8\n[log]\nlevel = \"warn\"\n");
        assert_eq!(end, "READY=1\nSTATUS=\n");
        daemon.logged(
            "these settings take effect when the daemon is restarted keys=\"lan.handshakes\"",
        );
        let end = daemon.reload("[lan]\n\nsessions = 700\n");
        assert!(end.starts_with("READY=1\nSTATUS=reload refused: "), "{end}");
        let refused = daemon.logged("configuration refused");
        assert!(refused.contains("x.toml:3: "), "{refused}");
        // The level of the one that was refused would be another.
        daemon.reload("[lan]\nsessions = 9\nhandshakes = 8\n[log]\nlevel = \"info\"\n");
        daemon.logged("applied sessions=9");
        daemon.logged("configuration reloaded applied=\"log.level lan.sessions\"");
        daemon.end();
    }
}

fn many_hangups_end_nothing_and_the_last_one_counts() {
    let mut daemon = Reloading::start("wait");
    // The socket's queue is short, and a service manager reads it.
    let notified = daemon.notified.try_clone().expect("a socket");
    std::thread::spawn(move || while notified.recv(&mut [0; 512]).is_ok() {});
    for sessions in 0..200 {
        write(&daemon.config, &format!("[lan]\nsessions = {sessions}\n"));
        daemon.signal(Signal::SIGHUP);
    }
    daemon.logged("applied sessions=199");
    daemon.end();
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
