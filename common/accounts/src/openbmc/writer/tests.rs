//! Against services that record their calls.

use std::collections::BTreeMap;

use ipmi_proto::Privilege;
use serde_json::{Value, json};

use super::super::system::{SystemError, SystemUser};
use super::super::testing::{Bmc, KEY_FILE};
use super::*;
use crate::testing::at_once;
use crate::{PasswordSize, PasswordTest, UserAccess, UserAdmin, UserName};

/// User.Manager, the network's service and PAM, with alice and bob.
#[derive(Clone, Default)]
struct System(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    users: Vec<SystemUser>,
    limits: BTreeMap<String, String>,
    calls: Vec<String>,
    fails: Option<SystemError>,
}

impl System {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn note(&self, call: String) -> Result<(), SystemError> {
        let mut inner = self.inner();
        inner.calls.push(call);
        inner.fails.clone().map_or(Ok(()), Err)
    }

    fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().calls)
    }
}

impl SystemAccounts for System {
    fn users(&self) -> Result<Vec<SystemUser>, SystemError> {
        Ok(self.inner().users.clone())
    }

    fn create(&self, name: &str, privilege: &str) -> Result<(), SystemError> {
        self.note(format!("create {name} {privilege}"))?;
        self.inner().users.push(account(name, privilege, false));
        Ok(())
    }

    fn rename(&self, old: &str, new: &str) -> Result<(), SystemError> {
        self.note(format!("rename {old} {new}"))
    }

    fn delete(&self, name: &str) -> Result<(), SystemError> {
        self.note(format!("delete {name}"))
    }

    fn set_privilege(&self, name: &str, privilege: &str) -> Result<(), SystemError> {
        self.note(format!("privilege {name} {privilege}"))
    }

    fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), SystemError> {
        self.note(format!("enabled {name} {enabled}"))
    }

    fn set_password(&self, name: &str, password: &[u8]) -> Result<(), SystemError> {
        self.note(format!("password {name} {} bytes", password.len()))
    }

    fn channel_limit(&self, interface: &str) -> Result<String, SystemError> {
        let limit = self.inner().limits.get(interface).cloned();
        limit.ok_or_else(|| SystemError::Absent("no interface".into()))
    }

    fn set_channel_limit(&self, interface: &str, limit: &str) -> Result<(), SystemError> {
        self.note(format!("limit {interface} {limit}"))
    }
}

fn account(name: &str, privilege: &str, enabled: bool) -> SystemUser {
    SystemUser {
        name: name.to_owned(),
        groups: vec!["ipmi".to_owned(), "ssh".to_owned()],
        privilege: privilege.to_owned(),
        enabled,
    }
}

fn open(bmc: &Bmc) -> (OpenbmcWriter, System) {
    let system = System::default();
    system.inner().users =
        vec![account("alice", "priv-admin", true), account("bob", "priv-operator", true)];
    let table = bmc.files.channel_table().unwrap();
    let writer = OpenbmcWriter::open(
        bmc.files.clone(),
        table,
        &bmc.state(),
        &AccessConfig::default(),
        Box::new(system.clone()),
    );
    (writer.unwrap(), system)
}

fn id(value: u8) -> UserId {
    UserId::new(value).unwrap()
}

fn lan() -> ChannelNumber {
    ChannelNumber::new(1).unwrap()
}

fn name(text: &str) -> UserName {
    UserName::new(text.as_bytes()).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text.as_bytes(), PasswordSize::Bytes20).unwrap()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn passwords_of(bmc: &Bmc) -> Vec<String> {
    let file = fs::read(&bmc.files.passwords).unwrap();
    let found = passwords::open(&file, KEY_FILE).unwrap();
    found.into_keys().collect()
}

#[test]
fn user_is_made_as_openbmc_makes_one() {
    let bmc = Bmc::new();
    let (writer, system) = open(&bmc);
    writer.set_name(id(5), name("carol")).unwrap();
    writer.set_enabled(id(5), true).unwrap();
    let access = UserAccess {
        privilege: Some(Privilege::Operator),
        messaging: true,
        ..writer.snapshot().access(id(5), lan())
    };
    writer.change_access(id(5), lan(), &|now| *now = access).unwrap();
    writer.set_password(id(5), &password("s3cret")).unwrap();
    let calls = [
        "create carol priv-user",
        "enabled carol true",
        "privilege carol priv-operator",
        "password carol 6 bytes",
    ];
    assert_eq!(system.take_calls(), calls);
    let carol = &json_of(&bmc.files.users)[4];
    assert_eq!(carol["user_name"], "carol");
    assert_eq!((&carol["user_enabled"], &carol["user_in_system"]), (&json!(true), &json!(true)));
    assert_eq!(carol["privilege"][1], "priv-operator");
    assert_eq!(carol["privilege"][2], "priv-user");
    assert_eq!(
        (&carol["ipmi_enabled"][1], &carol["ipmi_enabled"][2]),
        (&json!(true), &json!(false))
    );
    let snapshot = writer.snapshot();
    assert_eq!(snapshot.find(b"carol"), Some(id(5)));
    assert_eq!(snapshot.access(id(5), lan()), access);
}

