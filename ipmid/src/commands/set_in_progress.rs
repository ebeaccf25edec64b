//! Set In Progress, which LAN, SOL, PEF, boot and system info parameters share as their parameter 0 (IPMI v2.0
//! Tables 22-16c, 23-4, 26-5, 28-14, 30-6).

use ipmi_proto::CompletionCode;
use ipmi_proto::codec::{Bits, Remaining, Zero};

use crate::model::parameter_updates::{ParameterUpdates, Parameters, UpdateError};
use crate::model::requester::Requester;
use crate::platform::{PlatformError, SessionState, Sessions};
use crate::request::context::Context;

/// `81h`: another client is changing these parameters.
pub(super) const SET_IN_PROGRESS: CompletionCode = CompletionCode(0x81);

impl From<UpdateError> for CompletionCode {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::InProgress => SET_IN_PROGRESS,
            UpdateError::TooManyWrites => Self::OUT_OF_SPACE,
        }
    }
}

/// Values of Set In Progress.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SetState {
    /// No update is in progress.
    Complete,
    /// The client changes parameters.
    InProgress,
    /// The writes take effect; the update goes on.
    CommitWrite,
}

impl SetState {
    /// What a client writes to parameter 0.
    ///
    /// # Errors
    ///
    /// `C7h` when it is not one byte, `CCh` for the value that is reserved.
    pub(super) fn decode(data: &Remaining) -> Result<Self, CompletionCode> {
        let (state, _): (Bits<2>, Zero<6>) = data.decode()?;
        match state.value() {
            0 => Ok(Self::Complete),
            1 => Ok(Self::InProgress),
            2 => Ok(Self::CommitWrite),
            _ => Err(CompletionCode::INVALID_DATA_FIELD),
        }
    }
}

/// Set In Progress of parameters that take effect when they are written, so that there is nothing to commit. It
/// only informs other clients: any client may end it.
///
/// # Errors
///
/// `81h` when an update is begun while there is one.
pub(super) async fn set(
    updates: &ParameterUpdates,
    platform: &impl Sessions,
    of: Parameters,
    context: &Context,
    progress: SetState,
) -> Result<(), CompletionCode> {
    let client = context.into();
    end_of_ended_session(updates, platform, of, client).await;
    match progress {
        SetState::Complete => updates.end_for_all(of),
        SetState::InProgress => updates.begin(of, client)?,
        SetState::CommitWrite => updates.extend(of, client),
    }
    Ok(())
}

/// Get Set In Progress: 1 while there is an update, else 0.
pub(super) async fn get(
    updates: &ParameterUpdates,
    platform: &impl Sessions,
    of: Parameters,
    context: &Context,
) -> u8 {
    end_of_ended_session(updates, platform, of, context.into()).await;
    u8::from(updates.is_in_progress(of))
}

/// Ends another client's update if its session has ended.
pub(super) async fn end_of_ended_session(
    updates: &ParameterUpdates,
    platform: &impl Sessions,
    of: Parameters,
    client: Requester,
) {
    let Some(session) = updates.other_session(of, client) else {
        return;
    };
    let is_active = match platform.sessions().await {
        Ok(sessions) => sessions
            .iter()
            .any(|active| active.id == session.id && active.state == SessionState::Active),
        Err(PlatformError::Absent(_)) => false,
        Err(_) => true, // unknown: the update ends by its time limit
    };
    if !is_active {
        updates.end_of_session(of, session);
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::ChannelNumber;

    use super::*;
    use crate::model::parameter_updates::UPDATE_TIMEOUT;
    use crate::model::requester::Session;
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
    async fn read(updates: &ParameterUpdates, platform: &FakePlatform, of: Parameters) -> u8 {
        let host = Context::system_interface();
        get(updates, platform, of, &host).await
    }

    #[tokio::test]
    async fn each_set_of_parameters_has_its_own() {
        let (updates, platform) = (ParameterUpdates::default(), FakePlatform::default());
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
            let begun = set(&updates, &platform, of, &host, SetState::InProgress);
            assert_eq!(begun.await, Ok(()), "{of:?}");
        }
        set(&updates, &platform, Parameters::Pef, &host, SetState::Complete).await.unwrap();
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
        let (updates, platform) = (ParameterUpdates::default(), FakePlatform::default());
        let (one, two) = (open(&platform, 1), open(&platform, 2));
        let of = Parameters::Boot;
        let set = |context, progress| super::set(&updates, &platform, of, context, progress);
        assert_eq!(set(&one, SetState::InProgress).await, Ok(()));
        for context in [&one, &two] {
            let again = set(context, SetState::InProgress).await;
            assert_eq!(again, Err(SET_IN_PROGRESS));
        }
        assert_eq!(set(&one, SetState::CommitWrite).await, Ok(()));
        assert_eq!(read(&updates, &platform, of).await, 1);
        assert_eq!(set(&two, SetState::Complete).await, Ok(()));
        assert_eq!(set(&two, SetState::InProgress).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_session_and_a_minute_after_the_last_write() {
        let (updates, platform) = (ParameterUpdates::default(), FakePlatform::default());
        let (one, two) = (open(&platform, 1), open(&platform, 2));
        let of = Parameters::Sol(1);
        let set = |context, progress| super::set(&updates, &platform, of, context, progress);
        set(&one, SetState::InProgress).await.unwrap();
        platform.state().sessions.retain(|session| session.id != 1);
        set(&two, SetState::InProgress).await.unwrap();
        for _ in 0..3 {
            tokio::time::advance(UPDATE_TIMEOUT.mul_f32(0.9)).await;
            updates.extend(of, (&two).into());
            updates.extend(of, (&one).into());
        }
        assert_eq!(read(&updates, &platform, of).await, 1);
        tokio::time::advance(UPDATE_TIMEOUT).await;
        updates.extend(of, (&two).into());
        assert_eq!(read(&updates, &platform, of).await, 0);
    }

    #[test]
    fn value_is_one_byte_and_not_reserved() {
        let decode = |bytes: &[u8]| SetState::decode(&bytes.to_vec().into());
        assert_eq!(decode(&[0]), Ok(SetState::Complete));
        assert_eq!(decode(&[1]), Ok(SetState::InProgress));
        assert_eq!(decode(&[2]), Ok(SetState::CommitWrite));
        assert_eq!(decode(&[3]), Err(CompletionCode::INVALID_DATA_FIELD));
        for bytes in [&[][..], &[0, 0]] {
            assert_eq!(decode(bytes), Err(CompletionCode::REQUEST_LENGTH_INVALID));
        }
    }
}
