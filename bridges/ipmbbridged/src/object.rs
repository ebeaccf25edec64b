//! The object through which processes on the BMC, such as `ipmid`, send requests to satellites.
//!
//! `org.openbmc.Ipmb` at `/xyz/openbmc_project/Ipmi/Channel/<channel>`, as OpenBMC's ipmbbridge
//! serves it, with two more methods: `sendRequestTo`, because `sendRequest` names a satellite
//! by a configured channel byte only and bridged requests (IPMI v2.0 §6.13) are for any address, and
//! `sendResponse` for responses of the host's software to a satellite.

use ipmi_proto::ipmb::IpmbAddress;
use ipmi_proto::{Lun, NetFn, Request};
use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::ipmb;
use openbmc_dbus::ipmi::names::CHANNEL_PATH_PREFIX;
use sections::IpmbSection;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::warn;
use zbus::interface;

use crate::signals::{self, Signals};
use crate::tracker::Outcome;

/// Method calls that may wait for the bridge.
const QUEUE: usize = 64;

/// A call from D-Bus.
#[derive(Debug)]
pub enum IpmbCall {
    /// Send a request to a satellite.
    SendRequest {
        /// The satellite.
        to: IpmbAddress,
        /// The request.
        request: Request,
        /// Receives the outcome; dropped when no sequence number is free.
        done: oneshot::Sender<Outcome>,
    },
    /// Write a response as it is.
    SendResponse {
        /// The whole frame.
        frame: Vec<u8>,
        /// Receives whether it was queued; dropped for one that is not a response of the BMC.
        done: oneshot::Sender<bool>,
    },
    /// Write a request to the broadcast address.
    Broadcast(Request),
}

/// `(iyyyyay)`: status, network function, LUN, command, completion code, data.
type SendRequestReply = (i32, u8, u8, u8, u8, Vec<u8>);

/// Serves the object of `channel` on each connection to the bus. Calls come out of the receiver; requests
/// of satellites are published through the signals.
#[must_use]
pub fn serve(
    channel: &str,
    bus_connection: LinkState,
    config: watch::Receiver<IpmbSection>,
) -> (mpsc::Receiver<IpmbCall>, Signals) {
    let (calls, receiver) = mpsc::channel(QUEUE);
    let path = format!("{CHANNEL_PATH_PREFIX}{channel}");
    let signals = Signals::new(path.clone(), bus_connection.clone());
    let followed =
        signals::follow_broadcasts(bus_connection.clone(), config.clone(), calls.clone());
    tokio::spawn(followed);
    tokio::spawn(serve_on_each_connection(path, bus_connection, Ipmb { calls, config }));
    (receiver, signals)
}

async fn serve_on_each_connection(path: String, mut bus_connection: LinkState, object: Ipmb) {
    loop {
        let connection = bus_connection.borrow_and_update().clone();
        if let Some(connection) = connection {
            let served = connection.object_server().at(path.as_str(), object.clone());
            if let Err(error) = served.await {
                warn!(%error, %path, "cannot serve the IPMB object");
            }
        }
        if bus_connection.changed().await.is_err() {
            return;
        }
    }
}

#[derive(Clone)]
struct Ipmb {
    calls: mpsc::Sender<IpmbCall>,
    config: watch::Receiver<IpmbSection>,
}

impl Ipmb {
    async fn send(
        &self,
        to: IpmbAddress,
        netfn: u8,
        lun: u8,
        command: u8,
        data: Vec<u8>,
    ) -> SendRequestReply {
        let failed = |status| (status, 0, 0, 0, 0, Vec::new());
        let netfn = NetFn::new(netfn).filter(|netfn| netfn.is_request());
        let (Some(netfn), Some(lun)) = (netfn, Lun::new(lun)) else {
            return failed(ipmb::STATUS_INVALID_PARAMETER);
        };
        let request = Request { netfn, lun, command, data };
        let (done, outcome) = oneshot::channel();
        let call = IpmbCall::SendRequest { to, request, done };
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
            Ok(Outcome::TimedOut) => failed(ipmb::STATUS_TIMEOUT),
            Ok(Outcome::Unreachable) => failed(ipmb::STATUS_ERROR),
            Err(_) => failed(ipmb::STATUS_BUSY),
        }
    }
}

#[interface(name = "org.openbmc.Ipmb")]
impl Ipmb {
    /// Writes a response of the BMC, a whole frame, to its satellite.
    #[zbus(name = "sendResponse")]
    async fn send_response(&self, frame: Vec<u8>) -> i32 {
        let (done, outcome) = oneshot::channel();
        let call = IpmbCall::SendResponse { frame, done };
        if self.calls.send(call).await.is_err() {
            return ipmb::STATUS_ERROR;
        }
        match outcome.await {
            Ok(true) => ipmb::STATUS_OK,
            Ok(false) => ipmb::STATUS_ERROR,
            Err(_) => ipmb::STATUS_INVALID_PARAMETER,
        }
    }

    /// Sends a request to the satellite that the configuration names by `channel`.
    #[zbus(name = "sendRequest")]
    async fn send_request(
        &self,
        channel: u8,
        netfn: u8,
        lun: u8,
        command: u8,
        data: Vec<u8>,
    ) -> (SendRequestReply,) {
        let target = self.config.borrow().target(channel);
        match target {
            Some(to) => (self.send(to, netfn, lun, command, data).await,),
            None => ((ipmb::STATUS_INVALID_PARAMETER, 0, 0, 0, 0, Vec::new()),),
        }
    }

    /// Sends a request to the satellite at the 8-bit `address`.
    #[zbus(name = "sendRequestTo")]
    async fn send_request_to(
        &self,
        address: u8,
        netfn: u8,
        lun: u8,
        command: u8,
        data: Vec<u8>,
    ) -> (SendRequestReply,) {
        (self.send(IpmbAddress(address), netfn, lun, command, data).await,)
    }
}
