//! A client on a terminal of its own, typed at and read as a person would.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

use crate::clients::Login;
use crate::wait;

/// A program on a pseudo-terminal, which is its controlling terminal.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    /// Ours; `None` once it is hung up.
    keyboard: Option<File>,
    reader: Option<JoinHandle<()>>,
    is_hung_up: Arc<AtomicBool>,
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
        // Both close when a program is executed: a copy of ours in the client would keep it from seeing that we hang up.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).expect("a pseudo-terminal");
        unlockpt(&keyboard).expect("a pseudo-terminal");
        let name = ptsname(&keyboard, Vec::new()).expect("its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let client = open(name, flags, Mode::empty()).expect("its other end");
        let end = || client.try_clone().expect("a descriptor");
        // It becomes the program, so that this is the process whose end is waited for.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            value.map(|value| session.env(name, value));
        }
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid");
        // Once the client's copies alone are left, its end is seen.
        drop((session, client));
        let keyboard = File::from(keyboard);
        let output = keyboard.try_clone().expect("a descriptor");
        let is_hung_up = Arc::<AtomicBool>::default();
        let (sender, screen) = mpsc::channel();
        let reader = thread::spawn({
            let is_hung_up = Arc::clone(&is_hung_up);
            move || read_all(output, &is_hung_up, &sender)
        });
        let (keyboard, reader) = (Some(keyboard), Some(reader));
        Self { child, keyboard, reader, is_hung_up, screen, shown: String::new() }
    }

    /// Types `text`; `\r` is the return key.
    ///
    /// # Panics
    ///
    /// If the terminal has gone.
    pub fn enter(&mut self, text: &str) {
        let keyboard = self.keyboard.as_mut().expect("a terminal");
        keyboard.write_all(text.as_bytes()).expect("a running terminal");
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

    /// Waits until what is shown, as `until_shows` has left it, is enough.
    ///
    /// # Panics
    ///
    /// If it is not within [`wait::LIMIT`] of the last output.
    #[track_caller]
    pub fn until(&mut self, is_enough: impl Fn(&str) -> bool) {
        while !is_enough(&self.shown) {
            match self.screen.recv_timeout(wait::LIMIT) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("not enough: {:?}", self.shown),
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

    /// The process id of the client.
    #[must_use]
    pub fn client(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Terminal {
    /// Hangs up, as a person does who closes the window.
    fn drop(&mut self) {
        self.is_hung_up.store(true, Ordering::Relaxed);
        self.keyboard = None;
        let _ = self.reader.take().map(JoinHandle::join);
        wait::until_true_or_timeout(|| !matches!(self.child.try_wait(), Ok(None)));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends what the program prints, until it has ended or the terminal is hung up.
fn read_all(mut output: File, is_hung_up: &AtomicBool, sender: &Sender<Vec<u8>>) {
    /// Between two looks whether the terminal is hung up, in milliseconds.
    const PAUSE: u8 = 20;
    let mut buffer = [0; 4096];
    while !is_hung_up.load(Ordering::Relaxed) {
        let mut readable = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        if poll(&mut readable, PollTimeout::from(PAUSE)) == Ok(0) {
            continue;
        }
        match output.read(&mut buffer) {
            Ok(count @ 1..) if sender.send(buffer[..count].to_vec()).is_ok() => {}
            _ => return,
        }
    }
}
