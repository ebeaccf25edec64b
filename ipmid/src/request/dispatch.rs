//! From a request to its handler and back: look-up, privilege, filters, unpacking, deadline.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use daemon::metrics::Metrics;
use ipmi_proto::{CompletionCode, GroupBody, Iana, NetFn, ResponseBody};
use tokio::time::{self, Instant};
use tracing::warn;

use crate::platform::PlatformError;
use crate::request::command::{
    Access, Command, CommandError, Entry, Execute, Family, Registry, ResponseFuture,
};
use crate::request::context::Context;
use crate::request::filter::Filter;
use crate::request::providers::{Offered, Outcome, Providers};

/// Timeout of a request, also if its handler still waits: host bridges give up at 3 s,
/// host drivers at 5 s.
pub const DEADLINE: Duration = Duration::from_millis(2500);

/// Finds and runs handlers.
pub struct Dispatcher {
    registry: Registry,
    filters: Vec<Box<dyn Filter>>,
    providers: Option<Arc<Providers>>,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dispatcher with {} filters over {:?}", self.filters.len(), self.registry)
    }
}

impl Dispatcher {
    /// Over `registry`, with `filters` asked in their order.
    #[must_use]
    pub fn new(registry: Registry, filters: Vec<Box<dyn Filter>>) -> Self {
        Self { registry, filters, providers: None }
    }

    /// The same, with commands of providers before those of the registry.
    #[must_use]
    pub fn with_providers(self, providers: Arc<Providers>) -> Self {
        Self { providers: Some(providers), ..self }
    }

    /// The command table.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds how long each handler took, and each command of a provider.
    pub fn measure(&self, metrics: &mut Metrics) {
        for entry in self.registry.entries() {
            let Some(times) = entry.times() else { continue };
            let command = &entry.command;
            command.measure(metrics, &[("name", command.name)], times);
        }
        if let Some(providers) = &self.providers {
            providers.measure(metrics);
        }
    }

    /// The filter that refuses `command` in `context`, whatever its parameters, and its completion code.
    pub fn refusal(
        &self,
        context: &Context,
        command: &Command,
    ) -> Option<(&'static str, CompletionCode)> {
        self.filters.iter().find_map(|filter| {
            let refused = filter.check(context, command, &[]).err()?;
            Some((filter.name(), refused))
        })
    }

    /// Answers one request.
    ///
    /// `netfn` is as the bridge sent it. The defining body of NetFn 2Ch and the enterprise number
    /// of NetFn 2Eh lead the response data, also of a failed request.
    pub async fn dispatch(&self, context: Context, netfn: u8, data: &[u8]) -> ResponseBody {
        let (family, prefix, data) = match split(netfn, data) {
            Ok(parts) => parts,
            Err(completion) => {
                return ResponseBody::from(completion);
            }
        };
        let provided = self.providers.as_ref().and_then(|all| all.find(family, context.command));
        let body = match provided {
            None => match self.start(family, context, data) {
                Ok((entry, response)) => {
                    let start = Instant::now();
                    finish(entry, context, response, start, start + DEADLINE).await
                }
                Err(completion) => completion.into(),
            },
            // Apart, so that the future of all other requests stays as small as it is without.
            Some(offers) => Box::pin(self.offer(offers, family, context, prefix, data)).await,
        };
        if prefix.is_empty() {
            return body;
        }
        ResponseBody { data: [prefix, &body.data].concat(), ..body }
    }

    /// Starts the handler of a command that is registered, allowed and unpacked.
    fn start(
        &self,
        family: Family,
        context: Context,
        data: &[u8],
    ) -> Result<(&Entry, ResponseFuture), CompletionCode> {
        let entry =
            self.registry.find(family, context.command).ok_or(CompletionCode::INVALID_COMMAND)?;
        self.admit(&entry.command, &context, data)?;
        Ok((entry, entry.start(context, data)?))
    }

    /// Offers a request to providers, and runs the handler that is compiled in if none of them answers.
    async fn offer(
        &self,
        offers: Vec<Offered>,
        family: Family,
        context: Context,
        prefix: &[u8],
        data: &[u8],
    ) -> ResponseBody {
        let deadline = Instant::now() + DEADLINE;
        let room = context.max_data().saturating_sub(prefix.len());
        let mut is_suspended = false;
        for offered in offers {
            if !offered.offer.is_on(context.channel) {
                continue;
            }
            if let Err(completion) = self.admit(&offered.offer.command, &context, data) {
                return completion.into();
            }
            match offered.ask(context, data, room, deadline).await {
                Outcome::Response(response) => return response,
                Outcome::NotMine => {}
                Outcome::Suspended => is_suspended = true,
            }
        }
        match self.start(family, context, data) {
            Ok((entry, response)) => {
                finish(entry, context, response, Instant::now(), deadline).await
            }
            Err(CompletionCode::INVALID_COMMAND) if is_suspended => CompletionCode::BUSY.into(),
            Err(completion) => completion.into(),
        }
    }

