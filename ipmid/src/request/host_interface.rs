//! The bus call `execute()`: who it is from, and what the bridge vouches for.

use std::sync::Arc;

use accounts::{Channel, Setting, UserId, Users};
use ipmi_proto::{AccessMode, ChannelNumber, CompletionCode, Lun, Medium, Privilege, ResponseBody};
use openbmc_dbus::execute::{Call, CallOptions, Execute, LinkRefusal, OwnerChange};
use zbus::Connection;

use crate::request::channels::Channels;
use crate::request::context::{Context, Satellite, Session};
use crate::request::dispatch::Dispatcher;

/// Takes calls, makes out their context and hands them to the dispatcher.
#[derive(Debug)]
pub struct HostInterface<U: ?Sized> {
    channels: Arc<Channels>,
    users: Arc<U>,
    dispatcher: Arc<Dispatcher>,
}

impl<U: Users + ?Sized> HostInterface<U> {
    /// Over these parts; with `direct`, bridges are given direct links.
    #[must_use]
    pub fn new(
        channels: Arc<Channels>,
        users: Arc<U>,
        dispatcher: impl Into<Arc<Dispatcher>>,
    ) -> Arc<Self> {
        Arc::new(Self { channels, users, dispatcher: dispatcher.into() })
    }

    /// Answers one call; whatever is wrong with it is a completion code.
    async fn answer(
        &self,
        channel: Result<ChannelNumber, CompletionCode>,
        call: Call,
    ) -> ResponseBody {
        let channel = channel.and_then(|number| {
            self.channels.get(number).ok_or(CompletionCode::DESTINATION_UNAVAILABLE)
        });
        let context = channel.and_then(|channel| self.context(channel, &call));
        match context {
            Ok(context) => self.dispatcher.dispatch(context, call.netfn, &call.data).await,
            Err(completion) => ResponseBody::from(completion),
        }
    }

    /// # Errors
    ///
    /// `C2h` for a logical unit there cannot be; on a channel with sessions, `FFh` when the bridge
    /// does not say whose session it is, and `D4h` when user or channel have no access now.
    fn context(&self, channel: &Channel, call: &Call) -> Result<Context, CompletionCode> {
        let lun = Lun::new(call.lun).ok_or(CompletionCode::INVALID_FOR_LUN)?;
        let base = Context {
            channel: channel.number(),
            medium: channel.medium,
            privilege: Privilege::Administrator,
            session: None,
            satellite: None,
            room: call.options.room,
            lun,
            command: call.command,
        };
        if channel.has_sessions() && is_outside_session(&call.options) {
            self.open_channel(channel)?;
            let (privilege, session) = (Privilege::Callback, Some(Session::NONE));
            return Ok(Context { privilege, session, ..base });
        }
        if channel.has_sessions() {
            let (session, privilege) = self.session(channel, &call.options)?;
            return Ok(Context { privilege, session: Some(session), ..base });
        }
        let satellite = satellite(channel.medium, &call.options);
        Ok(Context { satellite, ..base })
    }

    /// # Errors
    ///
    /// `D4h` when the channel takes no messages now.
    fn open_channel(&self, channel: &Channel) -> Result<(), CompletionCode> {
        let access = self.users.snapshot().channel_access(channel.number(), Setting::Volatile);
        // As for logins: BIOS does not tell when the time before the boot is over.
        let open = [AccessMode::AlwaysAvailable, AccessMode::Shared];
        let is_open = access.is_some_and(|access| open.contains(&access.mode));
        is_open.then_some(()).ok_or(CompletionCode::INSUFFICIENT_PRIVILEGE)
    }

    /// The session a bridge speaks of, with the privilege that it has now: limits may have been
    /// lowered since it was opened.
    fn session(
        &self,
        channel: &Channel,
        options: &CallOptions,
    ) -> Result<(Session, Privilege), CompletionCode> {
        let said = || -> Option<(UserId, Privilege, u32)> {
            let user = UserId::new(u8::try_from(options.user_id?).ok()?)?;
            let privilege = Privilege::new(u8::try_from(options.privilege?).ok()?)?;
            Some((user, privilege, options.session_id?))
        };
        let (user, privilege, id) = said().ok_or(CompletionCode::UNSPECIFIED)?;
        let accounts = self.users.snapshot();
        let number = channel.number();
        let is_enabled = accounts.user(user).is_some_and(|user| user.enabled);
        let may_send = is_enabled && accounts.access(user, number).messaging;
        self.open_channel(channel)?;
        let limit = accounts.privilege_limit(user, number);
        match limit.filter(|_| may_send) {
            Some(limit) => Ok((Session { user_id: user.value(), id }, privilege.min(limit))),
            None => Err(CompletionCode::INSUFFICIENT_PRIVILEGE),
        }
    }
}

/// Whether the bridge says that there is no session: user and session 0.
fn is_outside_session(options: &CallOptions) -> bool {
    (options.user_id, options.session_id) == (Some(0), Some(0))
}

impl<U: Users + ?Sized + 'static> Execute for HostInterface<U> {
    fn execute(self: Arc<Self>, call: Call) -> impl Future<Output = ResponseBody> + Send {
        // Before the future is polled: the caller is what it was when the call came.
        let channel = self.channels.of_caller(&call.sender, &call.options);
        async move { self.answer(channel.await, call).await }
    }

    fn may_link(
        self: Arc<Self>,
        caller: String,
    ) -> impl Future<Output = Result<(), LinkRefusal>> + Send {
        self.channels.may_link(&caller)
    }

    fn attached(&self, connection: &Connection) {
        self.channels.attach(connection);
    }

    fn detached(&self) {
        self.channels.detach();
    }

    fn owner_changed(&self, change: &OwnerChange) {
        self.channels.owner_changed(change);
    }

    fn owners_listed(&self, owners: Vec<(String, String)>) {
        self.channels.owners_listed(owners);
    }
}

/// The satellite controller an IPMB's bridge speaks of; believed of no other.
fn satellite(medium: Medium, options: &CallOptions) -> Option<Satellite> {
    if medium != Medium::Ipmb {
        return None;
    }
    let address = u8::try_from(options.rq_sa?).ok()?;
    let host_id = options.host_id.and_then(|id| u8::try_from(id).ok()).unwrap_or(0);
    Some(Satellite { address, host_id })
}

#[cfg(test)]
mod tests;
