//! The signals of `org.openbmc.Ipmb`: what satellites send is told to whoever listens, and who may
//! signal can have the bridge broadcast.

use std::future::pending;
use std::num::NonZero;

use futures_util::StreamExt;
use ipmi_proto::{Lun, NetFn, Request};
use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::ipmb;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream};

use crate::object::Call;

/// Signals that may wait for the bus, either way; what comes on top is lost.
const QUEUE: usize = 64;

/// What `receiveBroadcast` carries: network function, command, data.
type Heard = (u8, u8, Vec<u8>);

/// Where requests of satellites are told.
#[derive(Debug)]
pub struct Signals {
    heard: mpsc::Sender<Heard>,
}

impl Signals {
    /// Signals come from the object at `path`.
    pub(crate) fn new(path: String, link: LinkState) -> Self {
        let (heard, queue) = mpsc::channel(QUEUE);
        tokio::spawn(tell(path, link, queue));
        Self { heard }
    }

    /// Tells of a request that came, as `receiveBroadcast`.
    pub fn received(&self, netfn: NetFn, command: u8, data: &[u8]) {
        // Nobody may listen, and nobody is owed it.
        let _ = self.heard.try_send((netfn.value(), command, data.to_vec()));
    }
}

async fn tell(path: String, link: LinkState, mut queue: mpsc::Receiver<Heard>) {
    while let Some(heard) = queue.recv().await {
        let connection = link.borrow().clone();
        let Some(connection) = connection else {
            continue;
        };
        let signal = ipmb::RECEIVE_BROADCAST;
        let told = connection.emit_signal(
            None::<&str>,
            path.as_str(),
            signal.interface,
            signal.name,
            &heard,
        );
        if let Err(error) = told.await {
            debug!(%error, "a satellite's request is not told");
        }
    }
}

/// Has the bridge broadcast what anybody's signal `sendBroadcast` says, for a channel byte that
/// `is_known`.
pub(crate) async fn follow_broadcasts(
    mut link: LinkState,
    is_known: impl Fn(u8) -> bool,
    calls: mpsc::Sender<Call>,
) {
    loop {
        let connection = link.borrow_and_update().clone();
        let follow = async {
            if let Some(connection) = &connection
                && let Err(error) = follow_on(connection, &is_known, &calls).await
            {
                warn!(%error, "broadcasts are not followed");
            }
            pending::<()>().await;
        };
        tokio::select! {
            () = follow => {}
            changed = link.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

async fn follow_on(
    connection: &Connection,
    is_known: &impl Fn(u8) -> bool,
    calls: &mpsc::Sender<Call>,
) -> zbus::Result<()> {
    let rule = MatchRule::builder().msg_type(Type::Signal).member(ipmb::SEND_BROADCAST).build()?;
    let mut signals = MessageStream::for_match_rule(rule, connection, NonZero::new(QUEUE)).await?;
    while let Some(message) = signals.next().await {
        let body = message?.body();
        match body.deserialize::<(u8, u8, u8, u8, Vec<u8>)>() {
            Ok((channel, ..)) if !is_known(channel) => {
                debug!(channel, "no channel to broadcast on")
            }
            Ok((_, netfn, lun, command, data)) => {
                if let Some(request) = request(netfn, lun, command, data) {
                    // The stream has to be read on: what the bridge cannot take is lost.
                    let _ = calls.try_send(Call::Broadcast(request));
                }
            }
            Err(error) => debug!(%error, "no broadcast"),
        }
    }
    Ok(())
}

/// The broadcast that a signal asks for; `None` for one that is no request.
fn request(netfn: u8, lun: u8, command: u8, data: Vec<u8>) -> Option<Request> {
    Some(Request {
        netfn: NetFn::new(netfn).filter(|netfn| netfn.is_request())?,
        lun: Lun::new(lun)?,
        command,
        data,
    })
}
