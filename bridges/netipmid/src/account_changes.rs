//! Following the accounts: they are read again when their writer has changed them (`inotify(7)`).
//!
//! A folder that does not exist yet is waited for by a watch on the nearest folder above it that does.
//! Where nothing can be watched, because this user has used up its inotify instances or watches or may
//! not read a folder, the accounts are read every ten seconds, and one line says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use accounts::Followed;
use daemon::Outage;
use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::time::sleep;

/// How often the accounts are read while their folders cannot be watched.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Reads the accounts again whenever they may have changed, and calls `changed` when they have. Never ends.
pub async fn follow(store: Arc<dyn Followed>, changed: impl Fn()) {
    let mut buffer = [0; 1024];
    let polling = Outage::new();
    loop {
        // Watched before they are read: a change meanwhile is an event.
        let watches = Watches::set(&*store, &mut buffer);
        if store.reload() {
            changed();
        }
        let waited = match watches {
            Ok(mut watches) => {
                if polling.end() {
                    tracing::info!("the accounts' folders can be watched again");
                }
                watches.changed(&*store).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = waited {
            if polling.begin() {
                let seconds = POLL_INTERVAL.as_secs();
                tracing::warn!(
                    %error, seconds,
                    "cannot watch the accounts' folders: changes take effect at the next poll"
                );
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// The watches on the accounts' folders.
struct Watches<'a> {
    events: EventStream<&'a mut [u8; 1024]>,
    folders: Vec<WatchDescriptor>,
    /// Watches on the folders above those that do not exist, and the path that is waited for in each.
    missing: Vec<(WatchDescriptor, PathBuf)>,
}

impl<'a> Watches<'a> {
    /// Watches each of the accounts' folders, or the nearest one above it.
    fn set(store: &dyn Followed, buffer: &'a mut [u8; 1024]) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let (mut folders, mut missing) = (Vec::new(), Vec::new());
        for folder in store.folders() {
            let (descriptor, awaited) = watch_nearest(&inotify, &folder, folder_events())?;
            match awaited {
                None => folders.push(descriptor),
                Some(awaited) => missing.push((descriptor, awaited)),
            }
        }
        Ok(Self { events: inotify.into_event_stream(buffer)?, folders, missing })
    }

    /// Waits until the accounts must be read again.
    async fn changed(&mut self, store: &dyn Followed) -> io::Result<()> {
        // Made between the look for it and the watch.
        if self.missing.iter().any(|(_, awaited)| awaited.exists()) {
            return Ok(());
        }
        while let Some(event) = self.events.next().await {
            let event = event?;
            if event.mask.is_empty() {
                continue;
            }
            // Of a watched folder itself: moved, deleted, other permissions, or events were lost.
            let Some(name) = event.name.as_deref() else {
                return Ok(());
            };
            let is_awaited = |(descriptor, path): &(WatchDescriptor, PathBuf)| {
                *descriptor == event.wd && path.file_name() == Some(name)
            };
            if self.missing.iter().any(is_awaited)
                || self.folders.contains(&event.wd) && store.announces(name)
            {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// For a folder of the accounts. A file written in place counts when its writer is done.
fn folder_events() -> WatchMask {
    way_events() | WatchMask::CLOSE_WRITE
}

/// For a folder above one that does not exist.
pub(crate) fn way_events() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::MOVED_TO
        | WatchMask::ATTRIB
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
}

/// Watches `folder` for `events`, or else the nearest folder above it that exists; then with the path in it that
/// leads to `folder`.
pub(crate) fn watch_nearest(
    inotify: &Inotify,
    folder: &Path,
    events: WatchMask,
) -> io::Result<(WatchDescriptor, Option<PathBuf>)> {
    let mut awaited = None;
    for path in folder.ancestors() {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // It may be an account folder too, whose watch must stay.
        let mask = match awaited {
            None => events,
            Some(_) => way_events() | WatchMask::MASK_ADD,
        };
        match inotify.watches().add(path, mask) {
            Ok(descriptor) => return Ok((descriptor, awaited)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                awaited = Some(path.to_owned());
            }
            Err(error) => return Err(with_path(path, &error)),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{self, File};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use accounts::{Kg, Password, Snapshot, UserId, Users};
    use ipmi_proto::ChannelNumber;
    use tempfile::TempDir;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;

    /// Counts how often it is read.
    struct Store {
        folder: PathBuf,
        reads: AtomicUsize,
    }

    impl Users for Store {
        fn snapshot(&self) -> Arc<Snapshot> {
            unreachable!()
        }

        fn password(&self, _: UserId) -> Option<Password> {
            None
        }

        fn kg(&self, _: ChannelNumber) -> Option<Kg> {
            None
        }
    }

    impl Followed for Store {
        fn folders(&self) -> Vec<PathBuf> {
            vec![self.folder.clone()]
        }

        fn announces(&self, file: &OsStr) -> bool {
            file == "generation"
        }

        fn reload(&self) -> bool {
            self.reads.fetch_add(1, Ordering::Relaxed);
            true
        }

        fn is_unreadable(&self) -> bool {
            false
        }
    }

    /// A store in a folder that is being followed, and notice of each time that it was read.
    fn followed(folder: &Path) -> (Arc<Store>, mpsc::UnboundedReceiver<()>) {
        let store = Arc::new(Store { folder: folder.to_owned(), reads: AtomicUsize::new(0) });
        let (notify, read) = mpsc::unbounded_channel();
        let follower = Arc::clone(&store) as Arc<dyn Followed>;
        tokio::spawn(follow(follower, move || {
            let _ = notify.send(());
        }));
        (store, read)
    }

    /// Waits until the store has been read, after which its folders are watched again.
    async fn until_read(read: &mut mpsc::UnboundedReceiver<()>) {
        read.recv().await;
        while read.try_recv().is_ok() {}
    }

    #[tokio::test(start_paused = true)]
    async fn folders_that_appear_one_in_the_other_are_followed_without_a_pause() {
        let dir = TempDir::new().unwrap();
        let folder = dir.path().join("state/access");
        let begun = Instant::now();
        let (_store, mut read) = followed(&folder);
        until_read(&mut read).await;
        fs::create_dir(dir.path().join("state")).unwrap();
        until_read(&mut read).await;
        fs::create_dir(&folder).unwrap();
        until_read(&mut read).await;
        for _ in 0..3 {
            fs::write(folder.join("generation.new"), "1").unwrap();
            fs::rename(folder.join("generation.new"), folder.join("generation")).unwrap();
            until_read(&mut read).await;
        }
        fs::rename(&folder, dir.path().join("state/other")).unwrap();
        until_read(&mut read).await;
        fs::create_dir(&folder).unwrap();
        until_read(&mut read).await;
        assert_eq!(Instant::now(), begun, "the clock of the test stands unless somebody sleeps");
    }

    #[tokio::test(start_paused = true)]
    async fn other_files_are_no_changes() {
        let dir = TempDir::new().unwrap();
        let (store, mut read) = followed(dir.path());
        until_read(&mut read).await;
        File::create(dir.path().join("users.json")).unwrap();
        File::create(dir.path().join("generation")).unwrap();
        until_read(&mut read).await;
        let reads = store.reads.load(Ordering::Relaxed);
        assert!(reads <= 3, "made and closed: {reads}");
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_that_cannot_be_watched_are_polled() {
        let dir = TempDir::new().unwrap();
        File::create(dir.path().join("file")).unwrap();
        let begun = Instant::now();
        let (_store, mut read) = followed(&dir.path().join("file/access"));
        for _ in 0..4 {
            read.recv().await;
        }
        assert_eq!(Instant::now() - begun, POLL_INTERVAL * 3);
        fs::remove_file(dir.path().join("file")).unwrap();
        until_read(&mut read).await;
        let begun = Instant::now();
        fs::create_dir(dir.path().join("file")).unwrap();
        until_read(&mut read).await;
        assert_eq!(Instant::now(), begun, "watched again");
    }
}
