//! `causeway-vm` as a user runs it, with folders of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{self, Output};
use crate::clients::Login;
use crate::process::Process;
use crate::{json_schema, programs, wait};

/// What SeaBIOS prints first.
pub const FIRMWARE: &str = "SeaBIOS (version";

/// The folders of a user with BMCs. Dropping it stops them all.
#[derive(Debug)]
pub struct User {
    dir: TempDir,
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}

impl User {
    /// A user without BMCs.
    ///
    /// # Panics
    ///
    /// If the folders cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("cw").tempdir().expect("a folder");
        for name in ["state", "run"] {
            fs::create_dir(dir.path().join(name)).expect("a folder");
        }
        Self { dir }
    }

    /// The folder of all of the user's folders.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The runtime folder of the user's BMCs.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.dir().join("run/causeway-vm")
    }

    /// The state folder of the user's BMCs.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir().join("state/causeway-vm")
    }

    /// The environment of the user.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let path = |name: &str| self.dir().join(name).display().to_string();
        [("XDG_STATE_HOME", path("state")), ("XDG_RUNTIME_DIR", path("run"))]
    }

    /// The command `causeway-vm` with `words`.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(programs::program("causeway-vm"));
        command.args(words).envs(self.environment()).current_dir(self.dir());
        command
    }

    /// Runs `causeway-vm` with the words of `line`.
    #[must_use]
    pub fn run(&self, line: &str) -> Output {
        client::run(&mut self.command(&line.split_whitespace().collect::<Vec<_>>()))
    }

    /// The JSON of `line`, which its schema accepts.
    ///
    /// # Panics
    ///
    /// If it is no JSON, or the schema does not accept it.
    #[must_use]
    pub fn json(&self, line: &str) -> Value {
        let output = self.run(&format!("--json {line}"));
        let value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output}"));
        let subcommand = line.split_whitespace().next().expect("a subcommand");
        json_schema::check_vm(subcommand, &value)
            .unwrap_or_else(|error| panic!("{error}\n{output}"));
        value
    }

    /// Runs a BMC in the foreground, with the words of `line` after `run`, and waits until it serves.
    ///
    /// # Panics
    ///
    /// If it ends instead.
    #[must_use]
    pub fn serve(&self, line: &str) -> Process {
        let program = programs::program("causeway-vm");
        let words: Vec<String> =
            ["run"].into_iter().chain(line.split_whitespace()).map(str::to_owned).collect();
        let environment = self.environment();
        let mut process = Process::start("causeway-vm", self.dir(), &program, &words, &environment);
        wait::until_true("the BMC serves", || {
            assert_eq!(process.exited(), None, "{}", process.log());
            process.log().contains("the BMC serves on")
        });
        process
    }

    /// The login of the first user of the BMC `name`.
    ///
    /// # Panics
    ///
    /// If there is no such BMC.
    #[must_use]
    pub fn login(&self, name: &str) -> Login {
        let status = self.json(&format!("status {name}"));
        let text = |name: &str| status[name].as_str().expect("a text").to_owned();
        let password = fs::read_to_string(text("password-file")).expect("the password");
        let port = status["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let address = text("address").parse().expect("an address");
        let address = SocketAddr::new(address, port.expect("a port"));
        Login::administrator(address, self.dir()).user(&text("user"), password.trim_end())
    }

    /// The processes of the BMC `name`, by name, and the machine's as `machine`.
    #[must_use]
    pub fn processes(&self, name: &str) -> Vec<(String, Option<i32>)> {
        let status = self.json(&format!("status {name}"));
        let pid = |value: &Value| value.as_i64().and_then(|pid| i32::try_from(pid).ok());
        let list = status["processes"].as_array().cloned().unwrap_or_default();
        let name_of = |process: &Value| process["name"].as_str().unwrap_or_default().to_owned();
        let daemons = list.iter().map(|process| (name_of(process), pid(&process["pid"])));
        let machine = ("machine".to_owned(), pid(&status["machine"]));
        daemons.chain([machine]).collect()
    }

    /// The process `process` of the BMC `name`.
    ///
    /// # Panics
    ///
    /// If it does not run.
    #[must_use]
    pub fn process(&self, name: &str, process: &str) -> i32 {
        wait::until(&format!("{process} runs"), || {
            self.processes(name).into_iter().find(|(found, _)| found == process)?.1
        })
    }

    /// All processes that have a file of this user on their command line or in their environment.
    ///
    /// # Panics
    ///
    /// Without `/proc`.
    #[must_use]
    pub fn all_processes(&self) -> Vec<(i32, String)> {
        let dir = self.dir().display().to_string();
        let of = |entry: fs::DirEntry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let read = |name| fs::read(entry.path().join(name)).unwrap_or_default();
            let (line, environment) = (read("cmdline"), read("environ"));
            let has = |bytes: &[u8]| bytes.windows(dir.len()).any(|part| part == dir.as_bytes());
            let text = String::from_utf8_lossy(&line).replace('\0', " ");
            (has(&line) || has(&environment)).then_some((pid, text))
        };
        let entries = fs::read_dir("/proc").expect("/proc");
        entries.filter_map(|entry| of(entry.ok()?)).collect()
    }

    /// Waits until no process of this user is left, and no file in the runtime folder.
    ///
    /// # Panics
    ///
    /// If there is one.
    #[track_caller]
    pub fn until_nothing_is_left(&self) {
        wait::until_true_or_timeout(|| self.all_processes().is_empty());
        assert_eq!(self.all_processes(), []);
        assert!(!self.runtime().exists(), "{} is left", self.runtime().display());
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let left = self.all_processes();
        for (pid, _) in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
