//! A link between a bridge and `ipmid` that bypasses the bus daemon.
//!
//! A bridge requests it over the bus, so `ipmid` knows the caller from the bus; the reply has one end of a
//! socket pair, over which the same messages go as over the bus. An `ipmid` that has no such method, or
//! refuses, is called over the bus.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use daemon::in_task;
use futures_util::StreamExt;
use tracing::{debug, warn};
use zbus::{Connection, Fd, Message, OwnedFd, fdo};

use super::link::{self, Frames, LinkSlot};
use super::server::NO_LINK;
use super::{PATH, SERVICE};
use crate::bus::socket::BufferedStream;
use crate::bus::watch_owner;

/// The interface of [`OPEN`], at the object that takes requests.
pub const DIRECT: &str = "org.causeway.Ipmi.Direct";
/// `Open() → (h)`: a connected stream socket whose peer is `ipmid`. It carries D-Bus messages
/// without the handshake. A caller has one link; opening another ends the first.
///
/// Errors: `AccessDenied`, with the reason, for a caller that may not call `execute()`, and where the configuration
/// offers no links; `NotSupported` on a link; `LimitsExceeded` when there are too many links.
pub const OPEN: &str = "Open";

/// The longest message on a direct link; far more than any request or response has.
pub(super) const LONGEST: usize = 64 * 1024;

/// Maintains a link in `slot` to the `ipmid` that owns the name, if it offers one, until the connection to the
/// bus closes.
pub(super) async fn maintain_link(bus: Connection, slot: Arc<LinkSlot<Frames>>) {
    if let Err(error) = try_maintain_link(&bus, &slot).await {
        debug!(%error, "cannot watch the owner of ipmid's name; calling it over the bus");
    }
}

async fn try_maintain_link(bus: &Connection, slot: &Arc<LinkSlot<Frames>>) -> zbus::Result<()> {
    let mut changes = watch_owner(bus, SERVICE).await?;
    loop {
        match open(bus).await {
            Ok(stream) => {
                tokio::select! {
                    () = in_task(link::forward_directly(Arc::clone(slot), stream)) => {}
                    _ = changes.next() => continue,
                }
            }
            Err(zbus::Error::FDO(error)) if matches!(&*error, fdo::Error::AccessDenied(reason) if reason != NO_LINK) =>
            {
                warn!(%error, "ipmid refuses this bridge: its requests will be answered D3h");
            }
            Err(error) => debug!(%error, "no direct link; calling ipmid over the bus"),
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

/// The reply to `request`, an [`OPEN`], and our end of the link.
pub(super) fn pair(request: &Message) -> zbus::Result<(Message, BufferedStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let stream = BufferedStream::new(ours.into())?;
    let reply = Message::method_return(&request.header()).build(&Fd::from(&theirs))?;
    Ok((reply, stream))
}
