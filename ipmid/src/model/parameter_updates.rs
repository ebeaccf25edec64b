//! Set In Progress, parameter 0 of LAN, SOL, PEF, boot and system info parameters: who says that he is
//! changing parameters, and until when (IPMI v2.0 Tables 22-16c, 23-4, 26-5, 28-14, 30-6).
//!
//! It ends when the client says so; when the host is reset or switched off, as the tables have it; when the
//! client's session has ended; and when the client has not written for a minute. Where parameters
//! can be rolled back, what the client writes is held here until it is committed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use ipmi_proto::codec::{Bits, Remaining};
use ipmi_proto::{ChannelNumber, CompletionCode};
use tokio::time::Instant;

use crate::model::persistent::lock;
use crate::platform::{PlatformError, SessionState, Sessions};
use crate::request::context::{Context, Satellite, Session};

/// `81h`: somebody is changing these parameters already.
pub const SET_IN_PROGRESS: CompletionCode = CompletionCode(0x81);

/// A client that writes nothing for so long has given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The most writes that are held: more than there are parameters with all of their sets.
pub(crate) const ROOM: usize = 256;

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

/// Values of Set In Progress.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Nobody changes parameters, or no more.
    Complete,
    /// Somebody does.
    InProgress,
    /// What was written takes effect, and the update goes on.
    Commit,
}

impl Progress {
    /// What a client writes to parameter 0.
    ///
    /// # Errors
    ///
    /// `C7h` when it is not one byte, `CCh` for the value that is reserved.
    pub fn decode(data: &Remaining) -> Result<Self, CompletionCode> {
        let (state, _): (Bits<2>, Bits<6>) = data.decode()?;
        match state.value() {
            0 => Ok(Self::Complete),
            1 => Ok(Self::InProgress),
            2 => Ok(Self::Commit),
            _ => Err(CompletionCode::INVALID_DATA_FIELD),
        }
    }
}

/// Who sends requests: a session, a satellite, or the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requester {
    channel: ChannelNumber,
    session: Option<Session>,
    satellite: Option<Satellite>,
}

impl From<&Context> for Requester {
    fn from(context: &Context) -> Self {
        Self { channel: context.channel, session: context.session, satellite: context.satellite }
    }
}

/// A parameter and the bytes written to it.
pub type Write = (u8, Vec<u8>);

/// What beginning and ending gives.
type Done = Result<(), CompletionCode>;

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
pub struct Updates(Mutex<BTreeMap<Parameters, Update>>);

impl Updates {
    /// Set In Progress of parameters that take effect when they are written, so that there is nothing to
    /// commit. It only tells others: anybody may say that it is over.
    ///
    /// # Errors
    ///
    /// `81h` when an update is begun while there is one.
    pub async fn set(
        &self,
        platform: &impl Sessions,
        of: Parameters,
        context: &Context,
        progress: Progress,
    ) -> Done {
        let who = context.into();
        self.forget_the_gone(platform, of, who).await;
        match progress {
            Progress::Complete => drop(lock(&self.0).remove(&of)),
            Progress::InProgress => self.begin(of, who)?,
            Progress::Commit => self.touch(of, context),
        }
        Ok(())
    }

    /// Get Set In Progress: 1 while there is an update, else 0.
    pub async fn get(&self, platform: &impl Sessions, of: Parameters, context: &Context) -> u8 {
        self.forget_the_gone(platform, of, context.into()).await;
        u8::from(self.owner(of).is_some())
    }

    /// A client writes: its update goes on, if it has one.
    pub fn touch(&self, of: Parameters, context: &Context) {
        let who = context.into();
        self.own(of, who, |update| update.written = Instant::now());
    }

    /// The host was reset or switched off: no update goes on, and what is held is dropped.
    pub fn end_all(&self) {
        lock(&self.0).clear();
    }

