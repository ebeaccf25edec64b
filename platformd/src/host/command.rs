//! A host that is switched by programs, one for each operation: what another hypervisor, a power strip or a relay
//! needs.
//!
//! A program gets the boot device in the environment (`CAUSEWAY_BOOT`). `status` prints `on`, `off`, `paused` or
//! `panicked` in its last line; the others are believed when `status` says that the host is where they lead.

use std::time::Duration;

use daemon::Outage;
use openbmc_dbus::control::boot::source::Source;
use tokio::sync::mpsc::Receiver;
use tokio::time::{self, Instant};
use tracing::{info, warn};

use super::program::run;
use super::{Driver, OffCause, Operation, OperationError, Order, Report, Reports, State};
use crate::config::{Commands, Host, Program};

/// The environment's variable with the boot device.
const BOOT_VARIABLE: &str = "CAUSEWAY_BOOT";
/// Time between two looks at the status after a program that changes it.
const LOOK: Duration = Duration::from_millis(250);
/// The same while the operating system shuts down.
const SHUTDOWN_LOOK: Duration = Duration::from_millis(500);

/// The programs, and what they have reported.
pub(super) struct Programs {
    commands: Commands,
    soft_off_limit: Duration,
    boot: Source,
    state: Option<State>,
    /// Until when a shutdown is expected.
    shutdown: Option<Instant>,
    outage: Outage<String>,
}

impl Programs {
    pub(super) fn new(config: &Host) -> Self {
        Self {
            commands: config.commands.clone(),
            soft_off_limit: config.soft_off_limit(),
            boot: Source::Default,
            state: None,
            shutdown: None,
            outage: Outage::new(),
        }
    }

    async fn execute(
        &mut self,
        operation: Operation,
        reports: &Reports,
    ) -> Result<(), OperationError> {
        match operation {
            Operation::Boot(source) => {
                self.boot = source;
                Ok(())
            }
            Operation::On => self.switch("on", self.commands.on.clone(), true, reports).await,
            Operation::Off => self.switch("off", self.commands.off.clone(), false, reports).await,
            Operation::Cycle => {
                self.switch("cycle", self.commands.cycle.clone(), true, reports).await?;
                reports.send(Report::Restarted { by_guest: false }).await;
                Ok(())
            }
            Operation::Reset => {
                self.switch("reset", self.commands.reset.clone(), true, reports).await?;
                reports.send(Report::Restarted { by_guest: false }).await;
                Ok(())
            }
            Operation::SoftOff => {
                self.execute_program("soft-off", self.commands.soft_off.as_ref()).await?;
                self.shutdown = Some(Instant::now() + self.soft_off_limit);
                Ok(())
            }
            Operation::Interrupt => {
                self.execute_program("diag", self.commands.diag.as_ref()).await.map(drop)
            }
        }
    }

    /// Runs a program, and waits until the host is on, or off. Both share the program's time limit.
    async fn switch(
        &mut self,
        name: &str,
        program: Option<Program>,
        on: bool,
        reports: &Reports,
    ) -> Result<(), OperationError> {
        self.shutdown = None;
        let limit = program.as_ref().map_or(0, |program| program.limit_ms);
        let end = Instant::now() + Duration::from_millis(limit);
        self.execute_program(name, program.as_ref()).await?;
        loop {
            self.look(reports, OffCause::Order).await;
            if self.state.as_ref().is_some_and(|state| matches!(state, State::Off(_)) != on) {
                return Ok(());
            }
            if Instant::now() >= end {
                let wanted = if on { "on" } else { "off" };
                let text = format!(
                    "`{name}` succeeded, but `status` does not say {wanted} within {limit} ms"
                );
                return Err(OperationError::Failed(text));
            }
            time::sleep(LOOK).await;
        }
    }

    async fn execute_program(
        &self,
        name: &str,
        program: Option<&Program>,
    ) -> Result<String, OperationError> {
        let Some(program) = program else {
            let text = format!("the host's configuration has no program `{name}`");
            return Err(OperationError::Unsupported(text));
        };
        let limit = Duration::from_millis(program.limit_ms);
        let said = run(&program.run, (BOOT_VARIABLE, boot_name(self.boot)), limit).await;
        said.map_err(|text| OperationError::Failed(format!("`{name}`: {text}")))
    }

    /// Asks for the status, and reports it.
    async fn look(&mut self, reports: &Reports, cause: OffCause) {
        let said = self.execute_program("status", self.commands.status.as_ref()).await;
        let state = said.map_err(|error| error.to_string()).and_then(|said| parse(&said, cause));
        match state {
            Ok(state) => {
                if self.outage.end() {
                    info!("the host's status is known again");
                }
                let is_off = matches!(state, State::Off(_));
                if is_off {
                    self.shutdown = None;
                }
                // Why it is off is known when it goes off.
                if !(is_off && matches!(self.state, Some(State::Off(_)))) {
                    self.state = Some(state.clone());
                    reports.send(Report::State(state)).await;
                }
            }
            Err(error) => {
                if self.outage.begin_for(error.clone()) {
                    warn!(error, "the host's status is unknown; its state stays as it was");
                }
            }
        }
    }

    /// The time until the next look at the status.
    fn interval(&self) -> Duration {
        let usual = Duration::from_millis(self.commands.status_interval_ms);
        match self.shutdown {
            Some(end) if Instant::now() < end => usual.min(SHUTDOWN_LOOK),
            _ => usual,
        }
    }
}

impl Driver for Programs {
    fn cycles(&self) -> bool {
        self.commands.cycle.is_some()
    }

    async fn run(mut self, mut orders: Receiver<Order>, reports: Reports) {
        self.look(&reports, OffCause::Unknown).await;
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some(Order { id, operation }) = order else { return };
                    let result = self.execute(operation, &reports).await;
                    reports.send(Report::Done { id, result }).await;
                }
                () = time::sleep(self.interval()) => {
                    let asked = self.shutdown.is_some();
                    let cause = if asked { OffCause::Guest } else { OffCause::Unknown };
                    self.look(&reports, cause).await;
                }
            }
        }
    }
}

/// The state that `status` has printed.
fn parse(said: &str, cause: OffCause) -> Result<State, String> {
    match said {
        "on" => Ok(State::On),
        "off" => Ok(State::Off(cause)),
        "paused" => Ok(State::Paused),
        "panicked" => Ok(State::Panicked),
        other => Err(format!("`status` printed {other:?}, not on, off, paused or panicked")),
    }
}

const fn boot_name(source: Source) -> &'static str {
    match source {
        Source::Default => "default",
        Source::Disk => "disk",
        Source::Network => "pxe",
        Source::ExternalMedia => "cdrom",
        Source::RemovableMedia => "removable",
        Source::HTTP => "http",
    }
}

#[cfg(test)]
mod tests;
