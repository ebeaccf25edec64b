//! A QEMU: started by this daemon or by something else, and controlled over its QMP socket.
//!
//! A QEMU goes on when this daemon ends, and is found again by its socket.

mod boot;
mod launch;
mod operations;
mod qmp;

use std::time::Duration;

use daemon::{Outage, sleep_until};
use openbmc_dbus::control::boot::source::Source;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;
use tokio::time::{self, Instant};
use tracing::{info, warn};

use self::qmp::{Event, Qmp, QmpError};
use super::program::{End, Started};
use super::{Driver, Facts, OffCause, Order, Report, Reports, State};
use crate::config::Host;

/// Time between two attempts to connect to a QEMU that something else may start.
const FIND_INTERVAL: Duration = Duration::from_millis(500);
/// How long a QEMU whose socket is closed may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Resets of the guest that follow a start or a reset so soon are the firmware's own: SeaBIOS resets the machine once
/// more when it finds that it has run before. The boot order has to stay as it is for them.
const FIRMWARE_RESETS: Duration = Duration::from_secs(3);

/// What is configured.
pub(super) struct Qemu {
    config: Host,
}

/// A QEMU, as it is known now.
struct Guest {
    config: Host,
    reports: Reports,
    /// The process, if this daemon started it and has not waited for its end.
    child: Option<Started>,
    link: Option<Qmp>,
    state: Option<State>,
    /// Why it goes off, as far as QEMU has said.
    off: Option<OffCause>,
    boot: Source,
    /// When the guest started or was reset last.
    started: Option<Instant>,
    /// When the boot order is to be set.
    boot_due: Option<Instant>,
    outage: Outage<String>,
}

/// What happened next.
enum Next {
    Order(Option<Order>),
    Event(Result<Event, QmpError>),
    Ended(Option<End>),
    Boot,
    Find,
}

impl Qemu {
    pub(super) fn new(config: &Host) -> Self {
        Self { config: config.clone() }
    }
}

/// The machine's UUID, if QEMU's command line has one.
pub(super) fn uuid_before_start(config: &Host) -> Option<String> {
    launch::uuid(config)
}

impl Driver for Qemu {
    fn cycles(&self) -> bool {
        false
    }

    async fn run(self, mut orders: Receiver<Order>, reports: Reports) {
        // Known before QEMU runs, so that the system has one identity from the start.
        let uuid = launch::uuid(&self.config);
        reports.send(Report::Facts(Facts { uuid, ..Facts::default() })).await;
        let mut guest = Guest::new(self.config, reports);
        guest.find().await;
        loop {
            match guest.next(&mut orders).await {
                Next::Order(None) => return,
                Next::Order(Some(Order { id, operation })) => {
                    let result = guest.execute(operation).await;
                    guest.reports.send(Report::Done { id, result }).await;
                }
                Next::Event(Ok(event)) => guest.handle(event).await,
                Next::Event(Err(error)) => guest.disconnected(&error).await,
                Next::Ended(end) => guest.ended(end).await,
                Next::Boot => guest.apply_late_boot().await,
                Next::Find => guest.find().await,
            }
        }
    }
}

impl Guest {
    fn new(config: Host, reports: Reports) -> Self {
        Self {
            config,
            reports,
            child: None,
            link: None,
            state: None,
            off: None,
            boot: Source::Default,
            started: None,
            boot_due: None,
            outage: Outage::new(),
        }
    }