#[test]
fn users_file_matches_golden_text() {
    let bmc = Bmc::new();
    let (writer, _) = open(&bmc);
    writer.set_enabled(id(3), false).unwrap();
    let text = fs::read_to_string(&bmc.files.users).unwrap();
    let bob = text.split("\n    },\n").nth(2).unwrap();
    let list = |value: &str| {
        let rows = vec![format!("            {value}"); 16];
        format!("[\n{}\n        ]", rows.join(",\n"))
    };
    assert!(bob.starts_with(&format!(
        "    {{\n        \"access_callback\": {},\n        \"fixed_user_name\": false,\n        \
         \"ipmi_enabled\": {}",
        list("false"),
        list("true")
    )));
    assert!(bob.ends_with(
        "        \"user_enabled\": false,\n        \"user_in_system\": true,\n        \
         \"user_name\": \"bob\""
    ));
    assert!(text.starts_with("[\n    {\n") && text.ends_with("\n    }\n]"));
}

#[test]
fn rename_and_delete_take_the_password_along() {
    let bmc = Bmc::new();
    let (writer, system) = open(&bmc);
    writer.set_name(id(3), name("robert")).unwrap();
    assert_eq!(passwords_of(&bmc), ["alice", "robert"]);
    let text = |id| writer.password(id).map(|password| password.text().to_vec());
    assert_eq!(text(id(3)), Some(b"a password of 20 by".to_vec()));
    writer.set_name(id(2), name("")).unwrap();
    assert_eq!(passwords_of(&bmc), ["robert"]);
    assert_eq!(writer.snapshot().find(b"alice"), None);
    writer.set_name(id(3), name("")).unwrap();
    assert_eq!(passwords_of(&bmc), <[&str; 0]>::default());
    let calls = ["rename bob robert", "delete alice", "delete robert"];
    assert_eq!(system.take_calls(), calls);
    let mode = std::os::unix::fs::PermissionsExt::mode;
    let permissions = fs::metadata(&bmc.files.passwords).unwrap().permissions();
    assert_eq!(mode(&permissions) & 0o777, 0o600);
}

#[test]
fn what_cannot_be_an_account_is_refused_before_anybody_is_asked() {
    let bmc = Bmc::new();
    let (writer, system) = open(&bmc);
    let before = json_of(&bmc.files.users);
    for bad in ["root", "9lives", "a-b", "sp ace"] {
        let refused = writer.set_name(id(5), name(bad));
        assert!(matches!(refused, Err(AccountError::InvalidName)), "{bad}");
    }
    let taken = writer.set_name(id(5), name("bob"));
    assert!(matches!(taken, Err(AccountError::NameTaken(_))));
    let unnamed = writer.set_enabled(id(5), true);
    assert!(matches!(unnamed, Err(AccountError::Unnamed(_))));
    let lines = writer.set_password(id(3), &password("x\nroot:y"));
    assert!(matches!(lines, Err(AccountError::InvalidPassword)));
    let limited = UserAccess { session_limit: 1, ..UserAccess::default() };
    let limited = writer.change_access(id(3), lan(), &|now| *now = limited);
    assert!(matches!(limited, Err(AccountError::SessionLimit)));
    assert_eq!(system.take_calls(), Vec::<String>::new());
    assert_eq!(json_of(&bmc.files.users), before);
}

#[test]
fn limit_switches_messaging_on_until_the_flags_are_set() {
    let bmc = Bmc::new();
    let change = |change: &dyn Fn(&mut UserAccess)| {
        open(&bmc).0.change_access(id(5), lan(), change).unwrap();
        let (writer, _) = open(&bmc);
        writer.snapshot().access(id(5), lan()).messaging
    };
    let limit = |access: &mut UserAccess| access.set_limit(Some(Privilege::Operator));
    let switch_off = |access: &mut UserAccess| (access.messaging, access.flags_set) = (false, true);
    open(&bmc).0.set_name(id(5), name("carol")).unwrap();
    assert!(change(&limit) && !change(&switch_off) && !change(&limit));
    // The next user of the id starts anew.
    open(&bmc).0.set_name(id(5), name("")).unwrap();
    open(&bmc).0.set_name(id(5), name("erin")).unwrap();
    assert!(change(&limit));
}

