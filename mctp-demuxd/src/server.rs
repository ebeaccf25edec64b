//! The demultiplexer socket: clients connect, register for a type, and send and receive messages.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use tokio_seqpacket::{UnixSeqpacket, UnixSeqpacketListener};

use crate::demux::{ClientId, Refusal};
use crate::engine::{Hub, Reading};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// How long to wait when no more descriptors are to be had.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Sockets handed over by the service manager, or else one bound to each abstract name.
///
/// # Errors
///
/// What socket and bind give, with the name.
pub(crate) fn listeners(names: &[String]) -> io::Result<Vec<UnixSeqpacketListener>> {
    let mut passed = ListenFd::from_env();
    let mut all = Vec::new();
    for index in 0..passed.len() {
        let family = i32::from(AddressFamily::UNIX.as_raw());
        let kind = i32::try_from(SocketType::SEQPACKET.as_raw()).map_err(io::Error::other)?;
        if let Some(fd) = passed.take_custom::<OwnedFd>(index, family, kind, "unix seqpacket")? {
            fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
            all.push(UnixSeqpacketListener::try_from(fd)?);
        }
    }
    if !all.is_empty() {
        return Ok(all);
    }
    for name in names {
        let bound = bind_abstract(name).and_then(UnixSeqpacketListener::try_from);
        all.push(
            bound.map_err(|error| {
                io::Error::new(error.kind(), format!("socket @{name}: {error}"))
            })?,
        );
    }
    Ok(all)
}

/// The name has neither a terminating NUL nor a place in the file system.
fn bind_abstract(name: &str) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(
        &socket,
        &SocketAddrUnix::new_abstract_name(name.as_bytes())?,
    )?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Accepts clients for ever.
pub(crate) async fn accept(hub: Arc<Hub>, mut listener: UnixSeqpacketListener, most: usize) {
    let connections = Arc::new(());
    loop {
        match listener.accept().await {
            Ok(socket) if Arc::strong_count(&connections) <= most => {
                let (hub, counted) = (Arc::clone(&hub), Arc::clone(&connections));
                tokio::spawn(async move {
                    serve(&hub, Arc::new(socket)).await;
                    drop(counted);
                });
            }
            Ok(_) => hub.with(|engine| engine.demux.refuse(Refusal::TooManyClients)),
            Err(error) => {
                tracing::debug!(%error, "cannot accept a client");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

async fn serve(hub: &Arc<Hub>, socket: Arc<UnixSeqpacket>) {
    let mut first = [0; 2];
    let Ok(info) = socket.recv(&mut first).await else {
        return;
    };
    let first = first.get(..info.bytes_read()).unwrap_or_default();
    let Ok((id, resume)) = hub.with(|engine| engine.register(first, &socket)) else {
        return;
    };
    tracing::debug!(client = id.0, kind = first.first(), "registered");
    loop {
        match read(hub, id, &socket).await {
            Reading::More | Reading::Drained => {}
            Reading::Held => resume.notified().await,
            Reading::Ended => break,
        }
        // However much a client sends, others have their turn.
        tokio::task::yield_now().await;
    }
    hub.with(|engine| engine.remove_client(id));
    tracing::debug!(client = id.0, "gone");
}

/// Waits for messages of a client and takes some.
async fn read(hub: &Arc<Hub>, id: ClientId, socket: &UnixSeqpacket) -> Reading {
    let Ok(mut ready) = socket.as_async_fd().readable().await else {
        return Reading::Ended;
    };
    let reading = hub.with(|engine| engine.read_client(id, socket));
    if reading == Reading::Drained {
        ready.clear_ready();
    }
    reading
}
