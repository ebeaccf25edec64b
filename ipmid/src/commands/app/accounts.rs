//! Access of the user and channel commands to the accounts.

use std::sync::Arc;

use accounts::{AccountError, Channel, Snapshot, SystemError, UserAdmin, UserId};
use ipmi_proto::{ChannelNumber, CompletionCode};
use tokio::task;
use tracing::error;

use super::{AppProvider, Platform};
use crate::request::context::Context;

impl<P: Platform> AppProvider<P> {
    /// Snapshot of all users and channels.
    pub(super) fn accounts(&self) -> Arc<Snapshot> {
        self.deps.accounts.snapshot()
    }

    /// Runs `change`, which blocks on storage, on a blocking thread.
    pub(super) async fn administer<R: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn UserAdmin) -> Result<R, AccountError> + Send + 'static,
    ) -> Result<R, CompletionCode> {
        let accounts = Arc::clone(&self.deps.accounts);
        match task::spawn_blocking(move || act(accounts.as_ref())).await {
            Ok(result) => result.map_err(|error| refusal(&error)),
            Err(error) => {
                error!(%error, "the thread that changes accounts failed; the request is refused");
                Err(CompletionCode::UNSPECIFIED)
            }
        }
    }

    /// Channel number of a request field.
    ///
    /// # Errors
    ///
    /// `CCh` when no such channel is configured.
    pub(super) fn channel_number(
        &self,
        context: &Context,
        channel: ChannelNumber,
    ) -> Result<ChannelNumber, CompletionCode> {
        let number = context.resolve(channel);
        let accounts = self.accounts();
        accounts.channels().get(number).ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        Ok(number)
    }

    /// As [`channel_number`](Self::channel_number), of a channel with sessions.
    ///
    /// # Errors
    ///
    /// `CCh` when no such channel is configured, `without` if it has no sessions.
    pub(super) fn session_channel(
        &self,
        context: &Context,
        channel: ChannelNumber,
        without: CompletionCode,
    ) -> Result<ChannelNumber, CompletionCode> {
        let number = self.channel_number(context, channel)?;
        let accounts = self.accounts();
        let holds_sessions = accounts.channels().get(number).is_some_and(Channel::has_sessions);
        if holds_sessions { Ok(number) } else { Err(without) }
    }

    /// Validates a user ID.
    ///
    /// # Errors
    ///
    /// `CCh` for an invalid ID.
    pub(super) fn user_id(&self, id: u8) -> Result<UserId, CompletionCode> {
        UserId::new(id)
            .filter(|id| self.accounts().user(*id).is_some())
            .ok_or(CompletionCode::INVALID_DATA_FIELD)
    }
}

/// Completion code for a failed change of the accounts.
pub(crate) fn refusal(error: &AccountError) -> CompletionCode {
    match error {
        AccountError::NoSuchUser(_)
        | AccountError::NoSuchChannel(_)
        | AccountError::FixedName
        | AccountError::NameTaken(_)
        | AccountError::Unnamed(_)
        | AccountError::InvalidName
        | AccountError::InvalidPassword
        | AccountError::SessionLimit => CompletionCode::INVALID_DATA_FIELD,
        AccountError::KgLocked(_) => CompletionCode(0x80), // §22.25: the key is locked
        AccountError::System(error) => {
            error!(%error, "cannot change the accounts; the request is refused");
            match error {
                SystemError::Absent => CompletionCode::NOT_IN_PRESENT_STATE,
                SystemError::Timeout => CompletionCode::TIMEOUT,
                SystemError::Refused(_) => CompletionCode::INVALID_DATA_FIELD,
                SystemError::Unavailable(_) => CompletionCode::SUBFUNCTION_DISABLED,
            }
        }
        error if error.is_full() => CompletionCode::OUT_OF_SPACE,
        error => {
            error!(%error, "cannot change the accounts; the request is refused");
            CompletionCode::UNSPECIFIED
        }
    }
}
