//! The host behind the BMC: what executes power operations, and what reports the host's state.
//!
//! A [`Backend`] is the state machine behind `State.Host` and `State.Chassis`. There are two:
//! [`simulated`], whose host is a plan of timers, and [`machine`], whose host is outside this process and
//! reached by a [`Driver`]. A new kind of host is a file with a driver, an entry of `BackendKind` and an arm of
//! [`open`].

mod command;
pub(crate) mod console;
pub(crate) mod faults;
mod lines;
mod machine;
mod program;
mod qemu;
mod simulated;
pub(crate) mod states;

use std::future;
use std::time::Duration;

use daemon::AbortOnDrop;
use openbmc_dbus::control::boot::source::Source;
use openbmc_dbus::state::host::RestartCause;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time;

use self::command::Programs;
use self::faults::Faulty;
use self::machine::Machine;
use self::qemu::Qemu;
use self::simulated::Simulated;
use crate::config::{BackendKind, Platform};
use crate::fault::Fault;
use crate::part::{Context, PowerRequest, Ticket};

/// How many orders and reports may wait.
const QUEUE: usize = 64;
/// How long the first report may take before the platform is served without it.
const FIRST_REPORT: Duration = Duration::from_secs(1);

/// When the reply to a request is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Accepted {
    /// Now.
    Done,
    /// When the ticket is settled.
    Later(Ticket),
}

/// What executes power operations and publishes the states of chassis and host.
pub(crate) trait Backend: Send {
    /// Publishes the states with which the platform starts; the objects exist.
    fn start(&mut self, context: &mut Context<'_>);

    /// Begins to execute a request.
    ///
    /// # Errors
    ///
    /// When the host cannot do that.
    fn begin(
        &mut self,
        context: &mut Context<'_>,
        request: PowerRequest,
        cause: RestartCause,
    ) -> Result<Accepted, Fault>;

    /// Gives the host a diagnostic interrupt.
    ///
    /// # Errors
    ///
    /// When the host cannot do that.
    fn interrupt(&mut self, context: &mut Context<'_>) -> Result<Accepted, Fault>;

    /// The fault that is set on the bus changed.
    fn fault_changed(&mut self, _: &mut Context<'_>) {}

    /// The boot settings changed.
    fn boot_settings_changed(&mut self, _: &mut Context<'_>) {}

    /// Applies the values of another configuration that can change while it runs.
    fn reconfigure(&mut self, _: &Platform) {}

    /// Acts on a report of a [`Driver`].
    fn report(&mut self, _: &mut Context<'_>, _: &Report) {}

    /// Called when [`deadline`](Self::deadline) is reached.
    fn timeout(&mut self, context: &mut Context<'_>);

    /// The uptime at which it wants to act next.
    fn deadline(&self) -> Option<Duration>;
}

/// What reaches a host outside this process.
pub(crate) trait Driver: Send + 'static {
    /// Whether it executes [`Operation::Cycle`]; if not, a cycle is an off, a pause and an on.
    fn cycles(&self) -> bool;

    /// Executes orders, one after the other, each within a time limit of its own, and reports the host's state at
    /// the start and at each change.
    fn run(self, orders: Receiver<Order>, reports: Reports) -> impl Future<Output = ()> + Send;
}

/// An operation that a driver is to execute; it reports [`Report::Done`] with the number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) operation: Operation,
}

/// The operations of a driver. Each is done when the host is in the state that it leads to, if it leads to one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    /// The host is on and runs.
    On,
    /// The host is off.
    Off,
    /// The host was off, and is on and runs.
    Cycle,
    /// The host was reset; the driver also reports [`Report::Restarted`].
    Reset,
    /// The operating system was asked to shut down.
    SoftOff,
    /// The host got a diagnostic interrupt.
    Interrupt,
    /// From now on each start and reset boots from there.
    Boot(Source),
}

/// The state of a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// It is on and runs.
    On,
    /// It is on, and does not run.
    Paused,
    /// It is on, and its operating system has panicked.
    Panicked,
    /// It is off.
    Off(OffCause),
}

/// Why a host is off.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum OffCause {
    /// It was off when it was found, or the reason is unknown.
    Unknown,
    /// An operation of this process.
    Order,
    /// It shut itself down.
    Guest,
    /// Its operating system has panicked.
    Panic,
    /// Something outside ended it.
    Lost(String),
}

/// Why an operation failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum OperationError {
    /// The configuration has nothing that executes it.
    #[error("{0}")]
    Unsupported(String),
    /// It was executed, and failed.
    #[error("{0}")]
    Failed(String),
}