    /// Begins an update.
    ///
    /// # Errors
    ///
    /// `81h` when there is one.
    pub fn begin(&self, of: Parameters, owner: Requester) -> Done {
        let mut updates = lock(&self.0);
        if owner_of(&mut updates, of).is_some() {
            return Err(SET_IN_PROGRESS);
        }
        let update = Update { owner, written: Instant::now(), writes: Vec::new() };
        updates.insert(of, update);
        Ok(())
    }

    /// Ends an update with what was not committed.
    ///
    /// # Errors
    ///
    /// `81h` when it is another's.
    pub fn end(&self, of: Parameters, who: Requester) -> Done {
        self.take(of, who)?;
        lock(&self.0).remove(&of);
        Ok(())
    }

    /// What is to be committed, which is no longer held; nothing when nobody updates.
    ///
    /// # Errors
    ///
    /// `81h` when it is another's.
    pub fn take(&self, of: Parameters, who: Requester) -> Result<Vec<Write>, CompletionCode> {
        if self.owner(of).is_some_and(|owner| owner != who) {
            return Err(SET_IN_PROGRESS);
        }
        let writes = self.own(of, who, |update| {
            update.written = Instant::now();
            std::mem::take(&mut update.writes)
        });
        Ok(writes.unwrap_or_default())
    }

    /// Whether what `who` writes is held.
    pub fn holds(&self, of: Parameters, who: Requester) -> bool {
        self.owner(of) == Some(who)
    }

    /// Holds a write. An update that ended meanwhile takes its writes with it.
    ///
    /// # Errors
    ///
    /// `C4h` when there are too many.
    pub fn add(&self, of: Parameters, who: Requester, write: Write) -> Done {
        let added = self.own(of, who, |update| {
            if update.writes.len() == ROOM {
                return Err(CompletionCode::OUT_OF_SPACE);
            }
            update.written = Instant::now();
            update.writes.push(write);
            Ok(())
        });
        added.unwrap_or(Ok(()))
    }

    /// The bytes that `who` has written last of those that are `wanted`.
    pub fn last(
        &self,
        of: Parameters,
        who: Requester,
        wanted: impl Fn(&Write) -> bool,
    ) -> Option<Vec<u8>> {
        self.own(of, who, |update| {
            let write = update.writes.iter().rfind(|write| wanted(write))?;
            Some(write.1.clone())
        })?
    }

    /// Ends another's update if its session has ended.
    pub async fn forget_the_gone(&self, platform: &impl Sessions, of: Parameters, who: Requester) {
        let owner = self.owner(of).filter(|owner| *owner != who);
        let Some((owner, Session { id, .. })) =
            owner.and_then(|owner| Some((owner, owner.session?)))
        else {
            return;
        };
        let lives = match platform.sessions().await {
            Ok(sessions) => sessions
                .iter()
                .any(|session| session.id == id && session.state == SessionState::Active),
            Err(PlatformError::Absent) => false,
            Err(_) => true, // not known: until its time is over
        };
        let mut updates = lock(&self.0);
        if !lives && owner_of(&mut updates, of) == Some(owner) {
            updates.remove(&of);
        }
    }

    /// Whose update it is.
    fn owner(&self, of: Parameters) -> Option<Requester> {
        owner_of(&mut lock(&self.0), of)
    }

    fn own<R>(
        &self,
        of: Parameters,
        who: Requester,
        act: impl FnOnce(&mut Update) -> R,
    ) -> Option<R> {
        let mut updates = lock(&self.0);
        owner_of(&mut updates, of).filter(|owner| *owner == who)?;
        updates.get_mut(&of).map(act)
    }
}

