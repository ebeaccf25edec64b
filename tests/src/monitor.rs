//! Records the messages on the bus while a test runs a command.

use std::path::Path;

use serde_json::Value;

use crate::bus::Bus;
use crate::process::Process;
use crate::wait;

/// A running `busctl monitor`.
#[derive(Debug)]
pub struct Monitor {
    process: Process,
}

/// A recorded call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// The unique name of the caller.
    pub sender: String,
    /// The interface.
    pub interface: String,
    /// The method.
    pub member: String,
    /// The arguments, as busctl prints them.
    pub arguments: String,
}

impl Monitor {
    /// Starts to listen; every message after the return is recorded, in a log in `dir`.
    ///
    /// # Panics
    ///
    /// If busctl does not start.
    #[must_use]
    pub fn start(bus: &Bus, dir: &Path) -> Self {
        let arguments = [
            format!("--address={}", bus.address()),
            "--json=short".to_owned(),
            "monitor".to_owned(),
        ];
        let process = Process::start("monitor", dir, Path::new("busctl"), &arguments, &[]);
        let monitor = Self { process };
        wait::until_true("the monitor hears", || {
            call(bus, "begin");
            monitor.hears("begin")
        });
        monitor
    }

    /// Waits for a message that contains `text`, and returns it as busctl prints it.
    ///
    /// # Panics
    ///
    /// If none comes.
    #[must_use]
    pub fn until_heard(&self, text: &str) -> String {
        wait::until(text, || {
            let log = self.process.log();
            let line = log.lines().find(|line| line.contains(text));
            line.map(str::to_owned)
        })
    }

    /// The number of messages so far that contain `text`.
    #[must_use]
    pub fn heard(&self, text: &str) -> usize {
        let log = self.process.log();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// Stops listening and returns all recorded method calls, in order.
    ///
    /// # Panics
    ///
    /// If the monitor has ended.
    #[must_use]
    pub fn finish(self, bus: &Bus) -> Vec<Call> {
        wait::until_true("the monitor has heard all", || {
            call(bus, "end");
            self.hears("end")
        });
        let log = self.process.log();
        let messages = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let calls = messages.filter(|message| message["type"] == "method_call");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let calls = calls.map(|message| Call {
            sender: text(&message["sender"]),
            interface: text(&message["interface"]),
            member: text(&message["member"]),
            arguments: message["payload"]["data"].to_string(),
        });
        // The marks, and busctl's own calls to set them.
        let ours = |call: &Call| call.interface == "org.freedesktop.DBus";
        calls.filter(|call| !ours(call)).collect()
    }

    fn hears(&self, mark: &str) -> bool {
        self.process.log().contains(&format!("causeway.test.{mark}"))
    }
}

/// Sets a mark: a call that does nothing.
fn call(bus: &Bus, mark: &str) {
    let name = "org.freedesktop.DBus";
    let mark = format!("causeway.test.{mark}");
    let _ = bus.busctl(&["call", name, "/org/freedesktop/DBus", name, "NameHasOwner", "s", &mark]);
}
