//! The SOL payload and the host's console on D-Bus: `org.causeway.Ipmi.Channel.Sol`.
//!
//! OpenBMC has no such interface; this one is ours. Nothing is sent unless somebody asks.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::{names, sol_payload};
use tokio::sync::{mpsc, oneshot};
use zbus::{fdo, interface};

use super::InstanceNumber;

/// A request of a program on the BMC.
#[derive(Debug)]
pub enum SolRequest {
    /// Reports the present state.
    State(oneshot::Sender<SolState>),
    /// Ends an instance.
    Release(InstanceNumber, oneshot::Sender<bool>),
    /// Attaches a program to the console, for input too if it is `true`.
    Attach(bool, oneshot::Sender<io::Result<OwnedFd>>),
}

/// The state of the payload and of the console.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SolState {
    /// The address of the host's console.
    pub console: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether SOL may be activated.
    pub enabled: bool,
    /// How many instances can be active.
    pub capacity: u8,
    /// The active instances.
    pub instances: Vec<sol_payload::Instance>,
    /// How many programs on the BMC are attached.
    pub attached: u8,
    /// Bytes that the host has printed.
    pub bytes_from_host: u64,
    /// Bytes that the host was sent.
    pub bytes_to_host: u64,
}

/// Publishes the payload of `channel` on each new connection to the bus, for ever.
pub async fn publish_payload(
    channel: &str,
    mut link: LinkState,
    requests: mpsc::UnboundedSender<SolRequest>,
) {
    let path = format!("{}{}", names::CHANNEL_PATH_PREFIX, channel.replace('-', "_"));
    while link.changed().await.is_ok() {
        let Some(bus) = link.borrow_and_update().clone() else {
            continue;
        };
        let object = PayloadObject { requests: requests.clone() };
        if let Err(error) = bus.object_server().at(path.as_str(), object).await {
            tracing::warn!(%error, "cannot publish the SOL payload on the bus: causewayctl does not find it");
        }
    }
}

struct PayloadObject {
    requests: mpsc::UnboundedSender<SolRequest>,
}

impl PayloadObject {
    async fn ask<R>(
        &self,
        request: impl FnOnce(oneshot::Sender<R>) -> SolRequest,
    ) -> fdo::Result<R> {
        let (sender, answer) = oneshot::channel();
        let gone = || fdo::Error::Failed("the bridge is ending".to_owned());
        self.requests.send(request(sender)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    async fn state(&self) -> fdo::Result<SolState> {
        self.ask(SolRequest::State).await
    }
}

#[interface(name = "org.causeway.Ipmi.Channel.Sol")]
impl PayloadObject {
    #[zbus(property(emits_changed_signal = "false"))]
    async fn console(&self) -> fdo::Result<String> {
        Ok(self.state().await?.console)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn connected(&self) -> fdo::Result<bool> {
        Ok(self.state().await?.connected)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn enabled(&self) -> fdo::Result<bool> {
        Ok(self.state().await?.enabled)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn capacity(&self) -> fdo::Result<u8> {
        Ok(self.state().await?.capacity)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn instances(&self) -> fdo::Result<Vec<sol_payload::Instance>> {
        Ok(self.state().await?.instances)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn attached(&self) -> fdo::Result<u8> {
        Ok(self.state().await?.attached)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn bytes_from_host(&self) -> fdo::Result<u64> {
        Ok(self.state().await?.bytes_from_host)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn bytes_to_host(&self) -> fdo::Result<u64> {
        Ok(self.state().await?.bytes_to_host)
    }

    /// Ends an instance, with a notice to its session; the result says whether it was active.
    async fn release(&self, instance: u8) -> fdo::Result<bool> {
        let number = InstanceNumber::new(instance).filter(|_| instance <= 15);
        let number =
            number.ok_or_else(|| fdo::Error::InvalidArgs("an instance is 1 to 15".to_owned()))?;
        self.ask(|answer| SolRequest::Release(number, answer)).await
    }

    /// Attaches the caller to the host's console: a stream socket with its output, which takes input if `write`.
    async fn attach(&self, write: bool) -> fdo::Result<zbus::OwnedFd> {
        let attached = self.ask(|answer| SolRequest::Attach(write, answer)).await?;
        attached.map(zbus::OwnedFd::from).map_err(|error| match error.kind() {
            ErrorKind::NotFound => fdo::Error::NotSupported("the host has no console".to_owned()),
            ErrorKind::QuotaExceeded => {
                fdo::Error::LimitsExceeded("too many programs are attached".to_owned())
            }
            _ => fdo::Error::Failed(error.to_string()),
        })
    }
}
