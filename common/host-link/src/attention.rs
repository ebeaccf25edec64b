//! The object through which `ipmid` gets the host's attention.
//!
//! `xyz.openbmc_project.Ipmi.Channel.SMS` at `/xyz/openbmc_project/Ipmi/Channel/<channel>`, as
//! OpenBMC's kcsbridge serves it; and for BT `org.openbmc.HostIpmi`, as OpenBMC's btbridge does, where
//! OpenBMC's `ipmid` looks for it. Who may call is the bus policy's matter.

use openbmc_dbus::bus;
use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::host_ipmi;
use openbmc_dbus::ipmi::names::CHANNEL_PATH_PREFIX;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use zbus::{Connection, interface};

/// Calls that may wait for the bridge.
const QUEUE: usize = 8;

/// What a caller wants of the host interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Raise the attention flag.
    SetAttention,
    /// Lower the attention flag.
    ClearAttention,
    /// Put the interface into its error state.
    ForceAbort,
}

/// One call, to be answered with whether it was done.
#[derive(Debug)]
pub struct Call {
    /// What is wanted.
    pub wish: Wish,
    /// Takes `false` when the device refused.
    pub done: oneshot::Sender<bool>,
}

/// Serves the object of `channel` whenever there is a bus, and with `is_host_ipmi` also btbridge's; calls
/// come out of the receiver.
#[must_use]
pub fn serve(channel: &str, link: LinkState, is_host_ipmi: bool) -> mpsc::Receiver<Call> {
    let (calls, receiver) = mpsc::channel(QUEUE);
    let path = format!("{CHANNEL_PATH_PREFIX}{channel}");
    tokio::spawn(keep_serving(path, link, Sms { calls }, is_host_ipmi));
    receiver
}

async fn keep_serving(path: String, mut link: LinkState, sms: Sms, is_host_ipmi: bool) {
    loop {
        let connection = link.borrow_and_update().clone();
        if let Some(connection) = connection {
            let served = connection.object_server().at(path.as_str(), sms.clone());
            if let Err(error) = served.await {
                warn!(%error, %path, "the attention object cannot be served");
            }
            if is_host_ipmi && let Err(error) = serve_host_ipmi(connection, sms.clone()).await {
                warn!(%error, "no attention through {}", host_ipmi::SERVICE);
            }
        }
        if link.changed().await.is_err() {
            return;
        }
    }
}

/// Serves btbridge's object; the name may be that of a second BT interface's bridge.
async fn serve_host_ipmi(connection: Connection, sms: Sms) -> zbus::Result<()> {
    let object = HostIpmi(sms);
    connection.object_server().at(host_ipmi::PATH, object).await?;
    tokio::spawn(async move { bus::keep_name(&connection, host_ipmi::SERVICE).await });
    Ok(())
}

#[derive(Clone)]
struct Sms {
    calls: mpsc::Sender<Call>,
}

struct HostIpmi(Sms);

#[interface(name = "org.openbmc.HostIpmi")]
impl HostIpmi {
    /// Raises the flag, and gives 0.
    #[zbus(name = "setAttention")]
    async fn set_attention(&self) -> Result<i64, SmsError> {
        self.0.ask(Wish::SetAttention).await.map(|()| 0)
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
    async fn ask(&self, wish: Wish) -> Result<(), SmsError> {
        let (done, answer) = oneshot::channel();
        let failed = || SmsError::InternalFailure("the host interface refused".into());
        self.calls.send(Call { wish, done }).await.map_err(|_| failed())?;
        match answer.await {
            Ok(true) => Ok(()),
            _ => Err(failed()),
        }
    }
}

#[interface(name = "xyz.openbmc_project.Ipmi.Channel.SMS")]
impl Sms {
    #[zbus(name = "setAttention")]
    async fn set_attention(&self) -> Result<(), SmsError> {
        self.ask(Wish::SetAttention).await
    }

    #[zbus(name = "clearAttention")]
    async fn clear_attention(&self) -> Result<(), SmsError> {
        self.ask(Wish::ClearAttention).await
    }

    #[zbus(name = "forceAbort")]
    async fn force_abort(&self) -> Result<(), SmsError> {
        self.ask(Wish::ForceAbort).await
    }
}