    /// Waits for what happens next.
    async fn next(&mut self, orders: &mut Receiver<Order>) -> Next {
        let is_linked = self.link.is_some();
        let boot_due = self.boot_due.map(Instant::into_std);
        let event = async {
            match &mut self.link {
                Some(link) => link.event().await,
                None => std::future::pending().await,
            }
        };
        let ended = async {
            match &mut self.child {
                Some(child) => child.ended().await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = event => Next::Event(event),
            end = ended => Next::Ended(end),
            order = orders.recv() => Next::Order(order),
            () = sleep_until(boot_due) => Next::Boot,
            () = time::sleep(FIND_INTERVAL), if !is_linked => Next::Find,
        }
    }

    /// Reports a state, if it is new.
    async fn report(&mut self, state: State) {
        // Why a host is off is known when it goes off.
        let both_off = matches!((&self.state, &state), (Some(State::Off(_)), State::Off(_)));
        if !both_off && self.state.as_ref() != Some(&state) {
            self.state = Some(state.clone());
            self.reports.send(Report::State(state)).await;
        }
    }

    /// Looks for a QEMU at the socket.
    async fn find(&mut self) {
        match Qmp::connect(&self.config.qmp).await {
            Ok(link) => {
                if self.outage.end() {
                    info!("connected to QEMU");
                }
                self.link = Some(link);
                self.greet().await;
            }
            Err(error) if error.is_absent() => {
                self.outage.end();
                if self.child.is_none() {
                    // One that was on has ended without a word: its connection broke before its socket was gone.
                    let usual = match self.state {
                        None | Some(State::Off(_)) => OffCause::Unknown,
                        Some(_) => OffCause::Lost("QEMU has ended".to_owned()),
                    };
                    let cause = self.off.take().unwrap_or(usual);
                    self.report(State::Off(cause)).await;
                }
            }
            Err(error) => self.log_failure(&error),
        }
    }

    /// Logs that QEMU cannot be reached, once for each reason.
    fn log_failure(&self, error: &QmpError) {
        let error = error.to_string();
        if self.outage.begin_for(error.clone()) {
            let socket = self.config.qmp.display();
            warn!(%socket, error, "cannot control QEMU; retrying, and its state stays as it was");
        }
    }

    /// Learns all about a QEMU to which a connection was made.
    async fn greet(&mut self) {
        self.off = None;
        // Before the state, so that who sees that can read these.
        if let Some(facts) = self.facts().await {
            self.reports.send(Report::Facts(facts)).await;
        }
        self.refresh().await;
        // A guest that has just been started by an earlier process may still need the order that it had.
        if self.state == Some(State::On) {
            self.boot_due = Some(Instant::now() + FIRMWARE_RESETS);
        } else {
            self.apply_late_boot().await;
        }
    }

    /// Executes a QMP command; a connection that broke is given up.
    async fn qmp(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let link = self.link.as_mut().ok_or(QmpError::Closed)?;
        let result = link.execute(command, arguments).await;
        if let Err(error) = &result
            && !error.leaves_connection()
        {
            self.disconnected(error).await;
        }
        result
    }

    /// Asks QEMU for its run state, and reports it.
    async fn refresh(&mut self) {
        let Ok(status) = self.qmp("query-status", json!({})).await else { return };
        let status = status.get("status").and_then(Value::as_str).unwrap_or_default().to_owned();
        let state = self.state_of(&status);
        self.report(state).await;
    }

    /// The state that a run state of QEMU is (qapi/run-state.json).
    fn state_of(&mut self, status: &str) -> State {
        match status {
            "running" | "suspended" => State::On,
            // Not started yet, or shut down with `-no-shutdown`.
            "prelaunch" | "preconfig" | "shutdown" => {
                State::Off(self.off.take().unwrap_or(OffCause::Unknown))
            }
            "guest-panicked" | "internal-error" => State::Panicked,
            _ => State::Paused,
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Reset { by_guest } => {
                let is_firmware = by_guest && self.is_starting();
                self.note_start();
                if !is_firmware {
                    self.reports.send(Report::Restarted { by_guest }).await;
                }
            }
            Event::Shutdown { by_guest, reason } => {
                self.off = Some(match reason.as_str() {
                    "guest-panic" => OffCause::Panic,
                    _ if by_guest => OffCause::Guest,
                    "host-qmp-quit" => OffCause::Unknown,
                    _ => OffCause::Lost(format!("QEMU was ended: {reason}")),
                });
            }
            Event::Panicked => self.reports.send(Report::Panicked).await,
            Event::RunState => self.refresh().await,
        }
    }

    /// The connection is of no use any more: QEMU has ended, or this is no QEMU.
    async fn disconnected(&mut self, error: &QmpError) {
        // Events that came before the end say why.
        self.link = None;
        let mut end = None;
        if let Some(child) = &mut self.child
            && let Ok(ended) = time::timeout(END_LIMIT, child.ended()).await
        {
            end = ended.ok();
            self.child = None;
        }
        let is_gone = self.child.is_none()
            && matches!(Qmp::connect(&self.config.qmp).await, Err(error) if error.is_absent());
        if is_gone {
            let text = || match &end {
                Some(end) => format!("QEMU {end}"),
                None => "QEMU has ended".to_owned(),
            };
            let cause = self.off.take().unwrap_or_else(|| OffCause::Lost(text()));
            self.report(State::Off(cause)).await;
        } else {
            self.log_failure(error);
        }
    }

    /// The process that this daemon started has ended.
    async fn ended(&mut self, end: Option<End>) {
        self.child = None;
        if self.link.is_none() {
            let text = end.map_or_else(|| "QEMU has ended".to_owned(), |end| format!("QEMU {end}"));
            self.off.get_or_insert(OffCause::Lost(text));
            self.find().await;
        }
    }

    /// What QEMU says about the machine.
    async fn facts(&mut self) -> Option<Facts> {
        let uuid = self.qmp("query-uuid", json!({})).await.ok()?;
        let uuid = uuid.get("UUID").and_then(Value::as_str).map(str::to_owned);
        let memory = self.qmp("query-memory-size-summary", json!({})).await.ok()?;
        let size = |key: &str| memory.get(key).and_then(Value::as_u64);
        let plugged = size("plugged-memory").unwrap_or(0);
        let cpus = self.qmp("query-cpus-fast", json!({})).await.ok()?;
        let cpus = cpus.as_array()?;
        let path = cpus.first().and_then(|cpu| cpu.get("qom-path")).and_then(Value::as_str);
        let mut cpu_model = None;
        for property in ["model-id", "type"] {
            if cpu_model.is_none() {
                let get = json!({ "path": path.unwrap_or_default(), "property": property });
                let value = self.qmp("qom-get", get).await.ok();
                let text = value.as_ref().and_then(Value::as_str).map(str::trim);
                cpu_model = text.filter(|text| !text.is_empty()).map(clean);
            }
        }
        Some(Facts {
            uuid: uuid.filter(|id| launch::is_uuid(id)),
            memory_bytes: size("base-memory").map(|base| base.saturating_add(plugged)),
            cpus: Some(cpus.len()),
            cpu_model,
        })
    }

    /// Whether the guest's firmware may still reset it.
    fn is_starting(&self) -> bool {
        self.started.is_some_and(|started| started.elapsed() < FIRMWARE_RESETS)
    }

    /// The guest starts, with the boot order of this moment.
    fn note_start(&mut self) {
        let now = Instant::now();
        self.started = Some(now);
        if self.boot_due.is_some() {
            self.boot_due = Some(now + FIRMWARE_RESETS);
        }
    }

    /// Boots from `source` from the next start on.
    async fn set_boot(&mut self, source: Source) -> Result<(), String> {
        self.boot = source;
        if self.is_starting() {
            self.boot_due = self.started.map(|started| started + FIRMWARE_RESETS);
            // Whether the host has the device is known now.
            return boot::order(&self.config.boot, source).map(drop);
        }
        self.apply_boot().await
    }

    /// Sets the boot order whose time has come.
    async fn apply_late_boot(&mut self) {
        if let Err(error) = self.apply_boot().await {
            warn!(error, "cannot set the boot order; QEMU's own stays");
        }
    }

    /// Gives the devices the boot order that is set.
    async fn apply_boot(&mut self) -> Result<(), String> {
        self.boot_due = None;
        let order = boot::order(&self.config.boot, self.boot)?;
        if self.link.is_none() {
            return Ok(());
        }
        // An index may be given to one device only.
        for path in &order {
            self.set_boot_index(path, -1).await?;
        }
        for (index, path) in (0..).zip(&order) {
            self.set_boot_index(path, index).await?;
        }
        Ok(())
    }

    async fn set_boot_index(&mut self, path: &str, index: i32) -> Result<(), String> {
        let set = json!({ "path": path, "property": "bootindex", "value": index });
        let set = self.qmp("qom-set", set).await;
        set.map(drop).map_err(|error| format!("{path}: {error}"))
    }
}

/// Text for an inventory: printable, and bounded.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests;
