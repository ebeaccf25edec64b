//! The bus call `execute()`: its caller, and the session or satellite that the bridge states.

use std::sync::Arc;

use accounts::{Channel, Setting, UserId, Users};
use ipmi_proto::{AccessMode, ChannelNumber, CompletionCode, Lun, Medium, Privilege, ResponseBody};
use openbmc_dbus::execute::{
    Call, CallOptions, CommandInfo, Execute, LinkRefusal, OwnerChange, Refusal,
};
pub use openbmc_dbus::recorder::RecorderConfig;
use openbmc_dbus::recorder::{self, Origin, Recorder, RequestView};
use zbus::Connection;

use crate::request::channels::Channels;
use crate::request::command::{Access, Entry, Family};
use crate::request::context::{Context, Satellite, Session};
use crate::request::dispatch::{DEADLINE, Dispatcher};

/// Determines the context of each call and passes it to the dispatcher.
#[derive(Debug)]
pub struct HostInterface<U: ?Sized> {
    channels: Arc<Channels>,
    users: Arc<U>,
    dispatcher: Arc<Dispatcher>,
    /// By the channels' numbers.
    recorders: Vec<Option<Arc<recorder::Channel>>>,
}

impl<U: Users + ?Sized> HostInterface<U> {
    /// For the callers of `channels` and the accounts `users`; requests are recorded by `recorder`.
    #[must_use]
    pub fn new(
        channels: Arc<Channels>,
        users: Arc<U>,
        dispatcher: impl Into<Arc<Dispatcher>>,
        recorder: &Recorder,
    ) -> Arc<Self> {
        let numbers = (0..=u8::MAX).map_while(ChannelNumber::new);
        let recorder_of = |number: ChannelNumber| {
            let channel = channels.get(number)?;
            Some(recorder.channel(&channel.name, number.value()))
        };
        let recorders = numbers.map(recorder_of).collect();
        Arc::new(Self { channels, users, dispatcher: dispatcher.into(), recorders })
    }

    /// What operators see of a command.
    fn info(&self, entry: &Entry) -> CommandInfo {
        let command = &entry.command;
        let (family, number) = match command.family {
            Family::NetFn(netfn) => (CommandInfo::NETFN, netfn.value().into()),
            Family::Group(body) => (CommandInfo::GROUP, body.0.into()),
            Family::Oem(iana) => (CommandInfo::OEM, iana.value()),
        };
        let access = match command.access {
            Access::Anyone => CommandInfo::ANYONE,
            Access::AtLeast(privilege) => privilege.value(),
            Access::SystemInterface => CommandInfo::SYSTEM_INTERFACE,
        };
        let channels = (0..=u8::MAX).map_while(ChannelNumber::new);
        let refusals = channels.filter_map(|number| {
            let medium = self.channels.get(number)?.medium;
            let context = Context {
                channel: number,
                medium,
                command: command.code,
                ..Context::system_interface()
            };
            let (filter, completion) = self.dispatcher.refusal(&context, command)?;
            let (channel, completion) = (number.value(), completion.0);
            Some(Refusal { channel, completion, filter: filter.to_owned() })
        });
        CommandInfo {
            family,
            number,
            code: command.code,
            name: command.name.to_owned(),
            access,
            priority: entry.priority.value(),
            changes: command.changes.map(|resource| resource.name()).unwrap_or_default().to_owned(),
            refusals: refusals.collect(),
        }
    }

    /// Answers one call; a failure is a completion code, never a D-Bus error.
    async fn answer(
        &self,
        channel: Result<ChannelNumber, CompletionCode>,
        call: Call,
    ) -> ResponseBody {
        let channel = channel.and_then(|number| {
            self.channels.get(number).ok_or(CompletionCode::DESTINATION_UNAVAILABLE)
        });
        let channel = match channel {
            Ok(channel) => channel,
            Err(completion) => return completion.into(),
        };
        let recorder = self.recorders.get(usize::from(channel.number().value()));
        let recorder = recorder.and_then(Option::as_deref);
        let started = recorder.map(|recorder| recorder.begin(&view(channel, &call)));
        let response = match self.context(channel, &call) {
            Ok(context) => self.dispatcher.dispatch(context, call.netfn, &call.data).await,
            Err(completion) => completion.into(),
        };
        if let (Some(recorder), Some(started)) = (recorder, started) {
            let is_late =
                response.completion == CompletionCode::TIMEOUT && started.elapsed() >= DEADLINE;
            recorder.end(started, response.completion.0, &response.data, is_late);
        }
        response
    }

    /// # Errors
    ///
    /// `C2h` if the LUN is not 0 to 3; on a channel with sessions, `FFh` if the bridge
    /// does not state the session, and `D4h` if the user or the channel has no access now.
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
    /// `D4h` if the channel's access mode disables it.
    fn open_channel(&self, channel: &Channel) -> Result<(), CompletionCode> {
        let access = self.users.snapshot().channel_access(channel.number(), Setting::Volatile);
        // As for logins: "pre-boot only" counts as disabled, because no firmware reports the end of that time.
        let open = [AccessMode::AlwaysAvailable, AccessMode::Shared];
        let is_open = access.is_some_and(|access| open.contains(&access.mode));
        is_open.then_some(()).ok_or(CompletionCode::INSUFFICIENT_PRIVILEGE)
    }

    /// The session that a bridge states, with its privilege now: limits may have been
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

/// The request as it is recorded, with what its bridge says of the requester.
fn view<'a>(channel: &Channel, call: &'a Call) -> RequestView<'a> {
    let options = &call.options;
    let byte = |option: Option<i32>| option.and_then(|value| u8::try_from(value).ok());
    let origin = if channel.has_sessions() {
        let session = options.session_id.unwrap_or_default();
        Origin::session(byte(options.user_id).unwrap_or_default(), session)
    } else {
        let satellite = satellite(channel.medium, options);
        satellite.map_or(Origin::host(), |satellite| Origin::satellite(satellite.address))
    };
    let (netfn, lun, command) = (call.netfn, call.lun, call.command);
    RequestView { origin, netfn, lun, command, data: &call.data }
}

/// Whether the bridge states that there is no session: user and session 0.
fn is_outside_session(options: &CallOptions) -> bool {
    (options.user_id, options.session_id) == (Some(0), Some(0))
}

impl<U: Users + ?Sized + 'static> Execute for HostInterface<U> {
    fn execute(self: Arc<Self>, call: Call) -> impl Future<Output = ResponseBody> + Send {
        // Before the future is polled: the caller is identified by its names when the call arrived.
        let channel = self.channels.of_caller(&call.sender, &call.options);
        async move { self.answer(channel.await, call).await }
    }

    fn may_link(
        self: Arc<Self>,
        caller: String,
    ) -> impl Future<Output = Result<(), LinkRefusal>> + Send {
        self.channels.may_link(&caller)
    }

    fn commands(&self) -> Vec<CommandInfo> {
        let mut commands: Vec<_> =
            self.dispatcher.registry().entries().map(|entry| self.info(entry)).collect();
        commands.sort();
        commands
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

/// The satellite controller that an IPMB's bridge states; other bridges cannot state one.
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
