//! Guests with Linux's own IPMI drivers, which speak to a bridge through QEMU's device.
//!
//! The tests that boot them are ignored unless asked for (`cargo test -p tests -- --ignored`): they
//! need QEMU, and the first one builds the guest of Debian's packages.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{env, fs};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Names the folder that caches the guest between runs.
const VARIABLE: &str = "CAUSEWAY_GUEST_CACHE";

/// The longest that a guest may run, in seconds; far beyond what one needs, for slow machines.
const LIMIT: u32 = 400;

/// Polling interval of a guest's output.
const LOOK: Duration = Duration::from_millis(50);

/// Which of QEMU's IPMI devices a guest has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interface {
    /// `isa-ipmi-kcs`.
    Kcs,
    /// `isa-ipmi-bt`.
    Bt,
    /// `smbus-ipmi`.
    Ssif,
}

impl Interface {
    /// Its name in `run-guest` and in the bridges.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kcs => "kcs",
            Self::Bt => "bt",
            Self::Ssif => "ssif",
        }
    }

    /// The bridge for it.
    #[must_use]
    pub fn bridge(self) -> String {
        format!("{}bridged", self.name())
    }

    /// The built-in channel for it.
    #[must_use]
    pub fn channel(self) -> String {
        format!("{}0", self.name())
    }
}

/// The output and exit status of a guest's script.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The script's exit status; 124 to 126 if it did not finish.
    pub status: Option<i32>,
    /// What the script printed.
    pub output: String,
    /// The output of `run-guest`, with the end of the console's output if the script did not finish.
    pub errors: String,
}

impl Ran {
    /// The output of a script that succeeded.
    ///
    /// # Panics
    ///
    /// If it did not.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.status, Some(0), "{}\n{}", self.output, self.errors);
        &self.output
    }
}

/// A guest that has been started; its script runs meanwhile. Dropping it ends the guest.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: Stream,
    errors: Stream,
}

impl Running {
    /// Waits until the script has printed `text`, `count` times in all.
    ///
    /// # Panics
    ///
    /// If it ends without.
    #[track_caller]
    pub fn until_printed(&mut self, text: &str, count: usize) {
        loop {
            // Before the look at the output: what was printed last is there when this is true.
            let ended = self.output.has_ended();
            if self.printed(text) >= count {
                return;
            }
            assert!(!ended, "no {text:?}:\n{}\n{}", self.output.text(), self.errors.text());
            thread::sleep(LOOK);
        }
    }

    /// How often the script has printed `text`.
    #[must_use]
    pub fn printed(&self, text: &str) -> usize {
        self.output.text().matches(text).count()
    }

    /// Writes `text` to the script's standard input, which the option `--stdin` connects.
    ///
    /// # Panics
    ///
    /// If the guest is gone.
    pub fn write_stdin(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(text.as_bytes()).expect("a guest that listens");
        stdin.flush().expect("a guest that listens");
    }

    /// Whether the script or the guest has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.output.has_ended()
    }

    /// Waits until the script or the guest ends.
    ///
    /// # Panics
    ///
    /// If `run-guest` cannot be waited for.
    #[must_use]
    pub fn finish(mut self) -> Ran {
        let status = self.child.wait().expect("run-guest");
        Ran { status: status.code(), output: self.output.finish(), errors: self.errors.finish() }
    }
}

/// A guest's output while it runs.
#[derive(Debug)]
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let buffered = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                buffered.lock().expect("the output").extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn has_ended(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().expect("the output");
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// All of it, once the guest has ended.
    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the output's reader");
        }
        self.text()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Ok(None), Ok(id)) = (self.child.try_wait(), i32::try_from(self.child.id())) {
            // It ends QEMU, which it cannot when it is killed.
            let _ = signal::kill(Pid::from_raw(id), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

/// Starts a guest whose BMC listens at `socket`, and in it `script`, a busybox shell script.
///
/// The script is written to `dir`; `options` are more of `run-guest`'s.
///
/// # Panics
///
/// If the guest cannot be built or started.
#[must_use]
pub fn start(
    interface: Interface,
    socket: &Path,
    dir: &Path,
    script: &str,
    options: &[&str],
) -> Running {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(programs().join("run-guest"));
    run_guest(&mut command, interface, socket, dir, script);
    let mut child = command
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run-guest");
    let output = Stream::of(child.stdout.take().expect("a pipe"));
    let errors = Stream::of(child.stderr.take().expect("a pipe"));
    Running { child, output, errors }
}

/// Adds the arguments of `run-guest` for a guest whose BMC listens at `socket`, and writes its script to `dir`.
fn run_guest(command: &mut Command, interface: Interface, socket: &Path, dir: &Path, script: &str) {
    let file = dir.join(format!("guest-{}.sh", interface.name()));
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a script");
    command
        .arg(cache())
        .arg(file)
        .args(["--iface", interface.name(), "--timeout", &LIMIT.to_string()])
        .arg("--bmc")
        .arg(format!("unix:{}", socket.display()));
}

/// Writes the command line of QEMU for a guest as [`start`] starts it to `dir`, a word a line, for `platformd` to
/// start it. What the script prints will be in the file `guest.output` beside it.
///
/// # Panics
///
/// If the guest cannot be built.
#[must_use]
pub fn argument_file(
    interface: Interface,
    socket: &Path,
    dir: &Path,
    script: &str,
    options: &[&str],
) -> PathBuf {
    let file = dir.join("guest");
    let mut command = Command::new(programs().join("run-guest"));
    run_guest(&mut command, interface, socket, dir, script);
    let written = command.arg("--write").arg(&file).args(options).output().expect("run-guest");
    let errors = String::from_utf8_lossy(&written.stderr);
    assert!(written.status.success(), "{errors}");
    file
}

/// Builds a helper program for the guest, out of `tests/guest/<name>.c`, in `dir`.
///
/// # Panics
///
/// If it does not compile.
#[must_use]
pub fn helper(name: &str, dir: &Path) -> PathBuf {
    let program = dir.join(name);
    let source = programs().join(format!("{name}.c"));
    let built = Command::new("cc")
        .args(["-static", "-O2", "-Wall", "-o"])
        .arg(&program)
        .arg(source)
        .output()
        .expect("a C compiler");
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    program
}

/// The folder of the guest's programs.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guest")
}

/// The folder with the guest, which is built if it is missing.
fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let home = env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from);
        let default = || home.join(".cache/causeway/guest");
        let folder = env::var_os(VARIABLE).map_or_else(default, PathBuf::from);
        let built = Command::new(programs().join("make-guest")).arg(&folder).output();
        let built = built.expect("make-guest");
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{errors}");
        folder
    })
}
