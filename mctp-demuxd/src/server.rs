//! The demultiplexer socket: clients connect, register for a type, and send and receive messages.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use daemon::RateLimit;
use listenfd::ListenFd;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use sys::Device;
use tokio::io::Interest;

use crate::demux::{ClientId, Refusal};
use crate::engine::{EngineHandle, Reading};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Work for a client that does not stop sending, in bytes, after which it pauses while there are others:
/// a line that it fills, and this daemon, are free in between.
const FLOOD: usize = 16 * 1024;

/// How long it pauses.
const PAUSE: Duration = Duration::from_millis(1);

/// How long to wait when no descriptor is left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Connections that were refused, of which a client may make any number.
static REFUSED: RateLimit = RateLimit::new(5, Duration::from_secs(60));

/// Sockets handed over by the service manager, or else one bound to each abstract name.
///
/// # Errors
///
/// What socket and bind give, with the name.
pub(crate) fn listeners(names: &[String]) -> io::Result<Vec<Device>> {
    let mut passed = ListenFd::from_env();
    let mut all = Vec::new();
    for index in 0..passed.len() {
        let family = i32::from(AddressFamily::UNIX.as_raw());
        let kind = i32::try_from(SocketType::SEQPACKET.as_raw()).map_err(io::Error::other)?;
        if let Some(fd) = passed.take_custom::<OwnedFd>(index, family, kind, "unix seqpacket")? {
            all.push(Device::with_interest(fd, Interest::READABLE)?);
        }
    }
    if !all.is_empty() {
        return Ok(all);
    }
    for name in names {
        let bound =
            bind_abstract(name).and_then(|fd| Device::with_interest(fd, Interest::READABLE));
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
    bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Accepts clients for ever.
pub(crate) async fn accept(handle: Arc<EngineHandle>, listener: Device) {
    let connections = Arc::new(());
    loop {
        let accepted = listener.io(Interest::READABLE, |fd| {
            let socket = accept_with(fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
            Device::with_interest(socket, Interest::READABLE)
        });
        match accepted.await {
            Ok(socket)
                if Arc::strong_count(&connections)
                    <= handle.peek(|engine| engine.demux.max_clients()) =>
            {
                let (handle, counted) = (Arc::clone(&handle), Arc::clone(&connections));
                tokio::spawn(async move {
                    serve(&handle, Arc::new(socket)).await;
                    drop(counted);
                });
            }
            Ok(_) => {
                handle.with(|engine| engine.demux.refuse(Refusal::TooManyClients));
                report(Refusal::TooManyClients, &[]);
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a client");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

async fn serve(handle: &Arc<EngineHandle>, socket: Arc<Device>) {
    let mut first = [0; 2];
    let Ok(len) = socket.read(&mut first).await else {
        return;
    };
    let first = first.get(..len).unwrap_or_default();
    let (id, resume) = match handle.with(|engine| engine.register(first, &socket)) {
        Ok(registered) => registered,
        Err(refusal) => return report(refusal, first),
    };
    tracing::debug!(client = id.0, kind = first.first(), "registered");
    let mut unbroken = 0;
    loop {
        let (reading, work) = read(handle, id, &socket).await;
        unbroken += work;
        match reading {
            // However much a client sends, others have their turn.
            Reading::More => tokio::task::yield_now().await,
            Reading::Drained => unbroken = 0,
            Reading::Held => resume.notified().await,
            Reading::Ended => break,
        }
        if unbroken >= FLOOD {
            unbroken = 0;
            if handle.with(|engine| engine.demux.is_shared()) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    handle.with(|engine| engine.remove_client(id));
    tracing::debug!(client = id.0, "disconnected");
}

/// Logs that a connection is closed, and why.
fn report(refusal: Refusal, first: &[u8]) {
    if let Some(pass) = REFUSED.admit() {
        let reason = refusal.name();
        let swallowed = pass.swallowed;
        tracing::warn!(reason, ?first, swallowed, "registration refused; closing the connection");
    }
}

/// Waits for messages of a client and takes some.
async fn read(handle: &Arc<EngineHandle>, id: ClientId, socket: &Device) -> (Reading, usize) {
    match socket.readable().await {
        Ok(()) => handle.with(|engine| engine.read_client(id, socket)),
        Err(_) => (Reading::Ended, 0),
    }
}
