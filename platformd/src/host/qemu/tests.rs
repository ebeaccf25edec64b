//! A QEMU that the test plays.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{self, Sender};

use super::*;
use crate::config::Platform;
use crate::host::{Operation, OperationError};

/// A driver, and the socket where it looks for QEMU.
struct Bench {
    dir: TempDir,
    orders: Sender<Order>,
    reports: Receiver<Report>,
}

/// The played QEMU.
struct Played {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    status: &'static str,
    /// What it was asked, but for questions.
    commands: Vec<String>,
}

impl Bench {
    fn new(lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[host]\nbackend = \"qemu\"\nqmp = \"{}\"\n{lines}\n",
            dir.path().join("qmp").display()
        );
        let host = Platform::parse("test.toml", &text).unwrap().host;
        let (orders, received) = mpsc::channel(8);
        let (sender, reports) = mpsc::channel(64);
        tokio::spawn(Qemu::new(&host).run(received, Reports(sender)));
        Self { dir, orders, reports }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("qmp")
    }

    /// The next report that is no fact.
    async fn next(&mut self) -> Report {
        loop {
            let next = time::timeout(Duration::from_secs(30), self.reports.recv());
            match next.await.unwrap().unwrap() {
                Report::Facts(_) => {}
                report => return report,
            }
        }
    }

    async fn order(&self, operation: Operation) {
        self.orders.send(Order { id: 1, operation }).await.unwrap();
    }

    /// Waits for the end of the order.
    async fn done(&mut self) -> Result<(), OperationError> {
        loop {
            if let Report::Done { result, .. } = self.next().await {
                return result;
            }
        }
    }
}

impl Played {
    /// Greets a client that connects.
    async fn accept(listener: &UnixListener, status: &'static str) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self::greet(stream, status).await
    }

    async fn greet(stream: UnixStream, status: &'static str) -> Self {
        let (reader, writer) = stream.into_split();
        let lines = BufReader::new(reader).lines();
        let mut played = Self { lines, writer, status, commands: Vec::new() };
        played.send("{\"QMP\": {}}").await;
        played
    }