#[test]
fn what_a_service_refuses_changes_no_file() {
    let bmc = Bmc::new();
    let (writer, system) = open(&bmc);
    let before = json_of(&bmc.files.users);
    let access = json_of(&bmc.files.access_non_volatile);
    system.inner().fails = Some(SystemError::Timeout("no reply".into()));
    let disabled = UserAccess::default();
    for result in [
        writer.set_name(id(5), name("carol")),
        writer.set_name(id(3), name("robert")),
        writer.set_name(id(3), name("")),
        writer.set_enabled(id(3), false),
        writer.change_access(id(3), lan(), &|now| *now = disabled),
        writer.set_password(id(3), &password("x")),
        limit(&writer, Setting::NonVolatile, Privilege::User),
    ] {
        let timeout = Err(SystemError::Timeout("no reply".into()));
        assert!(
            matches!(&result, Err(AccountError::System(error)) if timeout == Err::<(), _>(error.clone())),
            "{result:?}"
        );
    }
    assert_eq!(json_of(&bmc.files.users), before);
    assert_eq!(json_of(&bmc.files.access_non_volatile), access);
    assert_eq!(passwords_of(&bmc), ["alice", "bob"]);
}

fn limit(writer: &OpenbmcWriter, setting: Setting, limit: Privilege) -> Result<(), AccountError> {
    writer.change_channel_access(lan(), &|which, access| {
        (which == setting).then_some(ChannelAccess { privilege_limit: limit, ..access })
    })
}

#[test]
fn channel_access_is_kept_as_openbmc_keeps_it() {
    let bmc = Bmc::new();
    let (writer, system) = open(&bmc);
    assert!(bmc.files.access_volatile.exists());
    limit(&writer, Setting::NonVolatile, Privilege::Operator).unwrap();
    assert_eq!(system.take_calls(), ["limit eth0 priv-operator"]);
    let text = fs::read_to_string(&bmc.files.access_non_volatile).unwrap();
    let golden = "{\n    \"1\": {\n        \"access_mode\": \"always_available\",\n        \
        \"alerting_disabled\": false,\n        \"per_msg_auth_disabled\": false,\n        \
        \"priv_limit\": \"priv-operator\",\n        \"user_auth_disabled\": false\n    }\n}";
    assert_eq!(text, golden);
    let now = |setting| {
        let access = writer.snapshot().channel_access(lan(), setting);
        access.unwrap().privilege_limit
    };
    assert_eq!(now(Setting::Volatile), Privilege::Administrator);
    limit(&writer, Setting::Volatile, Privilege::User).unwrap();
    assert_eq!(now(Setting::Volatile), Privilege::User);
    writer.reset_volatile().unwrap();
    assert_eq!(now(Setting::Volatile), Privilege::Operator);
    assert_eq!(system.take_calls(), Vec::<String>::new());
}

#[test]
fn accounts_that_others_change_are_followed() {
    let bmc = Bmc::new();
    let (writer, system) = open(&bmc);
    system.inner().users = vec![
        account("alice", "priv-user", false),
        account("dave", "priv-admin", true),
        account("a_name_beyond_sixteen", "priv-admin", true),
        SystemUser { groups: vec!["web".to_owned()], ..account("bob", "priv-operator", true) },
    ];
    writer.synchronise().unwrap();
    let snapshot = writer.snapshot();
    assert_eq!(snapshot.find(b"dave"), Some(id(1)));
    let dave = snapshot.access(id(1), lan());
    assert!(dave.messaging && dave.privilege == Some(Privilege::Administrator));
    assert!(!snapshot.user(id(2)).unwrap().enabled);
    assert_eq!(snapshot.privilege_limit(id(2), lan()), Some(Privilege::User));
    assert_eq!(snapshot.find(b"bob"), None);
    assert_eq!(passwords_of(&bmc), ["alice"]);
    writer.renamed("alice", "alicia").unwrap();
    assert_eq!(writer.snapshot().find(b"alicia"), Some(id(2)));
    assert_eq!(passwords_of(&bmc), ["alicia"]);
    writer.renamed("nobody", "somebody").unwrap();
    assert_eq!(system.take_calls(), Vec::<String>::new());
}

#[test]
fn limits_that_others_change_hold_now_and_later() {
    let bmc = Bmc::new();
    let (writer, system) = open(&bmc);
    let limit = ("eth0".to_owned(), "priv-operator".to_owned());
    system.inner().limits.extend([limit]);
    writer.synchronise().unwrap();
    for setting in [Setting::Volatile, Setting::NonVolatile] {
        let access = writer.snapshot().channel_access(lan(), setting).unwrap();
        assert_eq!(access.privilege_limit, Privilege::Operator);
    }
}

