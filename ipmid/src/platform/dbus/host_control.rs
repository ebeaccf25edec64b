//! `xyz.openbmc_project.Control.Host`: services that have the host told something, a soft power-off say, and
//! `xyz.openbmc_project.Condition.HostFirmware`: whether it listens. As OpenBMC's `host-interface.cpp`
//! and `host-cmd-manager.cpp`; what is told waits in the event message buffer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::Iana;
use openbmc_dbus::control::host::{Command, FirmwareCondition, Outcome, PATH, SERVICE};
use tokio::sync::oneshot;
use tokio::{task, time};
use tracing::warn;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, fdo, interface};

use super::owned;
use crate::model::message_queue::{EventRecord, Messages};

/// How long the host may take to read what it is told.
const PATIENCE: Duration = Duration::from_secs(3);
/// The record's id, type and network function, which stand for a command of OpenBMC's to the host.
const RECORD_ID: [u8; 2] = 0x5555_u16.to_le_bytes();
const RECORD_TYPE: u8 = 0xc0;
const NETFN: u8 = 0x3a;
const UNUSED: u8 = 0xff;

/// Who tells the host.
#[derive(Clone, Debug)]
pub struct HostControl {
    /// Where the host reads it.
    pub messages: Arc<Messages>,
    /// The manufacturer, as Get Device ID has it.
    pub manufacturer: Iana,
}

impl HostControl {
    /// Serves for as long as the daemon lives, whatever the bus does.
    pub async fn serve(&self) -> Infallible {
        owned::serve(SERVICE, async move |connection| self.place(&connection).await).await
    }

    /// Puts the object on `connection`. There is no object manager above it, which would read the condition
    /// and so have a heartbeat sent whenever somebody lists objects.
    async fn place(&self, connection: &Connection) -> zbus::Result<()> {
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

    fn tell(&self, command: Command) -> fdo::Result<oneshot::Receiver<()>> {
        let told = self.messages.tell(self.record(command));
        told.map_err(|_| fdo::Error::LimitsExceeded("too much is told to the host".to_owned()))
    }

    /// Whether the host has read it in time; else it is withdrawn.
    async fn has_read(&self, told: oneshot::Receiver<()>) -> bool {
        let read = time::timeout(PATIENCE, told).await;
        self.messages.withdraw();
        matches!(read, Ok(Ok(())))
    }
}

#[interface(name = "xyz.openbmc_project.Control.Host")]
impl HostControl {
    /// Tells the host, and with a signal what became of it.
    async fn execute(
        &self,
        command: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        let command: Command =
            command.parse().map_err(|_| fdo::Error::InvalidArgs("no such command".to_owned()))?;
        let told = self.tell(command)?;
        let (this, emitter) = (self.clone(), emitter.to_owned());
        task::spawn(async move {
            let outcome =
                if this.has_read(told).await { Outcome::Success } else { Outcome::Failure };
            let (command, outcome) = (command.as_str(), outcome.as_str());
            if let Err(error) = Self::command_complete(&emitter, command, outcome).await {
                warn!(%error, command, outcome, "nobody is told what became of a command to the host");
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
        let told = self.0.tell(Command::Heartbeat)?;
        let condition = if self.0.has_read(told).await {
            FirmwareCondition::Running
        } else {
            FirmwareCondition::Off
        };
        Ok(condition.to_string())
    }
}

#[cfg(test)]
mod tests;
