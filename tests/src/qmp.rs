//! QEMU's control socket (QMP), to act on a guest's machine as a platform does.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::wait;

/// A connection to a guest that was started with `--qmp`.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects as soon as QEMU listens.
    ///
    /// # Panics
    ///
    /// If it does not, or speaks another protocol.
    #[must_use]
    pub fn connect(socket: &Path) -> Self {
        let stream = wait::until("QEMU's control socket", || UnixStream::connect(socket).ok());
        let mut qmp = Self { stream: BufReader::new(stream) };
        let greeting = qmp.next().expect("a greeting");
        assert!(greeting.get("QMP").is_some(), "{greeting}");
        assert!(qmp.command("qmp_capabilities"), "QEMU ended");
        qmp
    }

    /// Gives the guest's processors a non-maskable interrupt, if the guest still runs.
    ///
    /// # Panics
    ///
    /// If QEMU refuses.
    pub fn inject_nmi(&mut self) {
        self.command("inject-nmi");
    }

    /// Whether QEMU has done so before it ended.
    fn command(&mut self, name: &str) -> bool {
        let line = format!("{{\"execute\": \"{name}\"}}\n");
        if self.stream.get_mut().write_all(line.as_bytes()).is_err() {
            return false;
        }
        // Events of the machine come between.
        while let Some(message) = self.next() {
            assert!(message.get("error").is_none(), "{message}");
            if message.get("return").is_some() {
                return true;
            }
        }
        false
    }

    /// The next message; `None` once QEMU has ended.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|&n| n > 0)?;
        serde_json::from_str(&line).ok()
    }
}
