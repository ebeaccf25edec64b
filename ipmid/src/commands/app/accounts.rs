//! Access of the user and channel commands to the accounts.

use std::sync::Arc;

use accounts::{AccountError, Channel, Setting, Snapshot, SystemError, UserAdmin, UserId};
use ipmi_proto::{AccessMode, ChannelNumber, CompletionCode, Privilege};
use tokio::task;
use tracing::{error, warn};

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
        let before = self.accounts();
        let done = task::spawn_blocking(move || act(accounts.as_ref())).await;
        if has_administrator(&before) && !has_administrator(&self.accounts()) {
            warn!(
                "no enabled administrator can log in over a session channel any more; the host's system \
                 interface still can change that"
            );
        }
        match done {
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

/// Whether an enabled user may have Administrator privilege on an open channel with sessions.
fn has_administrator(accounts: &Snapshot) -> bool {
    let is_open = |channel: ChannelNumber| {
        let access = accounts.channel_access(channel, Setting::Volatile);
        access.is_some_and(|access| {
            matches!(access.mode, AccessMode::AlwaysAvailable | AccessMode::Shared)
        })
    };
    let administers = |channel: ChannelNumber| {
        accounts.users().any(|(id, user)| {
            let access = user.access(channel);
            let limit = accounts.privilege_limit(id, channel);
            let is_administrator = limit >= Some(Privilege::Administrator);
            let may_log_in = access.messaging && !accounts.is_callback_only(id, channel);
            user.enabled && may_log_in && is_administrator
        })
    };
    let mut channels = accounts.channels().iter().filter(|channel| channel.has_sessions());
    channels.any(|channel| is_open(channel.number()) && administers(channel.number()))
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
                SystemError::Absent(_) => CompletionCode::NOT_IN_PRESENT_STATE,
                SystemError::Timeout(_) => CompletionCode::TIMEOUT,
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

#[cfg(test)]
mod tests {
    use accounts::{AccessConfig, UserName, Users, Writer};

    use super::*;

    #[test]
    fn last_administrator_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let config = AccessConfig::default();
        let store = Writer::open(folder.path(), &config, Default::default()).unwrap();
        let (id, lan) = (UserId::new(3).unwrap(), ChannelNumber::new(1).unwrap());
        let limit = |limit, callback_only| {
            let change = move |access: &mut accounts::UserAccess| {
                access.privilege = limit;
                access.callback_only = callback_only;
                access.messaging = true;
            };
            store.change_access(id, lan, &change).unwrap();
            has_administrator(&store.snapshot())
        };
        let enable = |enabled| {
            store.set_enabled(id, enabled).unwrap();
            has_administrator(&store.snapshot())
        };
        let open = |mode| {
            let change = |_, access| Some(accounts::ChannelAccess { mode, ..access });
            store.change_channel_access(lan, &change).unwrap();
            has_administrator(&store.snapshot())
        };
        store.set_name(id, UserName::new(b"bob").unwrap()).unwrap();
        assert!(!limit(Some(Privilege::Administrator), false), "not enabled yet");
        assert!(enable(true) && !enable(false) && enable(true));
        assert!(!limit(Some(Privilege::Operator), false));
        assert!(!limit(Some(Privilege::Administrator), true), "restricted to callback");
        assert!(!limit(None, false));
        assert!(limit(Some(Privilege::Administrator), false));
        assert!(!open(AccessMode::Disabled) && open(AccessMode::AlwaysAvailable));
    }
}
