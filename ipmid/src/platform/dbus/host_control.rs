//! `xyz.openbmc_project.Control.Host`: commands of services to the host, such as a soft power-off, and
//! `xyz.openbmc_project.Condition.HostFirmware`: whether it responds. As OpenBMC's `host-interface.cpp`
//! and `host-cmd-manager.cpp`; a command waits in the event message buffer until the host reads it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::Iana;
use openbmc_dbus::bus;
use openbmc_dbus::control::host::{Command, FirmwareCondition, Outcome, PATH, SERVICE};
use tokio::sync::oneshot;
use tokio::{task, time};
use tracing::warn;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, fdo, interface};

use crate::model::message_queue::{EventRecord, Messages};

/// How long the host may take to read a command.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// The record's id, type and network function, which stand for a command of OpenBMC's to the host.
const RECORD_ID: [u8; 2] = 0x5555_u16.to_le_bytes();
const RECORD_TYPE: u8 = 0xc0;
const NETFN: u8 = 0x3a;
const UNUSED: u8 = 0xff;

/// The D-Bus object that takes commands to the host.
#[derive(Clone, Debug)]
pub struct HostControl {
    /// The queue that the host reads commands from.
    pub messages: Arc<Messages>,
    /// The manufacturer ID of Get Device ID, which each command record carries.
    pub manufacturer: Iana,
}

impl HostControl {
    /// Serves as long as the daemon runs, across restarts of the bus.
    pub async fn serve(&self) -> Infallible {
        bus::serve_owned(SERVICE, async move |connection| self.publish(&connection).await).await
    }

    /// Publishes the object on `connection`. It has no object manager, because listing objects would read the
    /// condition and so send the host a heartbeat.
    async fn publish(&self, connection: &Connection) -> zbus::Result<()> {
        let server = connection.object_server();
        server.at(PATH, self.clone()).await?;
        server.at(PATH, HostFirmware(self.clone())).await.map(drop)
    }

    fn record(&self, command: Command) -> EventRecord {
        let (number, data) = match command {
            Command::SoftOff => (0x04, 0x00),
            Command::Heartbeat => (0xff, 0x00),
        };
        let [id0, id1] = RECORD_ID;
        let [iana0, iana1, iana2] = self.manufacturer.to_bytes();
        let (kind, time) = (RECORD_TYPE, 0);
        [
            id0, id1, kind, iana0, iana1, iana2, time, time, time, time, NETFN, number, data,
            UNUSED, UNUSED, UNUSED,
        ]
    }

    fn queue(&self, command: Command) -> fdo::Result<oneshot::Receiver<()>> {
        let queued = self.messages.queue_host_command(self.record(command));
        queued.map_err(|_| {
            fdo::Error::LimitsExceeded("too many commands wait for the host".to_owned())
        })
    }

    /// Whether the host reads the command in time; otherwise the command is removed from the queue.
    async fn has_read(&self, queued: oneshot::Receiver<()>) -> bool {
        let read = time::timeout(READ_TIMEOUT, queued).await;
        self.messages.remove_abandoned();
        matches!(read, Ok(Ok(())))
    }
}

#[interface(name = "xyz.openbmc_project.Control.Host")]
impl HostControl {
    /// Queues `command` for the host, and reports the outcome with the signal `CommandComplete`.
    async fn execute(
        &self,
        command: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        let command: Command =
            command.parse().map_err(|_| fdo::Error::InvalidArgs("no such command".to_owned()))?;
        let queued = self.queue(command)?;
        let (this, emitter) = (self.clone(), emitter.to_owned());
        task::spawn(async move {
            let outcome =
                if this.has_read(queued).await { Outcome::Success } else { Outcome::Failure };
            let (command, outcome) = (command.as_str(), outcome.as_str());
            if let Err(error) = Self::command_complete(&emitter, command, outcome).await {
                warn!(%error, command, outcome, "cannot send CommandComplete; the sender of the command gets no result");
            }
        });
        Ok(())
    }

    #[zbus(signal)]
    async fn command_complete(
        emitter: &SignalEmitter<'_>,
        command: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

struct HostFirmware(HostControl);

#[interface(name = "xyz.openbmc_project.Condition.HostFirmware")]
impl HostFirmware {
    /// `Running` if the host reads a heartbeat in time.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn current_firmware_condition(&self) -> fdo::Result<String> {
        let queued = self.0.queue(Command::Heartbeat)?;
        let condition = if self.0.has_read(queued).await {
            FirmwareCondition::Running
        } else {
            FirmwareCondition::Off
        };
        Ok(condition.to_string())
    }
}

#[cfg(test)]
mod tests;
