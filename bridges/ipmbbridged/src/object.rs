//! The object through which others on the BMC, `ipmid` among them, ask satellites.
//!
//! `org.openbmc.Ipmb` at `/xyz/openbmc_project/Ipmi/Channel/<channel>`, as OpenBMC's ipmbbridge
//! serves it, and with `sendRequestTo` beside: `sendRequest` names a satellite by a configured
//! channel byte only, and bridged requests (IPMI v2.0 §6.13) are for any address.

use std::collections::BTreeMap;

use ipmi_proto::{Lun, NetFn, Request, ipmb::IpmbAddress};
use openbmc_dbus::{
    execute::LinkState,
    ipmi::{ipmb, names::CHANNEL_PATH_PREFIX},
};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use zbus::interface;

use crate::tracker::Outcome;

/// Calls that may wait for the bridge.
const QUEUE: usize = 64;

/// A request of somebody on the bus.
#[derive(Debug)]
pub struct Call {
    /// The satellite.
    pub to: IpmbAddress,
    /// What it is asked.
    pub request: Request,
    /// Takes the outcome; dropped when no sequence number is free.
    pub done: oneshot::Sender<Outcome>,
}

/// `(iyyyyay)`: status, network function, LUN, command, completion code, data.
type Answer = (i32, u8, u8, u8, u8, Vec<u8>);

/// Serves the object of `channel` whenever there is a bus; calls come out of the receiver.
#[must_use]
pub fn serve(
    channel: &str,
    link: LinkState,
    targets: BTreeMap<u8, IpmbAddress>,
) -> mpsc::Receiver<Call> {
    let (calls, receiver) = mpsc::channel(QUEUE);
    let path = format!("{CHANNEL_PATH_PREFIX}{channel}");
    tokio::spawn(keep_serving(path, link, Ipmb { calls, targets }));
    receiver
}

async fn keep_serving(path: String, mut link: LinkState, object: Ipmb) {
    loop {
        let connection = link.borrow_and_update().clone();
        if let Some(connection) = connection {
            let served = connection.object_server().at(path.as_str(), object.clone());
            if let Err(error) = served.await {
                warn!(%error, %path, "the IPMB object cannot be served");
            }
        }
        if link.changed().await.is_err() {
            return;
        }
    }
}

#[derive(Clone)]
struct Ipmb {
    calls: mpsc::Sender<Call>,
    targets: BTreeMap<u8, IpmbAddress>,
}

impl Ipmb {
    async fn ask(&self, to: IpmbAddress, netfn: u8, lun: u8, command: u8, data: Vec<u8>) -> Answer {
        let failed = |status| (status, 0, 0, 0, 0, Vec::new());
        let netfn = NetFn::new(netfn).filter(|netfn| netfn.is_request());
        let (Some(netfn), Some(lun)) = (netfn, Lun::new(lun)) else {
            return failed(ipmb::STATUS_INVALID_PARAMETER);
        };
        let request = Request {
            netfn,
            lun,
            command,
            data,
        };
        let (done, outcome) = oneshot::channel();
        if self.calls.send(Call { to, request, done }).await.is_err() {
            return failed(ipmb::STATUS_ERROR);
        }
        match outcome.await {
            Ok(Outcome::Answered(response)) => (
                ipmb::STATUS_OK,
                response.netfn.value(),
                response.lun.value(),
                response.command,
                response.completion.0,
                response.data,
            ),
            Ok(Outcome::Silent) => failed(ipmb::STATUS_TIMEOUT),
            Ok(Outcome::Unreachable) => failed(ipmb::STATUS_ERROR),
            Err(_) => failed(ipmb::STATUS_BUSY),
        }
    }
}

#[interface(name = "org.openbmc.Ipmb")]
impl Ipmb {
    /// Asks the satellite that the configuration names by `channel`.
    #[zbus(name = "sendRequest")]
    async fn send_request(
        &self,
        channel: u8,
        netfn: u8,
        lun: u8,
        command: u8,
        data: Vec<u8>,
    ) -> (Answer,) {
        match self.targets.get(&channel) {
            Some(&to) => (self.ask(to, netfn, lun, command, data).await,),
            None => ((ipmb::STATUS_INVALID_PARAMETER, 0, 0, 0, 0, Vec::new()),),
        }
    }

    /// Asks the satellite at the 8-bit `address`.
    #[zbus(name = "sendRequestTo")]
    async fn send_request_to(
        &self,
        address: u8,
        netfn: u8,
        lun: u8,
        command: u8,
        data: Vec<u8>,
    ) -> (Answer,) {
        (self
            .ask(IpmbAddress(address), netfn, lun, command, data)
            .await,)
    }
}