    async fn send(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Answers until `command` was answered, or the client has gone.
    async fn until(&mut self, command: &str) {
        while let Ok(Some(line)) = self.lines.next_line().await {
            let asked: Value = serde_json::from_str(&line).unwrap();
            let name = asked["execute"].as_str().unwrap().to_owned();
            if let Some(answer) = self.answer(&name, &asked["arguments"]) {
                let id = &asked["id"];
                if name == "system_reset" {
                    self.send("{\"event\": \"RESET\", \"data\": {\"guest\": false}}").await;
                }
                self.send(&json!({ "return": answer, "id": id }).to_string()).await;
            }
            if name == command {
                return;
            }
        }
    }

    fn answer(&mut self, command: &str, arguments: &Value) -> Option<Value> {
        Some(match command {
            "query-status" => json!({ "status": self.status }),
            "query-uuid" => json!({ "UUID": "00000000-0000-0000-0000-000000000000" }),
            "query-memory-size-summary" => json!({ "base-memory": 1 << 20 }),
            "query-cpus-fast" => json!([{ "qom-path": "/cpu" }]),
            "qom-get" => json!("a model"),
            "qmp_capabilities" => json!({}),
            "qom-set" => {
                self.commands.push(format!("{} {}", arguments["path"], arguments["value"]));
                json!({})
            }
            "cont" => {
                self.status = "running";
                self.commands.push("cont".to_owned());
                json!({})
            }
            other => {
                self.commands.push(other.to_owned());
                json!({})
            }
        })
    }
}

const LOST: fn(&str) -> Report = |text| Report::State(State::Off(OffCause::Lost(text.to_owned())));
const OFF: Report = Report::State(State::Off(OffCause::Unknown));
const NO_COMMAND: &str = "command = [\"/nowhere/qemu\"]";

#[tokio::test]
async fn events_and_the_end_of_qemu_are_reported() {
    let mut bench = Bench::new(NO_COMMAND);
    assert_eq!(bench.next().await, OFF);
    let listener = UnixListener::bind(bench.socket()).unwrap();
    let mut qemu = Played::accept(&listener, "running").await;
    qemu.until("query-status").await;
    assert_eq!(bench.next().await, Report::State(State::On));
    qemu.send("{\"event\": \"RESET\", \"data\": {\"guest\": true}}").await;
    assert_eq!(bench.next().await, Report::Restarted { by_guest: true });
    // The firmware's own, right after it.
    qemu.send("{\"event\": \"RESET\", \"data\": {\"guest\": true}}").await;
    qemu.send("{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"pause\"}}").await;
    assert_eq!(bench.next().await, Report::Panicked);
    qemu.status = "guest-panicked";
    qemu.send("{\"event\": \"STOP\"}").await;
    qemu.until("query-status").await;
    assert_eq!(bench.next().await, Report::State(State::Panicked));
    drop((qemu, listener));
    assert_eq!(bench.next().await, LOST("QEMU has ended"));
}

#[tokio::test]
async fn reasons_of_a_shutdown_are_told_apart() {
    for (guest, reason, cause) in [
        (true, "guest-shutdown", OffCause::Guest),
        (true, "guest-panic", OffCause::Panic),
        (false, "host-qmp-quit", OffCause::Unknown),
        (false, "host-signal", OffCause::Lost("QEMU was ended: host-signal".to_owned())),
    ] {
        let mut bench = Bench::new(NO_COMMAND);
        assert_eq!(bench.next().await, OFF);
        let listener = UnixListener::bind(bench.socket()).unwrap();
        let mut qemu = Played::accept(&listener, "running").await;
        qemu.until("query-status").await;
        assert_eq!(bench.next().await, Report::State(State::On));
        let data = json!({ "guest": guest, "reason": reason });
        qemu.send(&json!({ "event": "SHUTDOWN", "data": data }).to_string()).await;
        drop((qemu, listener));
        assert_eq!(bench.next().await, Report::State(State::Off(cause)), "{reason}");
    }
}

#[tokio::test]
async fn garbage_ends_the_connection_and_not_the_state() {
    let mut bench = Bench::new(NO_COMMAND);
    assert_eq!(bench.next().await, OFF);
    let listener = UnixListener::bind(bench.socket()).unwrap();
    let mut qemu = Played::accept(&listener, "running").await;
    qemu.until("query-status").await;
    assert_eq!(bench.next().await, Report::State(State::On));
    qemu.send("no JSON").await;
    qemu.until("nothing more").await;
    // It looks whether there is still somebody, and connects again.
    drop(listener.accept().await.unwrap());
    let mut qemu = Played::accept(&listener, "paused").await;
    qemu.until("query-status").await;
    assert_eq!(bench.next().await, Report::State(State::Paused));
}

#[tokio::test]
async fn a_paused_machine_goes_on_and_one_that_has_not_run_gets_the_boot_order() {
    let devices = "[host.boot]\ndisk = \"d\"\npxe = \"/n\"";
    let mut bench = Bench::new(&format!("{NO_COMMAND}\n{devices}"));
    assert_eq!(bench.next().await, OFF);
    bench.order(Operation::Boot(Source::Network)).await;
    bench.done().await.unwrap();
    let listener = UnixListener::bind(bench.socket()).unwrap();
    bench.order(Operation::On).await;
    let mut qemu = Played::accept(&listener, "prelaunch").await;
    qemu.until("cont").await;
    bench.done().await.unwrap();
    let order =
        ["\"/n\" -1", "\"/machine/peripheral/d\" -1", "\"/n\" 0", "\"/machine/peripheral/d\" 1"];
    assert_eq!(qemu.commands, [&order[..], &["system_reset", "cont"]].concat());
    qemu.commands.clear();
    qemu.status = "paused";
    qemu.send("{\"event\": \"STOP\"}").await;
    qemu.until("query-status").await;
    assert_eq!(bench.next().await, Report::State(State::Paused));
    bench.order(Operation::On).await;
    qemu.until("cont").await;
    bench.done().await.unwrap();
    assert_eq!(qemu.commands, ["cont"]);
    // The order is set before the reset that it is for.
    qemu.commands.clear();
    bench.order(Operation::Boot(Source::Default)).await;
    bench.order(Operation::Reset).await;
    qemu.until("system_reset").await;
    qemu.until("query-status").await;
    for _ in 0..2 {
        bench.done().await.unwrap();
    }
    let order =
        ["\"/machine/peripheral/d\" -1", "\"/n\" -1", "\"/machine/peripheral/d\" 0", "\"/n\" 1"];
    assert_eq!(qemu.commands, [&order[..], &["system_reset"]].concat());
}

#[tokio::test]
async fn a_program_that_does_not_start_says_why() {
    let mut bench = Bench::new(NO_COMMAND);
    bench.order(Operation::On).await;
    let failed = bench.done().await.unwrap_err().to_string();
    assert!(failed.starts_with("/nowhere/qemu cannot be started: "), "{failed}");
    let script = "echo bad option >&2; exit 2";
    let mut bench = Bench::new(&format!("command = [\"/bin/sh\", \"-c\", \"{script}\"]"));
    bench.order(Operation::On).await;
    let failed = bench.done().await.unwrap_err().to_string();
    assert_eq!(failed, "/bin/sh ended with exit status: 2: bad option");
    let hangs = "[\"/bin/sh\", \"-c\", \"sleep 1000\"]";
    let lines = format!("command = {hangs}\nstart-limit-ms = 200");
    let mut bench = Bench::new(&lines);
    bench.order(Operation::On).await;
    let failed = bench.done().await.unwrap_err().to_string();
    assert!(failed.starts_with("QEMU does not answer within 200 ms"), "{failed}");
}

#[tokio::test]
async fn operations_without_a_machine_fail() {
    let mut bench = Bench::new(NO_COMMAND);
    for operation in [Operation::Reset, Operation::SoftOff, Operation::Interrupt] {
        bench.order(operation).await;
        assert!(bench.done().await.is_err(), "{operation:?}");
    }
    // What is off is off.
    bench.order(Operation::Off).await;
    bench.done().await.unwrap();
    bench.order(Operation::Boot(Source::Network)).await;
    let failed = bench.done().await.unwrap_err().to_string();
    assert!(failed.contains("no device `pxe`"), "{failed}");
}
