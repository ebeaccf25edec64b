//! Following the accounts: they are read again when their writer has changed them (`inotify(7)`).
//!
//! A folder that does not exist yet is waited for by a watch on the nearest folder above it that does.
//! Where nothing can be watched, because this user has used up its inotify instances or watches or may
//! not read a folder, one line says so. Then the files' time stamps are compared at each login, and every ten
//! seconds while there are sessions, whose users may lose their permission; without sessions nothing wakes the
//! daemon.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use accounts::Followed;
use daemon::Outage;
use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::sync::Notify;
use tokio::time::sleep;

/// How often time stamps are compared while the folders cannot be watched and there are sessions.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// What the readers of the accounts and the task that follows them know of each other.
#[derive(Debug, Default)]
pub struct Changes {
    /// Whether readers have to compare time stamps.
    is_unwatched: AtomicBool,
    /// Whether a reader has found a change.
    is_found: AtomicBool,
    has_sessions: AtomicBool,
    /// A login began, or `has_sessions` changed.
    activity: Notify,
}

impl Changes {
    /// Makes the accounts current before a login.
    pub fn before_login(&self, store: &dyn Followed) {
        if self.is_unwatched.load(Ordering::Relaxed) {
            if store.refresh() {
                self.is_found.store(true, Ordering::Relaxed);
            }
            self.activity.notify_one();
        }
    }

    /// Whether there are sessions.
    pub fn set_sessions(&self, has_sessions: bool) {
        if self.has_sessions.swap(has_sessions, Ordering::Relaxed) != has_sessions {
            self.activity.notify_one();
        }
    }

    /// Waits until time stamps are to be compared.
    async fn until_needed(&self) {
        let has_sessions = self.has_sessions.load(Ordering::Relaxed);
        tokio::select! {
            () = self.activity.notified() => {}
            () = sleep(POLL_INTERVAL), if has_sessions => {}
        }
    }
}

/// Reads the accounts again whenever they may have changed, and calls `changed` when they have. Never ends.
pub async fn follow(store: Arc<dyn Followed>, changes: Arc<Changes>, changed: impl Fn()) {
    let mut buffer = [0; 1024];
    let polling = Outage::new();
    loop {
        // Watched before they are read: a change meanwhile is an event.
        let watches = Watches::set(&*store, &mut buffer);
        let is_watched = watches.is_ok();
        changes.is_unwatched.store(!is_watched, Ordering::Relaxed);
        let is_changed = if is_watched { store.reload() } else { store.refresh() };
        if changes.is_found.swap(false, Ordering::Relaxed) || is_changed {
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
                tracing::warn!(
                    %error, seconds = POLL_INTERVAL.as_secs(),
                    "cannot watch the accounts' folders: changes take effect at the next login, and for sessions later"
                );
            }
            changes.is_unwatched.store(true, Ordering::Relaxed);
            changes.until_needed().await;
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

        fn refresh(&self) -> bool {
            self.reload()
        }

        fn is_unreadable(&self) -> bool {
            false
        }
    }

    /// A store in a folder that is being followed, and notice of each time that it was read.
    fn followed(folder: &Path) -> (Arc<Store>, Arc<Changes>, mpsc::UnboundedReceiver<()>) {
        let store = Arc::new(Store { folder: folder.to_owned(), reads: AtomicUsize::new(0) });
        let (notify, read) = mpsc::unbounded_channel();
        let (follower, changes) = (Arc::clone(&store) as Arc<dyn Followed>, Arc::default());
        tokio::spawn(follow(follower, Arc::clone(&changes), move || {
            let _ = notify.send(());
        }));
        (store, changes, read)
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
        let (_store, _changes, mut read) = followed(&folder);
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
        let (store, _changes, mut read) = followed(dir.path());
        until_read(&mut read).await;
        File::create(dir.path().join("users.json")).unwrap();
        File::create(dir.path().join("generation")).unwrap();
        until_read(&mut read).await;
        let reads = store.reads.load(Ordering::Relaxed);
        assert!(reads <= 3, "made and closed: {reads}");
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_that_cannot_be_watched_are_compared_at_logins_and_while_there_are_sessions() {
        let dir = TempDir::new().unwrap();
        File::create(dir.path().join("file")).unwrap();
        let (store, changes, mut read) = followed(&dir.path().join("file/access"));
        until_read(&mut read).await;
        sleep(POLL_INTERVAL * 100).await;
        assert_eq!(read.try_recv(), Err(mpsc::error::TryRecvError::Empty), "nobody needs them");
        let begun = Instant::now();
        changes.before_login(&*store);
        read.recv().await;
        changes.set_sessions(true);
        read.recv().await;
        assert_eq!(Instant::now(), begun, "at once");
        for _ in 0..3 {
            read.recv().await;
        }
        assert_eq!(Instant::now() - begun, POLL_INTERVAL * 3);
        fs::remove_file(dir.path().join("file")).unwrap();
        until_read(&mut read).await;
        let begun = Instant::now();
        fs::create_dir(dir.path().join("file")).unwrap();
        until_read(&mut read).await;
        assert_eq!(Instant::now(), begun, "watched again");
        let reads = store.reads.load(Ordering::Relaxed);
        changes.before_login(&*store);
        assert_eq!(store.reads.load(Ordering::Relaxed), reads, "what is watched is current");
    }
}