    fn admit(
        &self,
        command: &Command,
        context: &Context,
        data: &[u8],
    ) -> Result<(), CompletionCode> {
        let allowed = match command.access {
            Access::AtLeast(privilege) => {
                !context.is_outside_session() && context.privilege >= privilege
            }
            Access::Anyone => true,
            Access::SystemInterface => context.is_from_host(),
        };
        if !allowed {
            return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
        }
        self.filters.iter().try_for_each(|filter| filter.check(context, command, data))
    }
}

impl Execute for Dispatcher {
    fn execute(
        &self,
        context: Context,
        netfn: u8,
        data: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = ResponseBody> + Send + '_>> {
        Box::pin(async move { self.dispatch(context, netfn, &data).await })
    }
}

/// The handler's response, or `C3h` after the deadline.
async fn finish(
    entry: &Entry,
    context: Context,
    response: ResponseFuture,
    start: Instant,
    deadline: Instant,
) -> ResponseBody {
    let response = time::timeout_at(deadline, response).await;
    entry.took(start.elapsed());
    let error = match response {
        Ok(Ok(response)) => return response,
        Ok(Err(error)) => error,
        Err(_) => PlatformError::timeout(&"its handler did not end within the deadline").into(),
    };
    let CommandError { completion, cause } = error;
    if let Some(cause) = cause {
        log_failure(entry, &context, completion, &cause);
    }
    completion.into()
}

/// Logs that a command failed because a platform call did. Nothing else logs such a failure.
fn log_failure(
    entry: &Entry,
    context: &Context,
    completion: CompletionCode,
    cause: &PlatformError,
) {
    let Some(pass) = entry.failures.admit() else {
        return;
    };
    let call = cause.call();
    warn!(
        command = entry.command.name,
        netfn = %entry.command.family.netfn(),
        code = %format_args!("{:02X}h", context.command),
        channel = context.channel.value(),
        %completion,
        service = known(&call.service),
        object = known(&call.path),
        member = known(&call.member),
        cause = call.cause,
        swallowed = pass.swallowed,
        "a command failed; the requester gets the completion code"
    );
}

/// A part of a failed call, where it is known: a field that is `None` is left out of the line.
fn known(part: &str) -> Option<&str> {
    Some(part).filter(|part| !part.is_empty())
}

