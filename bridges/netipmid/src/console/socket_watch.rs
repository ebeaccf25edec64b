//! A watch on the folder of a console's socket (`inotify(7)`): the socket is dialled as soon as it is there.

use std::ffi::OsString;
use std::path::Path;
use std::{future, io};

use futures_util::StreamExt;
use inotify::{EventStream, Inotify};

use crate::account_changes::{watch_nearest, way_events};

/// A watch for one socket. It takes an inotify instance, so there is one only while the console is not connected.
pub(super) struct SocketWatch {
    events: EventStream<Vec<u8>>,
    /// The name that is waited for: the socket's, or that of a folder above it that does not exist yet.
    awaited: OsString,
}

impl SocketWatch {
    /// Watches for the socket at `path`.
    ///
    /// # Errors
    ///
    /// No inotify instance or watch is left; a folder cannot be read.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let (_, missing) = watch_nearest(&inotify, folder, way_events())?;
        let awaited = missing.as_deref().unwrap_or(path).file_name();
        let awaited = awaited.ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        Ok(Self { events: inotify.into_event_stream(vec![0; 1024])?, awaited })
    }

    /// Waits until what is waited for may be there, or the folder has changed. Cancel safe.
    pub(super) async fn appeared(&mut self) {
        while let Some(Ok(event)) = self.events.next().await {
            // Without a name, the folder itself was moved or deleted, or events were lost.
            if event.name.is_none_or(|name| name == self.awaited) {
                return;
            }
        }
        // The instance is of no use any more; the next attempt to connect makes another.
        future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_socket_and_the_folders_above_it_are_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vm/run/console");
        for folder in ["vm", "vm/run"] {
            let mut watch = SocketWatch::new(&path).unwrap();
            fs::create_dir(dir.path().join(folder)).unwrap();
            timeout(LIMIT, watch.appeared()).await.unwrap();
        }
        let mut watch = SocketWatch::new(&path).unwrap();
        fs::write(dir.path().join("vm/run/other"), "").unwrap();
        assert!(timeout(Duration::from_millis(20), watch.appeared()).await.is_err());
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        timeout(LIMIT, watch.appeared()).await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_is_replaced_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("vm");
        fs::create_dir(&folder).unwrap();
        let mut watch = SocketWatch::new(&folder.join("console")).unwrap();
        fs::remove_dir(&folder).unwrap();
        timeout(LIMIT, watch.appeared()).await.unwrap();
    }
}
