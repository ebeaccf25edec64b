//! A client on a terminal of its own, typed at and read as a person would.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::clients::Login;
use crate::wait;

/// A program on a pseudo-terminal, by way of script(1).
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    /// Starts `ipmitool sol activate` and waits until it takes keys.
    ///
    /// # Panics
    ///
    /// If it does not get there.
    #[must_use]
    pub fn sol(login: &Login) -> Self {
        let mut command = login.ipmitool_command();
        command.args(["sol", "activate"]);
        let mut terminal = Self::start(&command);
        terminal.until_shows("SOL Session operational");
        terminal.until_raw();
        terminal
    }

    /// Starts `ipmiconsole` and waits until it takes keys.
    ///
    /// # Panics
    ///
    /// If it does not get there.
    #[must_use]
    pub fn ipmiconsole(login: &Login) -> Self {
        let mut command = login.program("ipmiconsole");
        command.args(["-h", &login.address.to_string(), "-u", &login.user]);
        command.args(["-p", &login.password, "-I", "17"]);
        let mut terminal = Self::start(&command);
        terminal.until_shows("SOL established");
        terminal.until_raw();
        terminal
    }

    /// Waits until the client has set its terminal to raw mode: it prints that it is ready a little earlier, when the
    /// terminal would still convert the return key to a new line.
    #[track_caller]
    pub fn until_raw(&self) {
        let input = format!("/proc/{}/fd/0", self.client());
        wait::until_true("the client takes keys as they are", || {
            let settings = Command::new("stty").args(["-a", "-F", &input]).output();
            let settings = settings.expect("stty").stdout;
            String::from_utf8_lossy(&settings).contains("-icanon")
        });
    }

    /// Starts `command` on a terminal.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(command: &Command) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let quoted: Vec<String> = words.map(|word| quote(&word.to_string_lossy())).collect();
        let mut script = Command::new("script");
        for (name, value) in command.get_envs() {
            value.map(|value| script.env(name, value));
        }
        // `exec`, so that the client and not a shell is at the other end of the terminal.
        script.args(["--quiet", "--return", "--flush", "--command"]);
        script.arg(format!("exec {}", quoted.join(" "))).arg("/dev/null");
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = script.spawn().expect("script");
        let keyboard = child.stdin.take().expect("a pipe");
        let mut output = child.stdout.take().expect("a pipe");
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, shown: String::new() }
    }

    /// Types `text`; `\r` is the return key.
    ///
    /// # Panics
    ///
    /// If the terminal has gone.
    pub fn enter(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("a running terminal");
        self.keyboard.flush().expect("a running terminal");
    }

    /// Waits until `text` has been shown, drops the output up to its end, and returns the output
    /// before it.
    ///
    /// # Panics
    ///
    /// If it is not shown within [`wait::LIMIT`].
    #[track_caller]
    pub fn until_shows(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.shown, rest);
                before.truncate(at);
                return before;
            }
            match self.screen.recv_timeout(wait::LIMIT) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {text:?} but {:?}", self.shown),
            }
        }
    }

    /// Waits until the client has ended, and returns its exit code.
    ///
    /// # Panics
    ///
    /// If it does not end within [`wait::LIMIT`].
    #[track_caller]
    pub fn until_ended(&mut self) -> Option<i32> {
        wait::until("the client ends", || self.child.try_wait().expect("a process of ours")).code()
    }

    /// The process id of the client itself.
    ///
    /// # Panics
    ///
    /// If it has ended.
    #[must_use]
    pub fn client(&self) -> u32 {
        let id = self.child.id();
        let children = format!("/proc/{id}/task/{id}/children");
        wait::until("the client runs", || {
            let list = std::fs::read_to_string(&children).ok()?;
            list.split_whitespace().next()?.parse().ok()
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        while self.screen.recv_timeout(Duration::from_millis(1)).is_ok() {}
    }
}

/// A word as the shell takes it.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
