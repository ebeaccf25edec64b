//! Parameter updates in progress (Set In Progress, parameter 0 of LAN, SOL, PEF, boot and system info parameters:
//! IPMI v2.0 Tables 22-16c, 23-4, 26-5, 28-14, 30-6): which client changes parameters, and until when.
//!
//! An update ends when its client says so; when the host is reset or switched off, as the tables require; when the
//! client's session has ended; and when the client has not written for a minute. Where parameters can be rolled
//! back, what the client writes is held here until it is committed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::persistent::lock;
use super::requester::{Requester, Session};

/// An update ends after so long without a write.
pub(crate) const UPDATE_TIMEOUT: Duration = Duration::from_secs(60);
/// The most writes that are held: more than there are parameters with all of their sets.
pub(crate) const ROOM: usize = 256;

/// Why an update was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UpdateError {
    /// Another client's update is in progress.
    #[error("another client is changing these parameters")]
    InProgress,
    /// The client has written more than is held for it.
    #[error("more than {ROOM} writes are waiting for their commit")]
    TooManyWrites,
}

/// Parameters that are changed together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Parameters {
    /// Of the LAN channel with this number.
    Lan(u8),
    /// Of SOL on the channel with this number.
    Sol(u8),
    /// Of platform event filtering.
    Pef,
    /// Of the host's boot.
    Boot,
    /// Of the system.
    SystemInfo,
}

/// A parameter and the bytes written to it.
pub type Write = (u8, Vec<u8>);

/// The result of beginning and ending.
type Done = Result<(), UpdateError>;

/// One client's update.
#[derive(Debug)]
struct Update {
    owner: Requester,
    /// When it last wrote.
    written: Instant,
    /// What is held, in the order in which it was written.
    writes: Vec<Write>,
}

/// The updates in progress.
#[derive(Debug, Default)]
pub struct ParameterUpdates(Mutex<BTreeMap<Parameters, Update>>);

impl ParameterUpdates {
    /// A client writes: its update goes on, if it has one.
    pub fn extend(&self, of: Parameters, client: Requester) {
        self.own(of, client, |update| update.written = Instant::now());
    }

    /// The host was reset or switched off: no update goes on, and what is held is dropped.
    pub fn end_all(&self) {
        lock(&self.0).clear();
    }

    /// Begins an update.
    ///
    /// # Errors
    ///
    /// [`UpdateError::InProgress`] when there is one already.
    pub fn begin(&self, of: Parameters, owner: Requester) -> Done {
        let mut updates = lock(&self.0);
        if owner_of(&mut updates, of).is_some() {
            return Err(UpdateError::InProgress);
        }
        let update = Update { owner, written: Instant::now(), writes: Vec::new() };
        updates.insert(of, update);
        Ok(())
    }

    /// Ends an update; writes that were not committed are dropped.
    ///
    /// # Errors
    ///
    /// [`UpdateError::InProgress`] when another client owns it.
    pub fn end(&self, of: Parameters, client: Requester) -> Done {
        self.take_writes(of, client)?;
        lock(&self.0).remove(&of);
        Ok(())
    }

    /// The held writes, which are to be committed and are no longer held; empty without an update.
    ///
    /// # Errors
    ///
    /// [`UpdateError::InProgress`] when another client owns it.
    pub fn take_writes(
        &self,
        of: Parameters,
        client: Requester,
    ) -> Result<Vec<Write>, UpdateError> {
        if self.owner(of).is_some_and(|owner| owner != client) {
            return Err(UpdateError::InProgress);
        }
        let writes = self.own(of, client, |update| {
            update.written = Instant::now();
            std::mem::take(&mut update.writes)
        });
        Ok(writes.unwrap_or_default())
    }

    /// Ends the update of any client; what it holds is dropped.
    pub fn end_for_all(&self, of: Parameters) {
        lock(&self.0).remove(&of);
    }

    /// Whether any client has an update in progress.
    pub fn is_in_progress(&self, of: Parameters) -> bool {
        self.owner(of).is_some()
    }

    /// Whether what `client` writes is held.
    pub fn holds(&self, of: Parameters, client: Requester) -> bool {
        self.owner(of) == Some(client)
    }

    /// Holds a write. An update that ended meanwhile takes its writes with it.
    ///
    /// # Errors
    ///
    /// [`UpdateError::TooManyWrites`].
    pub fn hold(&self, of: Parameters, client: Requester, write: Write) -> Done {
        let added = self.own(of, client, |update| {
            if update.writes.len() == ROOM {
                return Err(UpdateError::TooManyWrites);
            }
            update.written = Instant::now();
            update.writes.push(write);
            Ok(())
        });
        added.unwrap_or(Ok(()))
    }

    /// The bytes of the last held write of `client` that is `wanted`.
    pub fn last_held(
        &self,
        of: Parameters,
        client: Requester,
        wanted: impl Fn(&Write) -> bool,
    ) -> Option<Vec<u8>> {
        self.own(of, client, |update| {
            let write = update.writes.iter().rfind(|write| wanted(write))?;
            Some(write.1.clone())
        })?
    }

    /// The session that owns the update, if a session other than `client` does.
    pub fn other_session(&self, of: Parameters, client: Requester) -> Option<Session> {
        self.owner(of).filter(|owner| *owner != client)?.session
    }

    /// Ends the update that `session` owns, as the session has ended.
    pub fn end_of_session(&self, of: Parameters, session: Session) {
        let mut updates = lock(&self.0);
        if owner_of(&mut updates, of).is_some_and(|owner| owner.session == Some(session)) {
            updates.remove(&of);
        }
    }

    /// The owner of the update.
    fn owner(&self, of: Parameters) -> Option<Requester> {
        owner_of(&mut lock(&self.0), of)
    }

    fn own<R>(
        &self,
        of: Parameters,
        client: Requester,
        act: impl FnOnce(&mut Update) -> R,
    ) -> Option<R> {
        let mut updates = lock(&self.0);
        owner_of(&mut updates, of).filter(|owner| *owner == client)?;
        updates.get_mut(&of).map(act)
    }
}

/// The owner of the update. An update without a write for [`UPDATE_TIMEOUT`] ends here.
fn owner_of(updates: &mut BTreeMap<Parameters, Update>, of: Parameters) -> Option<Requester> {
    let update = updates.get(&of)?;
    if update.written.elapsed() < UPDATE_TIMEOUT {
        return Some(update.owner);
    }
    updates.remove(&of);
    None
}
