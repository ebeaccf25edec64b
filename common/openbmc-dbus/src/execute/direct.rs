//! A link between a bridge and `ipmid` that goes round the bus.
//!
//! A bridge asks for it over the bus, so `ipmid` knows from the bus who is at the other end; what
//! comes back is one end of a socket pair, which carries the very messages of `execute()`. An
//! `ipmid` that has no such method goes on being called over the bus, and so does one that refuses.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use futures_util::StreamExt;
use tracing::{debug, warn};
use zbus::{Connection, Fd, Message, OwnedFd, fdo};

use super::link::{self, Place};
use super::server::NO_LINK;
use super::transport::{Incoming, Outgoing};
use super::{PATH, SERVICE};
use crate::bus::socket::BufferedStream;
use crate::bus::watch_owner;

/// The interface of [`OPEN`], at the object that takes requests.
pub const DIRECT: &str = "org.causeway.Ipmi.Direct";
/// `Open() → (h)`: a connected stream socket whose peer is `ipmid`. It carries D-Bus messages, the
/// handshake left out. A caller has one link; opening another ends the first.
///
/// Errors: `AccessDenied`, with the reason, for a caller that may not call `execute()`, and where the configuration
/// offers no links; `NotSupported` on a link; `LimitsExceeded` when there are too many links.
pub const OPEN: &str = "Open";

/// Keeps a link to whichever `ipmid` owns the name, if it offers one, in `place`, until the bus
/// goes.
pub(super) async fn keep(bus: Connection, place: Arc<Place>) {
    if let Err(error) = try_keep(&bus, &place).await {
        debug!(%error, "ipmid's comings and goings are not told");
    }
}

async fn try_keep(bus: &Connection, place: &Place) -> zbus::Result<()> {
    let mut changes = watch_owner(bus, SERVICE).await?;
    loop {
        match open(bus).await {
            Ok(stream) => {
                let (replies, calls) = stream.halves();
                let (replies, calls) = (Incoming::Direct(replies), Outgoing::Direct(calls));
                tokio::select! {
                    () = link::carry(place, replies, calls) => {}
                    _ = changes.next() => continue,
                }
            }
            Err(zbus::Error::FDO(error)) if matches!(&*error, fdo::Error::AccessDenied(reason) if reason != NO_LINK) =>
            {
                warn!(%error, "ipmid refuses this bridge: its requests will be answered D3h");
            }
            Err(error) => debug!(%error, "no direct link"),
        }
        if changes.next().await.is_none() {
            return Ok(());
        }
    }
}

async fn open(bus: &Connection) -> zbus::Result<BufferedStream> {
    let reply = bus.call_method(Some(SERVICE), PATH, Some(DIRECT), OPEN, &()).await?;
    let socket: OwnedFd = reply.body().deserialize()?;
    Ok(BufferedStream::new(socket.into())?)
}

/// The answer to `request`, an [`OPEN`], and our end of the link.
pub(super) fn pair(request: &Message) -> zbus::Result<(Message, BufferedStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let stream = BufferedStream::new(ours.into())?;
    let answer = Message::method_return(&request.header()).build(&Fd::from(&theirs))?;
    Ok((answer, stream))
}
