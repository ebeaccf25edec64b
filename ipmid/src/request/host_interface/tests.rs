//! The privilege of a request, from the session that its bridge states and the accounts' present limits.

use accounts::{AccessConfig, ChannelAccess, ChannelTable, UserAccess, UserAdmin, Writer};
use tempfile::TempDir;

use super::*;
use crate::request::channels::IpmidConfig;
use crate::request::command::CommandTable;

const BOB: i32 = 2;

struct TestInterface {
    table: ChannelTable,
    host: Arc<HostInterface<Writer>>,
    users: Arc<Writer>,
    _folder: TempDir,
}

impl TestInterface {
    /// Bob is an administrator of the LAN channel.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = r#"{"initial-user": {"name": "bob", "password": "bobs-password"}}"#;
        let config: AccessConfig = serde_json::from_str(config).unwrap();
        let table = ChannelTable::default();
        let users = Arc::new(Writer::open(folder.path(), &config, table.clone()).unwrap());
        let channels = Channels::new(Arc::new(table.clone()), IpmidConfig::default());
        let dispatcher = Dispatcher::new(CommandTable::default().finish().unwrap(), Vec::new());
        let recorder = Recorder::of_ipmid(RecorderConfig::default());
        let host = HostInterface::new(channels, Arc::clone(&users), dispatcher, &recorder);
        Self { table, host, users, _folder: folder }
    }

    fn channel(&self, name: &str) -> &Channel {
        self.table.by_name(name).unwrap()
    }

    fn set_user(&self, change: impl Fn(UserAccess) -> UserAccess) {
        let (bob, lan) = (UserId::new(2).unwrap(), self.channel("lan0").number());
        self.users.change_access(bob, lan, &|access| *access = change(*access)).unwrap();
    }

    fn context(&self, channel: &str, options: CallOptions) -> Result<Context, CompletionCode> {
        let call =
            Call { sender: ":1.1".into(), netfn: 6, lun: 0, command: 1, data: Vec::new(), options };
        self.host.context(self.channel(channel), &call)
    }

    /// The privilege of a session of Bob's that says it has `privilege`, or the code.
    fn session(&self, privilege: i32) -> Result<Privilege, u8> {
        let context = self.context("lan0", session(BOB, privilege));
        context.map(|context| context.privilege).map_err(|completion| completion.0)
    }
}

fn session(user_id: i32, privilege: i32) -> CallOptions {
    CallOptions {
        user_id: Some(user_id),
        privilege: Some(privilege),
        session_id: Some(1),
        names_session: true,
        ..CallOptions::default()
    }
}

#[test]
fn sessions_privilege_is_never_above_what_user_and_channel_have_now() {
    let interface = TestInterface::new();
    assert_eq!(interface.session(4), Ok(Privilege::Administrator));
    assert_eq!(interface.session(2), Ok(Privilege::User));
    interface.set_user(|access| UserAccess { privilege: Some(Privilege::User), ..access });
    assert_eq!(interface.session(4), Ok(Privilege::User));
    assert_eq!(interface.session(1), Ok(Privilege::Callback));
    interface.set_user(|access| UserAccess { privilege: None, ..access });
    assert_eq!(interface.session(4), Err(0xd4));
    interface.set_user(|access| UserAccess { privilege: Some(Privilege::User), ..access });
    interface.set_user(|access| UserAccess { messaging: false, ..access });
    assert_eq!(interface.session(2), Err(0xd4));
    interface.set_user(|access| UserAccess { messaging: true, ..access });
    assert_eq!(interface.session(2), Ok(Privilege::User));
    interface.users.set_enabled(UserId::new(2).unwrap(), false).unwrap();
    assert_eq!(interface.session(2), Err(0xd4));
}

#[test]
fn channel_that_takes_no_logins_takes_no_requests() {
    for (mode, taken) in [
        (AccessMode::AlwaysAvailable, true),
        (AccessMode::Shared, true),
        (AccessMode::PreBoot, false),
        (AccessMode::Disabled, false),
    ] {
        let interface = TestInterface::new();
        let lan = interface.channel("lan0").number();
        let change = |_, access| Some(ChannelAccess { mode, ..access });
        interface.users.change_channel_access(lan, &change).unwrap();
        assert_eq!(interface.session(2).is_ok(), taken, "{mode:?}");
    }
}

#[test]
fn session_that_is_not_wholly_described_has_no_privilege() {
    let interface = TestInterface::new();
    let whole = || session(BOB, 4);
    for options in [
        CallOptions::default(),
        CallOptions { user_id: None, ..whole() },
        CallOptions { privilege: None, ..whole() },
        CallOptions { session_id: None, ..whole() },
        CallOptions { user_id: Some(0), ..whole() },
        CallOptions { user_id: Some(-254), ..whole() },
        CallOptions { user_id: Some(258), ..whole() },
        CallOptions { privilege: Some(0), ..whole() },
        CallOptions { privilege: Some(15), ..whole() },
        CallOptions { privilege: Some(260), ..whole() },
    ] {
        let refused = interface.context("lan0", options).unwrap_err();
        assert_eq!(refused, CompletionCode::UNSPECIFIED);
    }
    // Another user than there is.
    assert_eq!(
        interface.context("lan0", session(9, 4)),
        Err(CompletionCode::INSUFFICIENT_PRIVILEGE)
    );
    // Outside of any session, the stated privilege has no effect.
    let outside = CallOptions { session_id: Some(0), ..session(0, 4) };
    assert_eq!(interface.context("lan0", outside).unwrap().privilege, Privilege::Callback);
}

#[test]
fn only_a_hosts_channel_is_the_host() {
    let interface = TestInterface::new();
    let is_host = |channel: &str, options: CallOptions| {
        interface.context(channel, options).is_ok_and(|context| context.is_from_host())
    };
    for (channel, host) in
        [("kcs0", true), ("bt0", true), ("ssif0", true), ("INTRABMC", true), ("Ipmb", false)]
    {
        assert_eq!(is_host(channel, CallOptions::default()), host, "{channel}");
    }
    for rq_sa in [None, Some(0x12), Some(-1), Some(256)] {
        let options = CallOptions { rq_sa, names_satellite: true, ..CallOptions::default() };
        assert!(!is_host("Ipmb", options), "{rq_sa:?}");
    }
    assert!(!is_host("lan0", session(BOB, 4)));
}
