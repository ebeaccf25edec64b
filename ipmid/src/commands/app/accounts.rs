//! How the commands about users and channels reach the store of accounts.

use std::sync::Arc;

use accounts::{AccountError, Channel, Snapshot, SystemError, UserAdmin, UserId};
use ipmi_proto::{ChannelNumber, CompletionCode};
use tokio::task;
use tracing::error;

use super::{AppProvider, Platform};
use crate::request::context::Context;

impl<P: Platform> AppProvider<P> {
    /// All users and channels as they are now.
    pub(super) fn accounts(&self) -> Arc<Snapshot> {
        self.parts.accounts.snapshot()
    }

    /// Has the store do something that waits for the medium, on a thread that may wait.
    pub(super) async fn administer<R: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn UserAdmin) -> Result<R, AccountError> + Send + 'static,
    ) -> Result<R, CompletionCode> {
        let accounts = Arc::clone(&self.parts.accounts);
        match task::spawn_blocking(move || act(accounts.as_ref())).await {
            Ok(result) => result.map_err(|error| refusal(&error)),
            Err(error) => {
                error!(%error, "the thread that changes accounts ended");
                Err(CompletionCode::UNSPECIFIED)
            }
        }
    }

    /// The number of the channel that a field means.
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

    /// As [`channel_number`](Self::channel_number), of a channel that holds sessions.
    ///
    /// # Errors
    ///
    /// `CCh` when no such channel is configured, `without` when it holds no sessions.
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

    /// The user of an id.
    ///
    /// # Errors
    ///
    /// `CCh` for an id that there is not.
    pub(super) fn user_id(&self, id: u8) -> Result<UserId, CompletionCode> {
        UserId::new(id)
            .filter(|id| self.accounts().user(*id).is_some())
            .ok_or(CompletionCode::INVALID_DATA_FIELD)
    }
}

/// The completion code for a change that the store did not make.
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
            error!(%error, "accounts are not changed");
            match error {
                SystemError::Absent => CompletionCode::NOT_IN_PRESENT_STATE,
                SystemError::Timeout => CompletionCode::TIMEOUT,
                SystemError::Refused(_) => CompletionCode::INVALID_DATA_FIELD,
                SystemError::Unavailable(_) => CompletionCode::SUBFUNCTION_DISABLED,
            }
        }
        error if error.is_full() => CompletionCode::OUT_OF_SPACE,
        error => {
            error!(%error, "accounts are not changed");
            CompletionCode::UNSPECIFIED
        }
    }
}
