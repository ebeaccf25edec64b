//! The object through which others on the BMC, `ipmid` among them, ask satellites.
//!
//! `org.openbmc.Ipmb` at `/xyz/openbmc_project/Ipmi/Channel/<channel>`, as OpenBMC's ipmbbridge
//! serves it, and with two methods beside: `sendRequestTo`, because `sendRequest` names a satellite
//! by a configured channel byte only and bridged requests (IPMI v2.0 §6.13) are for any address, and
//! `sendResponse` for what the host's software answers to a satellite.

use std::collections::{BTreeMap, BTreeSet};

use ipmi_proto::ipmb::IpmbAddress;
use ipmi_proto::{Lun, NetFn, Request};
use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::ipmb;
use openbmc_dbus::ipmi::names::CHANNEL_PATH_PREFIX;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use zbus::interface;

use crate::signals::{self, Signals};
use crate::tracker::Outcome;

/// Calls that may wait for the bridge.
const QUEUE: usize = 64;

/// What somebody on the bus wants.
#[derive(Debug)]
pub enum Call {
    /// A satellite is to be asked.
    Ask {
        /// The satellite.
        to: IpmbAddress,
        /// What it is asked.
        request: Request,
        /// Takes the outcome; dropped when no sequence number is free.
        done: oneshot::Sender<Outcome>,
    },
    /// A response is to be written as it is.
    Respond {
        /// The whole frame.
        frame: Vec<u8>,
        /// Takes whether it is on its way; dropped for one that is not the BMC's to send.
        done: oneshot::Sender<bool>,
    },
    /// A request is to be written to everybody.
    Broadcast(Request),
}

/// `(iyyyyay)`: status, network function, LUN, command, completion code, data.
type Answer = (i32, u8, u8, u8, u8, Vec<u8>);

/// Serves the object of `channel` whenever there is a bus; calls come out of the receiver, and what
/// satellites send is told through the signals.
#[must_use]
pub fn serve(
    channel: &str,
    link: LinkState,
    targets: BTreeMap<u8, IpmbAddress>,
    accept_broadcasts: bool,
) -> (mpsc::Receiver<Call>, Signals) {
    let (calls, receiver) = mpsc::channel(QUEUE);
    let path = format!("{CHANNEL_PATH_PREFIX}{channel}");
    let signals = Signals::new(path.clone(), link.clone());
    if accept_broadcasts {
        let known: BTreeSet<u8> = targets.keys().copied().collect();
        let is_known = move |channel| known.contains(&channel);
        let followed = signals::follow_broadcasts(link.clone(), is_known, calls.clone());
        tokio::spawn(followed);
    }
    tokio::spawn(keep_serving(path, link, Ipmb { calls, targets }));
    (receiver, signals)
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
        let request = Request { netfn, lun, command, data };
        let (done, outcome) = oneshot::channel();
        let call = Call::Ask { to, request, done };
        if self.calls.send(call).await.is_err() {
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
    /// Writes a whole response of the BMC's to the satellite that it is for.
    #[zbus(name = "sendResponse")]
    async fn send_response(&self, frame: Vec<u8>) -> i32 {
        let (done, outcome) = oneshot::channel();
        let call = Call::Respond { frame, done };
        if self.calls.send(call).await.is_err() {
            return ipmb::STATUS_ERROR;
        }
        match outcome.await {
            Ok(true) => ipmb::STATUS_OK,
            Ok(false) => ipmb::STATUS_ERROR,
            Err(_) => ipmb::STATUS_INVALID_PARAMETER,
        }
    }

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
        (self.ask(IpmbAddress(address), netfn, lun, command, data).await,)
    }
}