#[test]
fn damaged_users_are_set_aside_and_made_again_from_the_accounts() {
    let bmc = Bmc::new();
    let (writer, _) = open(&bmc);
    fs::write(&bmc.files.users, b"[{").unwrap();
    assert_eq!(writer.snapshot().enabled_users(), 0);
    writer.synchronise().unwrap();
    let snapshot = writer.snapshot();
    assert_eq!((snapshot.find(b"alice"), snapshot.find(b"bob")), (Some(id(1)), Some(id(2))));
    assert_eq!(passwords_of(&bmc), ["alice", "bob"]);
    let aside = bmc.files.users.with_extension("json.damaged");
    assert_eq!(fs::read(aside).unwrap(), b"[{");
}

#[test]
fn what_openbmc_has_no_file_for_is_in_our_own() {
    let bmc = Bmc::new();
    let (writer, _) = open(&bmc);
    let key = Kg::new([7; 20]).unwrap();
    writer.set_kg(lan(), Some(&key)).unwrap();
    let policy = crate::BadPassword { threshold: 3, ..crate::BadPassword::default() };
    writer.set_bad_password(lan(), policy).unwrap();
    assert_eq!(writer.snapshot().bad_password(lan()), policy);
    let table = bmc.files.channel_table().unwrap();
    let config = AccessConfig::default();
    let reader = super::super::OpenbmcReader::open(bmc.files.clone(), table, &bmc.state(), &config);
    assert_eq!(reader.kg(lan()).unwrap().bytes(), &[7; 20]);
    assert_eq!(reader.snapshot().bad_password(lan()), policy);
    writer.lock_kg(lan()).unwrap();
    assert!(crate::Followed::reload(&reader) && reader.snapshot().kg_locked(lan()));
}

#[test]
fn suites_set_are_all_that_openbmc_looks_for() {
    let bmc = Bmc::new();
    let (writer, _) = open(&bmc);
    let limits = BTreeMap::from([(3, Some(Privilege::Operator)), (8, None)]);
    writer.set_cipher_privileges(lan(), &limits).unwrap();
    let file = json_of(&bmc.files.cipher_privileges);
    let records = file["Channel1"].as_object().unwrap();
    assert_eq!(records.len(), 16);
    assert_eq!(records["CipherID3"], "priv-operator");
    assert_eq!(records["CipherID8"], "priv-reserved");
    assert_eq!(records["CipherID15"], "priv-admin");
    assert_eq!(writer.snapshot().cipher_privilege(lan(), 8), None);
}

#[test]
fn password_is_tested_whatever_its_size() {
    let bmc = Bmc::new();
    let (writer, _) = open(&bmc);
    let test = |text: &str, size| {
        let offered = Password::new(text.as_bytes(), size).unwrap();
        writer.test_password(id(2), &offered).unwrap()
    };
    assert_eq!(test("secret", PasswordSize::Bytes16), PasswordTest::Match);
    assert_eq!(test("secret", PasswordSize::Bytes20), PasswordTest::Match);
    assert_eq!(test("secrets", PasswordSize::Bytes20), PasswordTest::Mismatch);
}

/// As in our own store: whatever comes at once, nothing of it is lost.
#[test]
fn changes_at_once_lose_nothing() {
    let bmc = Bmc::new();
    let (writer, _system) = open(&bmc);
    writer.set_name(id(5), name("carol")).unwrap();
    for round in 0..8_u8 {
        let on = round % 2 == 0;
        let level = if on { Privilege::Operator } else { Privilege::User };
        at_once(&[
            &|| writer.change_access(id(5), lan(), &|access| access.messaging = on),
            &|| writer.change_access(id(5), lan(), &|access| access.privilege = Some(level)),
            &|| writer.change_access(id(5), lan(), &|access| access.payloads.oem = u16::from(on)),
            &|| limit(&writer, Setting::Volatile, level),
            &|| limit(&writer, Setting::NonVolatile, level),
        ]);
        let snapshot = writer.snapshot();
        let access = snapshot.access(id(5), lan());
        assert_eq!(
            (access.messaging, access.privilege, access.payloads.oem),
            (on, Some(level), u16::from(on))
        );
        for setting in [Setting::Volatile, Setting::NonVolatile] {
            assert_eq!(snapshot.channel_access(lan(), setting).unwrap().privilege_limit, level);
        }
    }
}

#[test]
fn one_name_goes_to_one_user() {
    let bmc = Bmc::new();
    let (writer, _system) = open(&bmc);
    for round in 0..8 {
        let wanted = name(&format!("dave{round}"));
        let results = at_once(&[&|| writer.set_name(id(7), wanted.clone()), &|| {
            writer.set_name(id(8), wanted.clone())
        }]);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    }
}
