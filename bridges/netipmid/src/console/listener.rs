//! The socket that a host's console dials (`listen-unix:PATH`): bound, accepted from, and removed at the end.
//!
//! One host is connected at a time. Another that dials meanwhile is refused, unless the one before has hung up
//! already and only its last output is still to be read.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use daemon::Outage;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen,
};
use nix::sys::stat::{Mode, fchmod};
use sys::Device;
use tokio::net::{UnixListener, UnixStream};
use tokio::time;
use tracing::{info, warn};

/// The mode of the socket: who can connect is the host's console.
const MODE: u32 = 0o660;

/// Hosts that have dialled and are not accepted yet.
const BACKLOG: i32 = 4;

/// The time between two attempts to accept, while there are no descriptors for it.
const RETRY: Duration = Duration::from_millis(250);

/// A socket that hosts dial.
pub(super) struct ConsoleListener {
    path: PathBuf,
    listener: UnixListener,
    /// Device and inode of the socket's file.
    file: (u64, u64),
    /// A host that has dialled after the connected one had hung up.
    next: Option<UnixStream>,
    /// That a host was refused has been logged, for the present connection.
    logged_refusal: bool,
    failing: Outage,
}

impl ConsoleListener {
    /// Listens at `path`, in place of a socket that a process has left behind.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if a process listens there, or if the file is something else; as `bind(2)`.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = unix_socket()?;
        // The file has the socket's mode, less the umask: at no time more than this.
        fchmod(&socket, Mode::from_bits_truncate(MODE))?;
        bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        let metadata = fs::symlink_metadata(path)?;
        listen(&socket, Backlog::new(BACKLOG)?)?;
        let listener = UnixListener::from_std(socket.into())?;
        info!(path = %path.display(), "listening for the host console");
        Ok(Self {
            path: path.to_owned(),
            listener,
            file: (metadata.dev(), metadata.ino()),
            next: None,
            logged_refusal: false,
            failing: Outage::new(),
        })
    }

    /// Waits until a host dials. Cancel safe.
    ///
    /// # Errors
    ///
    /// A connection that cannot be used.
    pub(super) async fn accept(&mut self) -> io::Result<Device> {
        let stream = match self.next.take() {
            Some(stream) => stream,
            None => self.next_dialled().await,
        };
        self.logged_refusal = false;
        Device::new(stream.into_std()?.into())
    }

    /// Refuses the hosts that dial while `connected` is connected. Never ends; cancel safe.
    pub(super) async fn refuse_others(&mut self, connected: &Device) {
        loop {
            let stream = self.next_dialled().await;
            let has_hung_up = match &self.next {
                Some(next) => has_hung_up(next),
                None => has_hung_up(connected),
            };
            if has_hung_up {
                self.next = Some(stream);
            } else if !self.logged_refusal {
                warn!(
                    path = %self.path.display(),
                    "a second host dials the console: refused, and all others, while the first is connected"
                );
                self.logged_refusal = true;
            }
        }
    }

    async fn next_dialled(&self) -> UnixStream {
        let log = |error: &io::Error| warn!(%error, "cannot accept a host console; retrying");
        let attempt = || async { self.listener.accept().await };
        let (stream, _) = self.failing.retry(RETRY, attempt, log).await;
        self.failing.end();
        stream
    }
}

impl Drop for ConsoleListener {
    fn drop(&mut self) {
        let file = fs::symlink_metadata(&self.path);
        // Another process may listen there by now.
        if file.is_ok_and(|file| (file.dev(), file.ino()) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the peer has closed its end: what it has sent can still be read, and nothing follows.
fn has_hung_up(stream: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    // An error is found by whoever reads.
    let _ = poll(&mut polled, PollTimeout::ZERO);
    let [polled] = polled;
    polled.revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
}

/// Removes the socket of a process that has ended, but not one at which a process listens.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Ok(());
    }
    // Without blocking: EAGAIN is a listener whose queue is full.
    let socket = unix_socket()?;
    match connect(socket.as_raw_fd(), &UnixAddr::new(path)?) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path),
        Err(Errno::ENOENT) => Ok(()),
        Ok(()) | Err(Errno::EAGAIN) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error.into()),
    }
}

fn unix_socket() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

#[cfg(test)]
mod tests;