/// The family of a request's command, the bytes that lead the response data, and the remaining data.
fn split(netfn: u8, data: &[u8]) -> Result<(Family, &[u8], &[u8]), CompletionCode> {
    let netfn = NetFn::new(netfn)
        .filter(|netfn| netfn.is_request())
        .ok_or(CompletionCode::INVALID_COMMAND)?;
    let too_short = CompletionCode::REQUEST_LENGTH_INVALID;
    match netfn {
        NetFn::GROUP => {
            let (prefix, rest) = data.split_first_chunk::<1>().ok_or(too_short)?;
            Ok((Family::Group(GroupBody(prefix[0])), prefix, rest))
        }
        NetFn::OEM => {
            let (prefix, rest) = data.split_first_chunk::<3>().ok_or(too_short)?;
            Ok((Family::Oem(Iana::from_bytes(*prefix)), prefix, rest))
        }
        netfn => Ok((Family::NetFn(netfn), &[], data)),
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::Privilege;
    use ipmi_proto::codec::Bits;

    use super::*;
    use crate::platform::fake::{CapturedLog, FakePlatform, refusal};
    use crate::platform::{Power, PowerState};
    use crate::request::command::{CommandTable, HandlerResult, Priority};
    use crate::request::context::Session;

    const ECHO: Command = Command::standard(NetFn::APP, 0x70, Privilege::Operator, "Echo");
    const GROUP: Command = Command::group(GroupBody(0xdc), 0x01, Privilege::User, "Group");
    const OEM: Command = Command::oem(Iana::OPENBMC, 0x01, Privilege::User, "Oem");
    const HOST: Command =
        Command::standard(NetFn::APP, 0x71, Privilege::User, "Host").from_host_only();
    const POWER: Command = Command::standard(NetFn::CHASSIS, 0x73, Privilege::User, "Power");
    const RESET: Command = Command::standard(NetFn::CHASSIS, 0x74, Privilege::User, "Reset");
    const SLOW: Command = Command::standard(NetFn::APP, 0x72, Privilege::User, "Slow");

    async fn echo(_: Arc<()>, _: Context, low: Bits<4>, high: Bits<4>) -> Echoed {
        Ok((high, low))
    }
    type Echoed = Result<(Bits<4>, Bits<4>), CompletionCode>;

    async fn never(_: Arc<()>, _: Context) -> Result<(), CompletionCode> {
        std::future::pending().await
    }

    async fn power(platform: Arc<FakePlatform>, _: Context) -> HandlerResult<bool> {
        Ok(platform.power_state().await? == PowerState::On)
    }

    /// Answers with a code of its own, and reads an object that may be absent.
    async fn reset(platform: Arc<FakePlatform>, _: Context) -> HandlerResult<()> {
        match platform.power_state().await {
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(CommandError::new(CompletionCode::BUSY, error)),
            Ok(_) => Err(CompletionCode::INVALID_DATA_FIELD.into()),
        }
    }

    /// A dispatcher over commands that call the platform.
    fn over_platform() -> (Dispatcher, Arc<FakePlatform>) {
        let platform = Arc::<FakePlatform>::default();
        let mut table = CommandTable::default();
        let mut base = table.at(Priority::BASE);
        base.add(POWER, &platform, power);
        base.add(RESET, &platform, reset);
        (Dispatcher::new(table.finish().unwrap(), Vec::new()), platform)
    }

    struct RefuseGroups;
    impl Filter for RefuseGroups {
        fn check(&self, _: &Context, command: &Command, _: &[u8]) -> Result<(), CompletionCode> {
            match command.family {
                Family::Group(_) => Err(CompletionCode::SUBFUNCTION_DISABLED),
                _ => Ok(()),
            }
        }
    }

    fn dispatcher(filters: Vec<Box<dyn Filter>>) -> Dispatcher {
        let state = Arc::new(());
        let mut table = CommandTable::default();
        let mut base = table.at(Priority::BASE);
        for command in [ECHO, GROUP, OEM, HOST] {
            base.add(command, &state, echo);
        }
        base.add(SLOW, &state, never);
        Dispatcher::new(table.finish().unwrap(), filters)
    }

    fn session(privilege: Privilege, command: u8) -> Context {
        let session = Some(Session { user_id: 2, id: 1 });
        Context { privilege, session, command, ..Context::system_interface() }
    }

    async fn code(dispatcher: &Dispatcher, context: Context, netfn: u8, data: &[u8]) -> u8 {
        dispatcher.dispatch(context, netfn, data).await.completion.0
    }

    #[tokio::test]
    async fn checks_come_in_the_contracts_order() {
        let dispatcher = dispatcher(vec![Box::new(RefuseGroups)]);
        let user = |command| session(Privilege::User, command);
        // Unknown before privilege, privilege before unpacking, unpacking before the handler.
        assert_eq!(code(&dispatcher, user(0x6f), 6, &[]).await, 0xc1);
        assert_eq!(code(&dispatcher, user(0x70), 6, &[]).await, 0xd4);
        let operator = session(Privilege::Operator, 0x70);
        assert_eq!(code(&dispatcher, operator, 6, &[]).await, 0xc7);
        assert_eq!(code(&dispatcher, operator, 6, &[1, 2]).await, 0xc7);
        assert_eq!(code(&dispatcher, operator, 6, &[1]).await, 0x00);
        // Odd, beyond six bits, never registered.
        for netfn in [7, 0x40, 0xff, 0x0e] {
            assert_eq!(code(&dispatcher, operator, netfn, &[]).await, 0xc1);
        }
        // A filter refuses what exists, before it is unpacked; what does not exist stays C1h.
        assert_eq!(code(&dispatcher, user(1), 0x2c, &[0xdc, 9, 9]).await, 0xd6);
        assert_eq!(code(&dispatcher, user(2), 0x2c, &[0xdc]).await, 0xc1);
    }

    #[tokio::test]
    async fn group_and_oem_numbers_lead_every_reply() {
        let dispatcher = dispatcher(Vec::new());
        let user = session(Privilege::User, 1);
        let reply = dispatcher.dispatch(user, 0x2c, &[0xdc, 0x12]).await;
        assert_eq!(reply, ResponseBody { completion: CompletionCode::OK, data: vec![0xdc, 0x21] });
        let reply = dispatcher.dispatch(user, 0x2e, &[0xcf, 0xc2, 0x00]).await;
        assert_eq!(reply.completion, CompletionCode::REQUEST_LENGTH_INVALID);
        assert_eq!(reply.data, [0xcf, 0xc2, 0x00]);
        let reply = dispatcher.dispatch(user, 0x2c, &[0x00]).await;
        assert_eq!((reply.completion.0, reply.data), (0xc1, vec![0x00]));
        assert_eq!(code(&dispatcher, user, 0x2c, &[]).await, 0xc7);
        assert_eq!(code(&dispatcher, user, 0x2e, &[1, 2]).await, 0xc7);
    }

    #[tokio::test]
    async fn hosts_own_commands_are_refused_to_sessions() {
        let dispatcher = dispatcher(Vec::new());
        let admin = session(Privilege::Administrator, 0x71);
        assert_eq!(code(&dispatcher, admin, 6, &[0]).await, 0xd4);
        let host = Context { command: 0x71, ..Context::system_interface() };
        assert_eq!(code(&dispatcher, host, 6, &[0]).await, 0x00);
    }

    #[tokio::test]
    async fn without_a_session_there_is_what_anyone_may_send() {
        let state = Arc::new(());
        let mut table = CommandTable::default();
        let mut base = table.at(Priority::BASE);
        base.add(GROUP.for_anyone(), &state, echo);
        base.add(Command { code: 2, ..GROUP }, &state, echo);
        base.add(HOST, &state, echo);
        let dispatcher = Dispatcher::new(table.finish().unwrap(), Vec::new());
        for privilege in [Privilege::Callback, Privilege::Administrator] {
            let session = Some(Session::NONE);
            let outside = |command| Context { session, ..self::session(privilege, command) };
            assert_eq!(code(&dispatcher, outside(1), 0x2c, &[0xdc, 0]).await, 0x00);
            assert_eq!(code(&dispatcher, outside(2), 0x2c, &[0xdc, 0]).await, 0xd4);
            assert_eq!(code(&dispatcher, outside(0x71), 6, &[0]).await, 0xd4);
        }
        let callback = session(Privilege::Callback, 1);
        assert_eq!(code(&dispatcher, callback, 0x2c, &[0xdc, 0]).await, 0x00);
    }

    #[tokio::test]
    async fn platform_failure_is_one_line_with_command_object_member_and_cause() {
        let (dispatcher, platform) = over_platform();
        let log = CapturedLog::start();
        let user = session(Privilege::User, 0x73);
        assert_eq!(code(&dispatcher, user, 0, &[]).await, 0x00);
        assert_eq!(log.take(), [""; 0], "a success");
        platform.state().error = Some(refusal());
        assert_eq!(code(&dispatcher, user, 0, &[]).await, 0xff);
        let expected = "WARN message=a command failed; the requester gets the completion code \
            command=Power netfn=00h code=73h channel=15 completion=FFh service=xyz.example.State \
            object=/xyz/example/state member=Get xyz.example.State.Power cause=xyz.example.Busy: later";
        let fields = |line: &str| {
            let mut fields: Vec<_> = line.split(' ').map(str::to_owned).collect();
            fields.sort();
            fields
        };
        let lines = log.take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(fields(&lines[0]), fields(expected));
    }

    #[tokio::test]
    async fn repeated_failures_of_a_command_are_counted_and_not_logged() {
        let (dispatcher, platform) = over_platform();
        let log = CapturedLog::start();
        platform.state().error = Some(refusal());
        for _ in 0..5 {
            assert_eq!(code(&dispatcher, session(Privilege::User, 0x73), 0, &[]).await, 0xff);
        }
        assert_eq!(log.take().len(), 1);
        let entry = dispatcher.registry().find(POWER.family, POWER.code).unwrap();
        let next = std::time::Instant::now() + Duration::from_secs(61);
        let pass = entry.failures.admit_at(next).unwrap();
        assert_eq!(pass.swallowed, Some(4));
        // Another command has a bound of its own.
        assert_eq!(code(&dispatcher, session(Privilege::User, 0x74), 0, &[]).await, 0xc0);
        let lines = log.take();
        assert!(lines.len() == 1 && lines[0].contains("completion=C0h"), "{lines:?}");
    }

    #[tokio::test]
    async fn errors_of_the_request_and_optional_objects_are_not_logged() {
        let (dispatcher, platform) = over_platform();
        let log = CapturedLog::start();
        let reset = session(Privilege::User, 0x74);
        assert_eq!(code(&dispatcher, reset, 0, &[]).await, 0xcc);
        assert_eq!(code(&dispatcher, reset, 0, &[1]).await, 0xc7);
        platform.state().error = Some(PlatformError::absent(&"no such service"));
        assert_eq!(code(&dispatcher, reset, 0, &[]).await, 0x00);
        assert_eq!(log.take(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn handler_that_never_ends_is_answered_at_the_deadline() {
        let dispatcher = dispatcher(Vec::new());
        let admin = session(Privilege::Administrator, 0x72);
        let log = CapturedLog::start();
        let before = time::Instant::now();
        assert_eq!(code(&dispatcher, admin, 6, &[]).await, 0xc3);
        assert_eq!(before.elapsed(), DEADLINE);
        let lines = log.take();
        assert!(lines.len() == 1 && lines[0].contains("command=Slow"), "{lines:?}");
    }
}
