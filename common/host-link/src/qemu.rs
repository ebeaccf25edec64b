//! QEMU's connection to an external BMC: listens for it, and accepts it again whenever it reconnects.
//!
//! QEMU connects (its socket chardev with `reconnect=` again each second), sends its version, and serves
//! a guest whether or not the BMC sends its own. It responds D2h itself while it is not connected and C3h
//! after 4 s. A response with another sequence number than its request's hangs a KCS guest for good,
//! so a response has the sequence number of its request and is sent at most once.

mod peer;
mod power;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use daemon::Outage;
use openbmc_dbus::execute::LinkState;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::time;
use tracing::{info, warn};

use self::peer::{Peer, Stream};
use crate::arguments::QemuAddress;
use crate::exchange::Reply;
use crate::transport::{Incoming, Transport};

/// The time between two attempts to listen.
const RETRY: Duration = Duration::from_secs(1);

/// The mode of a unix socket: a process that can connect acts as the host.
const SOCKET_MODE: u32 = 0o660;

/// One address to listen at for QEMU, and the QEMU that is connected.
#[derive(Debug)]
pub struct QemuTransport {
    listener: Listener,
    peer: Option<Peer>,
    /// Notified when QEMU connects.
    connected: Arc<Notify>,
    attention: bool,
    interrupt: bool,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl QemuTransport {
    /// Listens at `address`, and retries until that is possible.
    pub async fn listen(address: &QemuAddress) -> Self {
        let log = |error: &io::Error| {
            warn!(%error, ?address, "cannot listen for QEMU; retrying every second");
        };
        let listener = Outage::new().retry(RETRY, || Listener::bind(address), log).await;
        info!(?address, "listening for QEMU");
        let connected = Arc::new(Notify::new());
        Self { listener, peer: None, connected, attention: false, interrupt: false }
    }

    /// Logs once that power is simulated while QEMU is connected, if `platformd` says so on the bus of `link`.
    pub(crate) fn warn_if_power_is_simulated(&self, link: LinkState) {
        tokio::spawn(power::warn_if_simulated(Arc::clone(&self.connected), link));
    }

    /// The address of the listener; the system may have chosen its TCP port.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a unix socket; otherwise as `getsockname(2)`.
    pub fn tcp_address(&self) -> io::Result<std::net::SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr(),
            Listener::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Uses the newest connection: QEMU makes one only, so an older one is dead.
    fn accept(&mut self, stream: io::Result<Stream>) -> Option<Incoming> {
        match stream {
            Ok(stream) => {
                self.attention = false;
                self.interrupt = false;
                self.peer = Some(Peer::new(stream));
                self.connected.notify_one();
                Some(Incoming::Up)
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection; retrying");
                None
            }
        }
    }
}

impl Transport for QemuTransport {
    /// QEMU's BT and SSIF devices have one byte for a message's length.
    const ANSWER_DATA: usize = 250;

    async fn next(&mut self) -> Incoming {
        loop {
            let Some(peer) = &mut self.peer else {
                let stream = self.listener.accept().await;
                match self.accept(stream) {
                    Some(incoming) => return incoming,
                    None => time::sleep(RETRY).await,
                }
                continue;
            };
            tokio::select! {
                stream = self.listener.accept() => {
                    if let Some(incoming) = self.accept(stream) {
                        return incoming;
                    }
                }
                incoming = peer.next() => match incoming {
                    Ok(incoming) => return incoming,
                    Err(error) => {
                        info!(%error, "QEMU disconnected; waiting for it to reconnect");
                        self.peer = None;
                        return Incoming::Down;
                    }
                },
            }
        }
    }

    fn send(&mut self, reply: &Reply) {
        if let Some(peer) = &mut self.peer {
            peer.respond(reply.seq, &reply.response);
        }
    }

    fn set_attention(&mut self, on: bool) -> io::Result<()> {
        self.attention = on;
        if let Some(peer) = &mut self.peer {
            peer.attention(on, self.interrupt);
        }
        Ok(())
    }

    /// The protocol has no such command; QEMU sends C3h to a host without a response.
    fn force_abort(&mut self) -> io::Result<()> {
        Ok(())
    }

    const HAS_INTERRUPT: bool = true;

    fn set_interrupt(&mut self, on: bool) {
        self.interrupt = on;
        if let Some(peer) = &mut self.peer {
            peer.interrupt(on);
            if on && self.attention {
                peer.attention(true, true);
            }
        }
    }
}

impl Listener {
    async fn bind(address: &QemuAddress) -> io::Result<Self> {
        match address {
            QemuAddress::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
                Ok(Self::Unix(listener))
            }
            QemuAddress::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
        }
    }

    /// Cancel safe, as both kinds of `accept` are.
    async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Unix(listener) => Stream::Unix(listener.accept().await?.0),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
        })
    }
}

/// Removes the socket of an earlier process, but not one at which a process listens.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
                Err(_) => fs::remove_file(path),
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
