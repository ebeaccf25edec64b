//! The power operations.

use std::time::Duration;

use serde_json::json;
use tokio::time::{self, Instant};
use tracing::{info, warn};

use super::{Guest, launch};
use crate::host::program::Started;
use crate::host::qemu::qmp::{Event, Qmp};
use crate::host::{OffCause, Operation, OperationError, Report, State};

/// Time between two attempts to connect to a QEMU that starts.
const CONNECT_INTERVAL: Duration = Duration::from_millis(20);
/// How long a killed process may take to end.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long the event of a reset may take.
const RESET_LIMIT: Duration = Duration::from_secs(2);

impl Guest {
    /// Executes an operation.
    pub(super) async fn execute(&mut self, operation: Operation) -> Result<(), OperationError> {
        let done = match operation {
            Operation::On => self.switch_on().await,
            Operation::Off => self.switch_off().await,
            Operation::Reset => self.reset().await,
            Operation::SoftOff => self.command("system_powerdown").await,
            Operation::Interrupt => self.command("inject-nmi").await,
            Operation::Boot(source) => self.set_boot(source).await,
            Operation::Cycle => {
                let text = "a cycle is an off and an on".to_owned();
                return Err(OperationError::Unsupported(text));
            }
        };
        done.map_err(OperationError::Failed)
    }

    async fn command(&mut self, command: &str) -> Result<(), String> {
        self.qmp(command, json!({})).await.map(drop).map_err(|error| error.to_string())
    }

    async fn switch_on(&mut self) -> Result<(), String> {
        if self.link.is_none() {
            self.find().await;
        }
        if self.link.is_none() {
            self.start().await?;
        }
        let status =
            self.qmp("query-status", json!({})).await.map_err(|error| error.to_string())?;
        match status.get("status").and_then(serde_json::Value::as_str).unwrap_or_default() {
            "running" => {}
            "prelaunch" | "shutdown" => {
                // The firmware reads the boot order at a reset. What is off has not been running, so that this
                // reset is no restart.
                self.reset_quietly().await?;
                self.command("cont").await?;
            }
            "guest-panicked" | "internal-error" => {
                self.reset_quietly().await?;
                self.command("cont").await?;
                self.reports.send(Report::Restarted { by_guest: false }).await;
            }
            _ => self.command("cont").await?,
        }
        self.report(State::On).await;
        Ok(())
    }

    /// Starts QEMU, and waits until it answers.
    async fn start(&mut self) -> Result<(), String> {
        if self.child.is_some() {
            return Err("QEMU runs, and cannot be controlled; switch it off first".to_owned());
        }
        let words = launch::command_line(&self.config)?;
        let program = words.first().map_or("", String::as_str).to_owned();
        let child = Started::start(&words);
        let mut child = child.map_err(|error| format!("{program} cannot be started: {error}"))?;
        info!(program, process = child.id(), "QEMU started");
        let limit = self.config.start_limit_ms;
        let end = Instant::now() + Duration::from_millis(limit);
        // A program may start QEMU in the background and end.
        let mut has_ended = false;
        loop {
            let refused = match Qmp::connect(&self.config.qmp).await {
                Ok(link) => {
                    self.link = Some(link);
                    self.child = (!has_ended).then_some(child);
                    self.greet().await;
                    return Ok(());
                }
                Err(error) => error,
            };
            if !has_ended && let Ok(ended) = time::timeout(CONNECT_INTERVAL, child.ended()).await {
                let ended = ended.map_err(|error| format!("{program}: {error}"))?;
                if !ended.status.success() {
                    return Err(format!("{program} {ended}"));
                }
                has_ended = true;
            }
            if Instant::now() >= end {
                child.kill();
                return Err(format!("QEMU does not answer within {limit} ms: {refused}"));
            }
            if has_ended {
                time::sleep(CONNECT_INTERVAL).await;
            }
        }
    }

    /// Ends QEMU: by its own means, and by a signal after the time limit.
    async fn switch_off(&mut self) -> Result<(), String> {
        if self.link.is_none() && self.child.is_none() {
            self.find().await;
        }
        let end = Instant::now() + Duration::from_millis(self.config.off_limit_ms);
        if let Some(link) = &mut self.link {
            // A QEMU that ends at once does not always answer.
            let quit = async {
                let _ended = link.execute("quit", json!({})).await;
                while link.event().await.is_ok() {}
            };
            let is_late = time::timeout_at(end, quit).await.is_err();
            self.link = None;
            if is_late && self.child.is_none() {
                let text = "QEMU does not quit, and this daemon did not start it";
                return Err(text.to_owned());
            }
        }
        if let Some(mut child) = self.child.take()
            && time::timeout_at(end, child.ended()).await.is_err()
        {
            warn!(process = child.id(), "QEMU does not quit; killing it");
            child.kill();
            if time::timeout(KILL_LIMIT, child.ended()).await.is_err() {
                self.child = Some(child);
                return Err("QEMU does not end after SIGKILL".to_owned());
            }
        }
        // Only an answer that nobody is there is an end: QEMU closes its connections first.
        loop {
            match Qmp::connect(&self.config.qmp).await {
                Err(error) if error.is_absent() => break,
                _ if Instant::now() >= end => return Err("QEMU does not end".to_owned()),
                _ => time::sleep(CONNECT_INTERVAL).await,
            }
        }
        self.report(State::Off(OffCause::Order)).await;
        Ok(())
    }

    async fn reset(&mut self) -> Result<(), String> {
        self.reset_quietly().await?;
        self.reports.send(Report::Restarted { by_guest: false }).await;
        if matches!(self.state, Some(State::Panicked)) {
            self.command("cont").await?;
        }
        self.refresh().await;
        Ok(())
    }

    /// Resets the machine, and takes the event that says so.
    async fn reset_quietly(&mut self) -> Result<(), String> {
        if self.boot_due.is_some() {
            self.apply_late_boot().await;
        }
        self.note_start();
        self.command("system_reset").await?;
        let mut others = Vec::new();
        let seen = async {
            while let Some(link) = &mut self.link {
                match link.event().await {
                    Ok(Event::Reset { by_guest: false }) => return Ok(()),
                    Ok(event) => others.push(event),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        let seen = time::timeout(RESET_LIMIT, seen).await;
        for event in others {
            self.handle(event).await;
        }
        match seen {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.disconnected(&error).await;
                Err(format!("QEMU ended at the reset: {error}"))
            }
            Err(_) => Err("QEMU does not report the reset".to_owned()),
        }
    }
}
