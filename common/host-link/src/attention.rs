//! The object through which `ipmid` raises and lowers the host's attention flag.
//!
//! `xyz.openbmc_project.Ipmi.Channel.SMS` at `/xyz/openbmc_project/Ipmi/Channel/<channel>`, as
//! OpenBMC's kcsbridge serves it; and for BT `org.openbmc.HostIpmi`, as OpenBMC's btbridge does, where
//! OpenBMC's `ipmid` looks for it. The bus policy says who may call.

use openbmc_dbus::bus;
use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::host_ipmi;
use openbmc_dbus::ipmi::names::CHANNEL_PATH_PREFIX;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use zbus::{Connection, interface};

/// Method calls that may wait for the bridge.
const QUEUE: usize = 8;

/// An operation on the host interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SmsOperation {
    /// Raise the attention flag.
    SetAttention,
    /// Lower the attention flag.
    ClearAttention,
    /// Put the interface into its error state.
    ForceAbort,
}

/// One method call.
#[derive(Debug)]
pub struct SmsCall {
    /// The operation.
    pub operation: SmsOperation,
    /// Receives `false` if the device refused.
    pub done: oneshot::Sender<bool>,
}

/// Serves the object of `channel` on each connection to the bus, and with `is_host_ipmi` also
/// btbridge's. Method calls come out of the receiver.
#[must_use]
pub fn serve(
    channel: &str,
    bus_connection: LinkState,
    is_host_ipmi: bool,
) -> mpsc::Receiver<SmsCall> {
    let (calls, receiver) = mpsc::channel(QUEUE);
    let path = format!("{CHANNEL_PATH_PREFIX}{channel}");
    tokio::spawn(serve_on_each_connection(path, bus_connection, Sms { calls }, is_host_ipmi));
    receiver
}

async fn serve_on_each_connection(
    path: String,
    mut bus_connection: LinkState,
    sms: Sms,
    is_host_ipmi: bool,
) {
    loop {
        let connection = bus_connection.borrow_and_update().clone();
        if let Some(connection) = connection {
            let served = connection.object_server().at(path.as_str(), sms.clone());
            if let Err(error) = served.await {
                warn!(%error, %path, "cannot serve the attention object");
            }
            if is_host_ipmi && let Err(error) = serve_host_ipmi(connection, sms.clone()).await {
                // A second BT interface's bridge, say.
                warn!(name = host_ipmi::SERVICE, %error, "not serving attention under this bus name");
            }
        }
        if bus_connection.changed().await.is_err() {
            return;
        }
    }
}

/// Serves btbridge's object; the name may be that of a second BT interface's bridge.
async fn serve_host_ipmi(connection: Connection, sms: Sms) -> zbus::Result<()> {
    let object = HostIpmi(sms);
    connection.object_server().at(host_ipmi::PATH, object).await?;
    tokio::spawn(async move { bus::maintain_name(&connection, host_ipmi::SERVICE).await });
    Ok(())
}

#[derive(Clone)]
struct Sms {
    calls: mpsc::Sender<SmsCall>,
}

struct HostIpmi(Sms);

#[interface(name = "org.openbmc.HostIpmi")]
impl HostIpmi {
    /// Raises the flag, and returns 0.
    #[zbus(name = "setAttention")]
    async fn set_attention(&self) -> Result<i64, SmsError> {
        self.0.request(SmsOperation::SetAttention).await.map(|()| 0)
    }
}

/// The errors of the interface, by their names on the bus.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "xyz.openbmc_project.Common.Error")]
enum SmsError {
    #[zbus(error)]
    Zbus(zbus::Error),
    InternalFailure(String),
}

impl Sms {
    async fn request(&self, operation: SmsOperation) -> Result<(), SmsError> {
        let (done, result) = oneshot::channel();
        let failed = || SmsError::InternalFailure("the host interface refused".into());
        self.calls.send(SmsCall { operation, done }).await.map_err(|_| failed())?;
        match result.await {
            Ok(true) => Ok(()),
            _ => Err(failed()),
        }
    }
}

#[interface(name = "xyz.openbmc_project.Ipmi.Channel.SMS")]
impl Sms {
    #[zbus(name = "setAttention")]
    async fn set_attention(&self) -> Result<(), SmsError> {
        self.request(SmsOperation::SetAttention).await
    }

    #[zbus(name = "clearAttention")]
    async fn clear_attention(&self) -> Result<(), SmsError> {
        self.request(SmsOperation::ClearAttention).await
    }

    #[zbus(name = "forceAbort")]
    async fn force_abort(&self) -> Result<(), SmsError> {
        self.request(SmsOperation::ForceAbort).await
    }
}
