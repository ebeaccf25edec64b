//! A daemon under test: started, signalled and ended by its process id.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::wait;

/// A running daemon. Dropping it kills the process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `arguments` and `environment`; its log goes to `<dir>/<name>.log`.
    ///
    /// The process dies with the thread that starts it, so that a test that is killed leaves nothing
    /// behind.
    ///
    /// # Panics
    ///
    /// If the program cannot be started.
    #[must_use]
    pub fn start(
        name: &str,
        dir: &Path,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, String)],
    ) -> Self {
        let log = dir.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).expect("a log file");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.env_remove("NOTIFY_SOCKET").envs(environment.iter().cloned());
        command.stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a second handle")).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Like [`start`](Self::start), and returns when the daemon has said that it is ready
    /// (`READY=1` on the socket that systemd would pass).
    ///
    /// # Panics
    ///
    /// If the daemon ends instead, or is not ready within [`wait::LIMIT`].
    #[must_use]
    pub fn start_ready(
        name: &str,
        dir: &Path,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, String)],
    ) -> Self {
        let path = dir.join(format!("{name}.notify"));
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a notification socket");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
        let mut environment = environment.to_vec();
        environment.push(("NOTIFY_SOCKET", path.display().to_string()));
        let mut process = Self::start(name, dir, program, arguments, &environment);
        wait::until_true(&format!("{name} is ready"), || {
            if let Some(status) = process.exited() {
                panic!("{name} ended with {status}:\n{}", process.log());
            }
            let mut message = [0; 512];
            let got = socket.recv(&mut message).unwrap_or(0);
            message[..got].split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
        });
        process
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory it has in use, in kB (`VmRSS`).
    ///
    /// # Panics
    ///
    /// If the process has ended.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = fs::read_to_string(path).expect("a process of ours");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.and_then(|line| line.split_whitespace().next());
        words.and_then(|kb| kb.parse().ok()).expect("a number of kB")
    }

    /// The capabilities that it has in effect (`CapEff`).
    ///
    /// # Panics
    ///
    /// If the process has ended.
    #[must_use]
    pub fn capabilities(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = fs::read_to_string(path).expect("a process of ours");
        let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).expect("a set")
    }

    /// All that the daemon has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// The exit status, if the daemon has ended.
    ///
    /// # Panics
    ///
    /// If the process cannot be waited for.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a process of ours")
    }

    /// Sends `signal`. A process that has ended already is left alone.
    ///
    /// # Panics
    ///
    /// If the signal cannot be sent.
    pub fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            let id = i32::try_from(self.id()).expect("a process id");
            signal::kill(Pid::from_raw(id), signal).expect("a process of ours");
        }
    }

    /// Stops the process where it is, as a service that hangs.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Ends the daemon as an operator does, and tells how it exited.
    ///
    /// # Panics
    ///
    /// If it does not end within [`wait::LIMIT`].
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let what = format!("{} ends on SIGTERM", self.name);
        wait::until(&what, || self.exited())
    }

    /// Kills the daemon without warning.
    ///
    /// # Panics
    ///
    /// If the process cannot be waited for.
    pub fn kill(&mut self) {
        match self.child.kill() {
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => panic!("{error}"),
            _ => self.child.wait().expect("a process of ours"),
        };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
