//! The signals of `org.openbmc.Ipmb`: requests of satellites are published, and a signal from D-Bus can
//! have the bridge broadcast.

use std::future::pending;
use std::num::NonZero;

use futures_util::StreamExt;
use ipmi_proto::{Lun, NetFn, Request};
use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::ipmb;
use sections::IpmbSection;
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream};

use crate::object::IpmbCall;

/// Signals that may wait, in either direction; more are dropped.
const QUEUE: usize = 64;

/// The arguments of `receiveBroadcast`: network function, command, data.
type SatelliteRequest = (u8, u8, Vec<u8>);

/// Publishes requests of satellites.
#[derive(Debug)]
pub struct Signals {
    queue: mpsc::Sender<SatelliteRequest>,
}

impl Signals {
    /// Signals of the object at `path`.
    pub(crate) fn new(path: String, bus_connection: LinkState) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(publish_queued(path, bus_connection, receiver));
        Self { queue: sender }
    }

    /// Publishes a request of a satellite as `receiveBroadcast`.
    pub fn publish(&self, netfn: NetFn, command: u8, data: &[u8]) {
        // Best effort: a signal that does not fit into the queue is dropped.
        let _ = self.queue.try_send((netfn.value(), command, data.to_vec()));
    }
}

async fn publish_queued(
    path: String,
    bus_connection: LinkState,
    mut queue: mpsc::Receiver<SatelliteRequest>,
) {
    while let Some(request) = queue.recv().await {
        let connection = bus_connection.borrow().clone();
        let Some(connection) = connection else {
            continue;
        };
        let signal = ipmb::RECEIVE_BROADCAST;
        let sent = connection.emit_signal(
            None::<&str>,
            path.as_str(),
            signal.interface,
            signal.name,
            &request,
        );
        if let Err(error) = sent.await {
            debug!(%error, "cannot publish a satellite's request");
        }
    }
}

/// Has the bridge broadcast the request of each `sendBroadcast` signal whose channel byte is that of a target, while
/// `config` accepts such signals.
pub(crate) async fn follow_broadcasts(
    mut bus_connection: LinkState,
    config: watch::Receiver<IpmbSection>,
    calls: mpsc::Sender<IpmbCall>,
) {
    let mut switch = config.clone();
    let is_known = |channel| config.borrow().target(channel).is_some();
    loop {
        let connection = bus_connection.borrow_and_update().clone();
        let is_on = switch.borrow_and_update().accept_broadcasts();
        let follow = async {
            if is_on
                && let Some(connection) = &connection
                && let Err(error) = follow_on(connection, &is_known, &calls).await
            {
                warn!(%error, "cannot subscribe to sendBroadcast until the bus is back");
            }
            pending::<()>().await;
        };
        let switched = async {
            let switched = switch.wait_for(|config| config.accept_broadcasts() != is_on);
            let is_last = switched.await.is_err();
            if is_last {
                pending::<()>().await;
            }
        };
        tokio::select! {
            () = follow => {}
            () = switched => {}
            changed = bus_connection.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

async fn follow_on(
    connection: &Connection,
    is_known: &impl Fn(u8) -> bool,
    calls: &mpsc::Sender<IpmbCall>,
) -> zbus::Result<()> {
    let rule = MatchRule::builder().msg_type(Type::Signal).member(ipmb::SEND_BROADCAST).build()?;
    let mut signals = MessageStream::for_match_rule(rule, connection, NonZero::new(QUEUE)).await?;
    while let Some(message) = signals.next().await {
        let body = message?.body();
        match body.deserialize::<(u8, u8, u8, u8, Vec<u8>)>() {
            Ok((channel, ..)) if !is_known(channel) => {
                debug!(channel, "unknown channel in sendBroadcast; ignored")
            }
            Ok((_, netfn, lun, command, data)) => {
                if let Some(request) = request(netfn, lun, command, data) {
                    // The stream must be read on: a request for which the bridge has no room is dropped.
                    let _ = calls.try_send(IpmbCall::Broadcast(request));
                }
            }
            Err(error) => debug!(%error, "invalid sendBroadcast; ignored"),
        }
    }
    Ok(())
}

/// The request of a `sendBroadcast`; `None` if network function or LUN are invalid.
fn request(netfn: u8, lun: u8, command: u8, data: Vec<u8>) -> Option<Request> {
    Some(Request {
        netfn: NetFn::new(netfn).filter(|netfn| netfn.is_request())?,
        lun: Lun::new(lun)?,
        command,
        data,
    })
}
