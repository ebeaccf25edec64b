//! One ipmitool session held open: ipmitool's own shell, driven through pipes.

use std::io::{self, PipeReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Child, ChildStdin, Command};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{fs, thread};

use crate::clients::Login;

/// What ipmitool's shell prints when it waits for a line.
const PROMPT: &str = "ipmitool> ";

/// Timeout of a command, longer than the client's own retries.
const LIMIT: Duration = Duration::from_secs(60);

/// A running ipmitool shell: one LAN session for as long as it lives.
#[derive(Debug)]
pub struct Shell {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
}

impl Shell {
    /// Opens a session and waits for the shell.
    ///
    /// # Panics
    ///
    /// If ipmitool does not start or does not get in.
    #[must_use]
    pub fn open(login: &Login) -> Self {
        Self::open_by(login.ipmitool_command())
    }

    /// The same with an ipmitool command line that lacks only the word `shell`.
    ///
    /// # Panics
    ///
    /// If ipmitool does not start or does not get in.
    #[must_use]
    pub fn open_by(mut command: Command) -> Self {
        let (reader, writer) = io::pipe().expect("a pipe");
        // It echoes what it reads, and would break lines that are longer than a terminal is wide.
        command.env("COLUMNS", "4096");
        // One pipe for both, so that an error stands before the prompt that follows it.
        command.arg("shell").stdin(std::process::Stdio::piped());
        command.stdout(writer.try_clone().expect("a second handle")).stderr(writer);
        let mut child = command.spawn().expect("ipmitool");
        drop(command);
        let input = child.stdin.take().expect("a pipe");
        let mut shell = Self { child, input, output: collect(reader) };
        // The shell opens its session with the first command, not before its first prompt.
        shell.answer("the shell");
        shell.run("raw 6 1");
        shell
    }

    /// Runs one command of the shell and returns all that it printed.
    ///
    /// # Panics
    ///
    /// If no prompt comes back.
    #[track_caller]
    pub fn run(&mut self, line: &str) -> String {
        self.send(line);
        self.answer(line)
    }

    /// Sends a command without waiting for its output.
    ///
    /// # Panics
    ///
    /// If the shell has gone.
    #[track_caller]
    pub fn send(&mut self, line: &str) {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).expect("a running shell");
    }

    /// The source address of the session's packets, from the kernel's table.
    ///
    /// # Panics
    ///
    /// If ipmitool has no UDP socket over IPv4.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        let process = format!("/proc/{}", self.child.id());
        let table = fs::read_to_string(format!("{process}/net/udp")).expect("the kernel's table");
        let files = fs::read_dir(format!("{process}/fd")).expect("its open files");
        let sockets: Vec<_> =
            files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).collect();
        table
            .lines()
            .find_map(|line| {
                let fields: Vec<_> = line.split_whitespace().collect();
                let socket = format!("socket:[{}]", fields.get(9)?);
                let is_its = sockets.iter().any(|its| its.as_os_str() == socket.as_str());
                is_its.then(|| local_address(fields[1])).flatten()
            })
            .expect("a UDP socket")
    }

    /// Waits for the answer to the oldest unanswered [`send`](Self::send).
    ///
    /// # Panics
    ///
    /// If no prompt comes back.
    #[track_caller]
    pub fn answer(&mut self, line: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(PROMPT.as_bytes()) {
            match self.output.recv_timeout(LIMIT) {
                Ok(byte) => text.extend(byte),
                Err(_) => panic!("{line}: no prompt after {:?}", String::from_utf8_lossy(&text)),
            }
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let text = text.strip_suffix(PROMPT).unwrap_or(&text);
        text.strip_prefix(line).unwrap_or(text).to_owned()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of the kernel's table: octets as they lie in memory, then the port.
fn local_address(text: &str) -> Option<SocketAddrV4> {
    let (address, port) = text.split_once(':')?;
    let octets = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(octets), port))
}

/// Forwards the shell's output byte by byte, so that no prompt is missed.
fn collect(mut pipe: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut byte = [0; 1];
        while pipe.read_exact(&mut byte).is_ok() && sender.send(byte.to_vec()).is_ok() {}
    });
    receiver
}