/// Whose update it is. An update that was given up ends here.
fn owner_of(updates: &mut BTreeMap<Parameters, Update>, of: Parameters) -> Option<Requester> {
    let update = updates.get(&of)?;
    if update.written.elapsed() < PATIENCE {
        return Some(update.owner);
    }
    updates.remove(&of);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fake::FakePlatform;

    /// A session of the LAN, which is open.
    fn open(platform: &FakePlatform, id: u32) -> Context {
        platform.open_session(id);
        Context {
            channel: ChannelNumber::new(1).unwrap(),
            session: Some(Session { user_id: 2, id }),
            ..Context::system_interface()
        }
    }

    /// What parameter 0 reads as.
    async fn read(updates: &Updates, platform: &FakePlatform, of: Parameters) -> u8 {
        let host = Context::system_interface();
        updates.get(platform, of, &host).await
    }

    #[tokio::test]
    async fn each_set_of_parameters_has_its_own() {
        let (updates, platform) = (Updates::default(), FakePlatform::default());
        let host = Context::system_interface();
        let all = [
            Parameters::Lan(1),
            Parameters::Lan(2),
            Parameters::Sol(1),
            Parameters::Pef,
            Parameters::Boot,
            Parameters::SystemInfo,
        ];
        for of in all {
            let begun = updates.set(&platform, of, &host, Progress::InProgress);
            assert_eq!(begun.await, Ok(()), "{of:?}");
        }
        updates.set(&platform, Parameters::Pef, &host, Progress::Complete).await.unwrap();
        for of in all {
            let expected = u8::from(of != Parameters::Pef);
            assert_eq!(read(&updates, &platform, of).await, expected, "{of:?}");
        }
        // The host is reset.
        updates.end_all();
        for of in all {
            assert_eq!(read(&updates, &platform, of).await, 0, "{of:?}");
        }
    }

    #[tokio::test]
    async fn others_cannot_begin_but_end_it() {
        let (updates, platform) = (Updates::default(), FakePlatform::default());
        let (one, two) = (open(&platform, 1), open(&platform, 2));
        let of = Parameters::Boot;
        let set = |context, progress| updates.set(&platform, of, context, progress);
        assert_eq!(set(&one, Progress::InProgress).await, Ok(()));
        for context in [&one, &two] {
            let again = set(context, Progress::InProgress).await;
            assert_eq!(again, Err(SET_IN_PROGRESS));
        }
        assert_eq!(set(&one, Progress::Commit).await, Ok(()));
        assert_eq!(read(&updates, &platform, of).await, 1);
        assert_eq!(set(&two, Progress::Complete).await, Ok(()));
        assert_eq!(set(&two, Progress::InProgress).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_session_and_a_minute_after_the_last_write() {
        let (updates, platform) = (Updates::default(), FakePlatform::default());
        let (one, two) = (open(&platform, 1), open(&platform, 2));
        let of = Parameters::Sol(1);
        let set = |context, progress| updates.set(&platform, of, context, progress);
        set(&one, Progress::InProgress).await.unwrap();
        platform.state().sessions.retain(|session| session.id != 1);
        set(&two, Progress::InProgress).await.unwrap();
        for _ in 0..3 {
            tokio::time::advance(PATIENCE.mul_f32(0.9)).await;
            updates.touch(of, &two);
            updates.touch(of, &one);
        }
        assert_eq!(read(&updates, &platform, of).await, 1);
        tokio::time::advance(PATIENCE).await;
        updates.touch(of, &two);
        assert_eq!(read(&updates, &platform, of).await, 0);
    }

    #[test]
    fn value_is_one_byte_and_not_reserved() {
        let decode = |bytes: &[u8]| Progress::decode(&bytes.to_vec().into());
        assert_eq!(decode(&[0]), Ok(Progress::Complete));
        assert_eq!(decode(&[1]), Ok(Progress::InProgress));
        assert_eq!(decode(&[2]), Ok(Progress::Commit));
        assert_eq!(decode(&[3]), Err(CompletionCode::INVALID_DATA_FIELD));
        for bytes in [&[][..], &[0, 0]] {
            assert_eq!(decode(bytes), Err(CompletionCode::REQUEST_LENGTH_INVALID));
        }
    }
}
