//! Running a client program to its end, with its output and within a limit.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Timeout of a client; no working one needs longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A client's output and exit code.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command as run, for messages.
    pub command: String,
    /// The exit code; `None` if the client was ended by a signal or by the limit.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output, of a client that must have succeeded.
    ///
    /// # Panics
    ///
    /// If it has not.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self}");
        &self.stdout
    }

    /// Both outputs, of a client that must have failed.
    ///
    /// # Panics
    ///
    /// If it succeeded, or had to be ended.
    #[track_caller]
    pub fn failed(&self) -> String {
        assert!(self.code.is_some_and(|code| code != 0), "{self}");
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "{command}\nended with {code:?}\n--- output\n{stdout}\n--- errors\n{stderr}")
    }
}

/// Runs `command` to its end, without input.
///
/// # Panics
///
/// If the program cannot be started.
#[must_use]
pub fn run(command: &mut Command) -> Output {
    run_within(command, LIMIT)
}

/// The same for a client that needs longer: it is killed after `limit`.
///
/// # Panics
///
/// If the program cannot be started.
#[must_use]
pub fn run_within(command: &mut Command, limit: Duration) -> Output {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
    let stdout = collect(child.stdout.take().expect("a pipe"));
    let stderr = collect(child.stderr.take().expect("a pipe"));
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait().expect("a process of ours") {
            Some(status) => break status,
            None if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            None => {
                child.kill().expect("a process of ours");
                break child.wait().expect("a process of ours");
            }
        }
    };
    let text = |thread: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&thread.join().expect("a reader")).into_owned()
    };
    Output { command: line, code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Reads a pipe to its end on a thread, so that the client never waits for a full one.
fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
