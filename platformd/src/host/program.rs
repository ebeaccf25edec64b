//! Child processes: started in a process group of their own, with bounded output, ended by a time limit.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io};

use daemon::{AbortOnDrop, lock};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time;

/// How much of an output is remembered.
const MOST_OUTPUT: usize = 4096;
/// How much of a line is logged.
const MOST_LINE: usize = 300;
/// How long output is waited for after the end of a program whose children still have the pipe.
const DRAIN: Duration = Duration::from_millis(100);

/// The end of an output.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: AbortOnDrop,
}

impl Tail {
    /// Reads `output` in a task of its own, so that its writer never waits.
    fn follow(output: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let shared = Arc::clone(&bytes);
        let reader = AbortOnDrop::spawn(async move {
            let Some(mut output) = output else { return };
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = output.read(&mut buffer).await {
                let mut tail = lock(&shared);
                tail.extend(buffer.iter().take(count));
                let surplus = tail.len().saturating_sub(MOST_OUTPUT);
                tail.drain(..surplus);
            }
        });
        Self { bytes, reader }
    }

    /// Waits until the output has ended, for a moment.
    async fn drain(&self) {
        let ended = async {
            while !self.reader.is_finished() {
                time::sleep(DRAIN / 20).await;
            }
        };
        let _late = time::timeout(DRAIN, ended).await;
    }

    /// The last line that is not empty, without control characters.
    pub(super) fn last_line(&self) -> String {
        let bytes = lock(&self.bytes);
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        line.trim().chars().take(MOST_LINE).map(plain).collect()
    }
}

/// A child process, in a process group of its own: signals to this process's group do not reach it.
#[derive(Debug)]
pub(super) struct Started {
    child: Child,
    stderr: Tail,
}

/// How a child ended, as text.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) status: ExitStatus,
    pub(super) last_line: String,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with {}", self.status)?;
        if !self.last_line.is_empty() {
            write!(f, ": {}", self.last_line)?;
        }
        Ok(())
    }
}

impl Started {
    /// Starts a program that may outlive this process. It reads nothing, and its output is dropped, but for the end
    /// of its standard error.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn start(words: &[String]) -> io::Result<Self> {
        let mut child = command(words)?.stdout(Stdio::null()).spawn()?;
        let stderr = Tail::follow(child.stderr.take());
        Ok(Self { child, stderr })
    }

    /// The process's number, until it has been waited for.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it ends. Cancel safe.
    pub(super) async fn ended(&mut self) -> io::Result<End> {
        let status = self.child.wait().await?;
        self.stderr.drain().await;
        Ok(End { status, last_line: self.stderr.last_line() })
    }

    /// Kills the process and those of its group.
    pub(super) fn kill(&self) {
        // The number stays the process's until it has been waited for.
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ended_already = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

fn command(words: &[String]) -> io::Result<Command> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program is configured"))?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).stdin(Stdio::null()).stderr(Stdio::piped());
    // Those of a service manager are for this process.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("LISTEN_FDS");
    Ok(command)
}

/// Runs a program until it ends; returns the last line of its standard output.
///
/// # Errors
///
/// Text for a log line: it cannot be started, ends with another status than success, or takes longer than `limit`
/// and is killed.
pub(super) async fn run(
    words: &[String],
    (key, value): (&str, impl AsRef<OsStr>),
    limit: Duration,
) -> Result<String, String> {
    let name = words.first().map_or("", String::as_str);
    let spawned = command(words)
        .and_then(|mut command| command.env(key, value).stdout(Stdio::piped()).spawn());
    let mut child = spawned.map_err(|error| format!("{name} cannot be started: {error}"))?;
    let stdout = Tail::follow(child.stdout.take());
    let stderr = Tail::follow(child.stderr.take());
    let mut started = Started { child, stderr };
    match time::timeout(limit, started.ended()).await {
        Ok(Ok(end)) if end.status.success() => {
            stdout.drain().await;
            Ok(stdout.last_line())
        }
        Ok(Ok(end)) => Err(format!("{name} {end}")),
        Ok(Err(error)) => Err(format!("{name} cannot be waited for: {error}")),
        Err(_) => {
            started.kill();
            let _ended = started.ended().await;
            Err(format!("{name} took longer than {} ms and was killed", limit.as_millis()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn shell(script: &str, limit: Duration) -> Result<String, String> {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        run(&words, ("BOOT", "pxe"), limit).await
    }

    #[tokio::test]
    async fn the_last_lines_are_reported() {
        let said = shell("echo one; echo \"two $BOOT\"; echo; echo no >&2", SECOND * 30).await;
        assert_eq!(said.unwrap(), "two pxe");
        let failed =
            shell("echo out; printf 'bad\\033[1m thing\\n' >&2; exit 3", SECOND * 30).await;
        assert_eq!(failed.unwrap_err(), "/bin/sh ended with exit status: 3: bad [1m thing");
        let words = ["/nowhere".to_owned()];
        let failed = run(&words, ("A", "b"), SECOND).await.unwrap_err();
        assert!(failed.starts_with("/nowhere cannot be started: "), "{failed}");
    }

    #[tokio::test]
    async fn endless_output_is_bounded() {
        let said = shell("yes | head -c 1000000; echo end", SECOND * 30).await;
        assert_eq!(said.unwrap(), "end");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let failed = shell(&script, SECOND).await.unwrap_err();
        assert_eq!(failed, "/bin/sh took longer than 1000 ms and was killed");
        let child = std::fs::read_to_string(file).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        // A zombie at most, until its new parent has waited for it.
        let ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        while !ended() {
            time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_child_that_keeps_the_output_open_is_not_waited_for() {
        let said = shell("sleep 5 & echo started", SECOND * 30).await;
        assert_eq!(said.unwrap(), "started");
    }
}
