//! Traces of requests, and Wireshark's view of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::suite::Suite;
use crate::{client, ctl, programs, wait};

/// `trace --follow --write` of a bus.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    file: PathBuf,
}

impl Tracer {
    /// Starts it, and waits until it has subscribed: until something that `trigger` causes is in the file.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[must_use]
    pub fn start(suite: &Suite, options: &[&str], mut trigger: impl FnMut()) -> Self {
        /// Bytes of the header of a pcap file.
        const HEADER: u64 = 24;
        let file = suite.dir().join("trace.pcap");
        let mut command = ctl::command();
        command.args(["--bus", &suite.bus.address(), "trace", "--follow", "--write"]);
        command.arg(&file).args(options).stdout(Stdio::piped());
        let child = command.spawn().expect("causewayctl");
        wait::until_true("requests are traced", || {
            trigger();
            fs::metadata(&file).is_ok_and(|file| file.len() > HEADER)
        });
        Self { child, file }
    }

    /// Starts it, with a request over LAN as the trigger.
    #[must_use]
    pub fn of_lan(suite: &Suite) -> Self {
        let login = suite.administrator();
        Self::start(suite, &[], || {
            login.ipmitool("raw 6 1").ok();
        })
    }

    /// The capture.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Interrupts it, and returns what it has written.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        let id = i32::try_from(self.child.id()).expect("a process");
        kill(Pid::from_raw(id), Signal::SIGINT).expect("a process of ours");
        let status = self.child.wait().expect("a process of ours");
        assert!(status.success(), "{status}");
        fs::read(&self.file).expect("the capture")
    }
}

/// What tshark prints of a capture of requests; `None`, with a line that says so, if it is not installed.
#[must_use]
pub fn tshark(file: &Path, options: &[&str]) -> Option<String> {
    let Some(program) = programs::installed("tshark") else {
        eprintln!("skipped: tshark is not installed");
        return None;
    };
    let mut command = Command::new(program);
    command.args(["-o", "ipmi.dissect_bus_commands:TRUE", "-r"]).arg(file).args(options);
    Some(client::run(&mut command).ok().to_owned())
}

/// Asserts that Wireshark finds no malformed packet and no response without its request in a capture, that it names these
/// commands, and that the packets are of these channels. Nothing where it is not installed.
///
/// # Panics
///
/// If that is not so.
#[track_caller]
pub fn wireshark_reads(file: &Path, commands: &[&str], channels: &[&str]) {
    let Some(summary) = tshark(file, &[]) else { return };
    for name in commands {
        for kind in ["Req", "Rsp"] {
            let is = |line: &str| line.contains(kind) && line.contains(name);
            assert!(summary.lines().any(is), "no {kind} of {name} in\n{summary}");
        }
    }
    let malformed = tshark(file, &["-Y", "_ws.malformed || _ws.short"]);
    assert_eq!(malformed.as_deref(), Some(""), "malformed packets");
    let unpaired = tshark(file, &["-Y", "ipmi.header.completion && !ipmi.response_to"]);
    assert_eq!(unpaired.as_deref(), Some(""), "responses without a request");
    let of = tshark(file, &["-T", "fields", "-e", "ipmi.trace.chn.num"]).unwrap_or_default();
    let of: BTreeSet<_> = of.lines().collect();
    assert_eq!(of.into_iter().collect::<Vec<_>>(), channels);
}