/// What a driver reports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Report {
    /// The host's state; also when it has not changed.
    State(State),
    /// The host was reset, and starts again.
    Restarted {
        /// Whether the host did so itself.
        by_guest: bool,
    },
    /// The operating system has panicked; what becomes of the host is reported separately.
    Panicked,
    /// What the host is made of.
    Facts(Facts),
    /// An order was executed.
    Done { id: u64, result: Result<(), OperationError> },
}

/// What a host is made of, as far as its driver knows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Facts {
    /// The system's UUID, in text form.
    pub(crate) uuid: Option<String>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cpus: Option<usize>,
    pub(crate) cpu_model: Option<String>,
}

/// Where a driver sends its reports.
#[derive(Clone, Debug)]
pub(crate) struct Reports(Sender<Report>);

impl Reports {
    pub(crate) async fn send(&self, report: Report) {
        // Without a receiver the platform ends, and this task with it.
        let _ = self.0.send(report).await;
    }
}

/// The reports of a driver, which runs until this is dropped. For a simulated host there are none.
pub(crate) struct Running {
    reports: Receiver<Report>,
    driver: Option<AbortOnDrop>,
}

impl Running {
    /// The next report; pending if there is none. Cancel safe.
    pub(crate) async fn next(&mut self) -> Report {
        match self.reports.recv().await {
            Some(report) => report,
            None => future::pending().await,
        }
    }

    /// The reports up to the first state, if it comes soon: clients that read the states as soon as they can then
    /// read those of the host.
    pub(crate) async fn first(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        if self.driver.is_none() {
            return reports;
        }
        let found = async {
            while !matches!(reports.last(), Some(Report::State(_))) {
                reports.push(self.next().await);
            }
        };
        let _late = time::timeout(FIRST_REPORT, found).await;
        reports
    }
}

/// The host that the platform's file describes. A host outside this process needs a runtime.
pub(crate) fn open(config: &Platform, power_lost: bool) -> (Box<dyn Backend>, Running) {
    match config.host.backend {
        BackendKind::Simulated => {
            let (_, reports) = mpsc::channel(1);
            (simulated(config, power_lost), Running { reports, driver: None })
        }
        BackendKind::Qemu => outside(config, Qemu::new(&config.host)),
        BackendKind::Command => outside(config, Programs::new(&config.host)),
    }
}

/// The system's UUID, if it is known before the host runs.
pub(crate) fn uuid_before_start(config: &Platform) -> Option<String> {
    match config.host.backend {
        BackendKind::Qemu => qemu::uuid_before_start(&config.host),
        BackendKind::Simulated | BackendKind::Command => None,
    }
}

/// The simulated host.
pub(crate) fn simulated(config: &Platform, power_lost: bool) -> Box<dyn Backend> {
    let host = Simulated::new(&config.chassis, &config.host, power_lost);
    Box::new(Faulty::new(Box::new(host)))
}

/// A host outside this process, with its driver running.
fn outside(config: &Platform, driver: impl Driver) -> (Box<dyn Backend>, Running) {
    let (orders, received) = mpsc::channel(QUEUE);
    let (sender, reports) = mpsc::channel(QUEUE);
    let machine = Machine::new(config, driver.cycles(), orders);
    let task = AbortOnDrop::spawn(driver.run(received, Reports(sender)));
    (Box::new(Faulty::new(Box::new(machine))), Running { reports, driver: Some(task) })
}
