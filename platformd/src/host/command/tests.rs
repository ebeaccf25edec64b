//! Programs that keep a host's state in a file.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tokio::sync::mpsc::{self, Sender};

use super::*;
use crate::config::Platform;

/// Programs that write the state to a file `state`, with `lines` in place of some.
struct Bench {
    dir: TempDir,
    orders: Sender<Order>,
    reports: Receiver<Report>,
}

fn shell(script: &str) -> String {
    format!("{{ run = [\"/bin/sh\", \"-c\", '{script}'], limit-ms = 5000 }}")
}

impl Bench {
    fn new(others: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state").display().to_string();
        fs::write(&state, "off\n").unwrap();
        let write = |value: &str| shell(&format!("echo {value} > {state}"));
        let mut programs = vec![
            ("on", write("on")),
            ("off", write("off")),
            ("status", shell(&format!("cat {state}"))),
        ];
        for (name, script) in others {
            programs.retain(|(known, _)| known != name);
            programs.push((*name, shell(&script.replace("STATE", &state))));
        }
        let mut text =
            "[host]\nbackend = \"command\"\n[host.commands]\nstatus-interval-ms = 100\n".to_owned();
        for (name, program) in programs {
            text.push_str(&format!("{name} = {program}\n"));
        }
        let host = Platform::parse("test.toml", &text).unwrap().host;
        let (orders, received) = mpsc::channel(8);
        let (sender, reports) = mpsc::channel(64);
        tokio::spawn(Programs::new(&host).run(received, Reports(sender)));
        Self { dir, orders, reports }
    }

    async fn next(&mut self) -> Report {
        let next = time::timeout(Duration::from_secs(30), self.reports.recv());
        next.await.unwrap().unwrap()
    }

    /// Waits for a state, and passes over the same state before it.
    async fn until(&mut self, state: State) {
        while self.next().await != Report::State(state.clone()) {}
    }

    async fn execute(&mut self, operation: Operation) -> Result<(), OperationError> {
        self.orders.send(Order { id: 7, operation }).await.unwrap();
        loop {
            if let Report::Done { id: 7, result } = self.next().await {
                return result;
            }
        }
    }

    fn state(&self) -> std::path::PathBuf {
        Path::new(self.dir.path()).join("state")
    }
}

#[tokio::test]
async fn the_status_is_polled() {
    let mut bench = Bench::new(&[]);
    bench.until(State::Off(OffCause::Unknown)).await;
    fs::write(bench.state(), "on\n").unwrap();
    bench.until(State::On).await;
    fs::write(bench.state(), "panicked\n").unwrap();
    bench.until(State::Panicked).await;
    // What is no state leaves it as it was.
    fs::write(bench.state(), "sleeping\n").unwrap();
    fs::write(bench.state(), "off\n").unwrap();
    bench.until(State::Off(OffCause::Unknown)).await;
}

#[tokio::test]
async fn operations_end_when_the_status_agrees() {
    // The host takes a while, after the program.
    let mut bench = Bench::new(&[("on", "(sleep 0.5; echo on > STATE) > /dev/null 2>&1 &")]);
    bench.execute(Operation::On).await.unwrap();
    assert_eq!(fs::read_to_string(bench.state()).unwrap(), "on\n");
    bench.execute(Operation::Off).await.unwrap();
    assert_eq!(fs::read_to_string(bench.state()).unwrap(), "off\n");
}

#[tokio::test]
async fn a_reset_is_a_restart() {
    let mut bench = Bench::new(&[("reset", "echo on > STATE")]);
    bench.orders.send(Order { id: 1, operation: Operation::Reset }).await.unwrap();
    while bench.next().await != (Report::Restarted { by_guest: false }) {}
}

#[tokio::test]
async fn failures_have_the_status_and_the_last_line() {
    let mut bench = Bench::new(&[("on", "echo first >&2; echo no power >&2; exit 4")]);
    let failed = bench.execute(Operation::On).await.unwrap_err();
    let text = "`on`: /bin/sh ended with exit status: 4: no power";
    assert_eq!(failed, OperationError::Failed(text.to_owned()));
    let unsupported = bench.execute(Operation::Interrupt).await.unwrap_err();
    assert!(matches!(unsupported, OperationError::Unsupported(_)), "{unsupported}");
}

#[tokio::test]
async fn a_success_that_the_status_denies_is_a_failure() {
    let mut bench = Bench::new(&[("on", "true")]);
    let failed = bench.execute(Operation::On).await.unwrap_err().to_string();
    assert!(failed.contains("`status` does not say on"), "{failed}");
}

#[tokio::test]
async fn a_shutdown_is_the_guests_and_the_boot_device_is_in_the_environment() {
    let mut bench = Bench::new(&[
        ("on", "echo on > STATE; echo $CAUSEWAY_BOOT > STATE.boot"),
        ("soft-off", "echo off > STATE"),
    ]);
    bench.execute(Operation::Boot(Source::Network)).await.unwrap();
    bench.execute(Operation::On).await.unwrap();
    let boot = fs::read_to_string(bench.state().with_extension("boot"));
    let boot = boot.or_else(|_| fs::read_to_string(format!("{}.boot", bench.state().display())));
    assert_eq!(boot.unwrap(), "pxe\n");
    bench.execute(Operation::SoftOff).await.unwrap();
    bench.until(State::Off(OffCause::Guest)).await;
}
