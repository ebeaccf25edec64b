//! What the accounts survive, and what a reader sees of them.

use std::os::unix::fs::PermissionsExt;

use durable::simulated::Disk;
use ipmi_proto::{AccessMode, Privilege};
use proptest::prelude::*;

use super::*;
use crate::testing::at_once;
use crate::{
    ChannelAccess, Followed, PasswordSize, PasswordTest, PayloadAccess, Reader, Setting, UserAdmin,
    UserName,
};

mod damage;

const LAN: ChannelNumber = match ChannelNumber::new(1) {
    Some(number) => number,
    None => ChannelNumber::CURRENT,
};

fn options() -> Options {
    let ids = UserId::new(15).unwrap();
    Options { table: Arc::new(ChannelTable::default()), ids, boot: "this boot".to_owned() }
}

fn open(disk: &Disk) -> Writer<Disk> {
    Writer::on_storage(disk.clone(), options(), None).unwrap()
}

fn id(value: u8) -> UserId {
    UserId::new(value).unwrap()
}

fn name(text: &str) -> UserName {
    UserName::new(text.as_bytes()).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text.as_bytes(), PasswordSize::Bytes16).unwrap()
}

fn set_whole_access(
    writer: &Writer<Disk>,
    channel: ChannelNumber,
    (setting, access): (Setting, ChannelAccess),
) -> Result<(), AccountError> {
    writer.change_channel_access(channel, &|which, _| (which == setting).then_some(access))
}

fn has(writer: &Writer<Disk>, user: u8, text: &str) -> bool {
    writer.test_password(id(user), &password(text)).unwrap() == PasswordTest::Match
}

/// Two users, `alice` (2) and `bob` (3), enabled, administrators on the LAN.
fn two_users() -> Disk {
    let disk = Disk::new();
    let writer = open(&disk);
    for (user, text) in [(2, "alice"), (3, "bob")] {
        let access =
            UserAccess { privilege: Some(Privilege::Administrator), ..UserAccess::default() };
        writer.set_name(id(user), name(text)).unwrap();
        writer.set_password(id(user), &password(text)).unwrap();
        writer.change_access(id(user), LAN, &|now| *now = access).unwrap();
        writer.set_enabled(id(user), true).unwrap();
    }
    disk
}

fn enabled(writer: &Writer<Disk>) -> Vec<u8> {
    let snapshot = writer.snapshot();
    snapshot.users().filter(|(_, user)| user.enabled).map(|(id, _)| id.value()).collect()
}

fn names(writer: &Writer<Disk>) -> Vec<String> {
    let snapshot = writer.snapshot();
    snapshot.users().map(|(_, user)| user.name.to_string()).filter(|n| !n.is_empty()).collect()
}

#[test]
fn nobody_can_log_in_at_first() {
    let writer = open(&Disk::new());
    let snapshot = writer.snapshot();
    assert_eq!((snapshot.user_ids(), snapshot.enabled_users()), (15, 0));
    assert_eq!(snapshot.find(b""), Some(UserId::NULL));
    assert_eq!(snapshot.find(b"root"), None);
    assert!(UserId::first(15).all(|id| writer.password(id).is_none()));
    assert_eq!(snapshot.privilege_limit(UserId::NULL, LAN), None);
}

#[test]
fn users_are_there_at_the_next_start() {
    let disk = two_users();
    let writer = open(&disk);
    assert_eq!(names(&writer), ["alice", "bob"]);
    assert_eq!(enabled(&writer), [2, 3]);
    assert!(has(&writer, 2, "alice") && has(&writer, 3, "bob") && !has(&writer, 2, "bob"));
    let snapshot = writer.snapshot();
    assert_eq!(snapshot.find(b"bob"), Some(id(3)));
    assert_eq!(snapshot.privilege_limit(id(3), LAN), Some(Privilege::Administrator));
    assert!(snapshot.access(id(3), LAN).payloads.sol());
}

#[test]
fn no_secret_is_on_the_medium_in_clear() {
    let disk = two_users();
    open(&disk).set_password(id(2), &password("s3cret-s3cret")).unwrap();
    for file in disk.names() {
        let bytes = disk.read(&file).unwrap().unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"s3cret"), "{file}");
        let hex = bytes.windows(12).any(|window| window == b"733363726574");
        assert!(!hex, "{file}");
    }
}

#[test]
fn names_are_unique_and_the_null_name_fixed() {
    let writer = open(&two_users());
    let taken = writer.set_name(id(4), name("bob"));
    assert!(matches!(taken, Err(AccountError::NameTaken(other)) if other == id(3)));
    writer.set_name(id(3), name("bob")).unwrap();
    let fixed = writer.set_name(UserId::NULL, name("bob2"));
    assert!(matches!(fixed, Err(AccountError::FixedName)));
    writer.set_name(UserId::NULL, name("")).unwrap();
    let beyond = writer.set_name(id(16), name("x"));
    assert!(matches!(beyond, Err(AccountError::NoSuchUser(_))));
}

#[test]
fn freed_id_hands_nothing_on() {
    let disk = two_users();
    let writer = open(&disk);
    writer.set_name(id(2), name("")).unwrap();
    writer.set_name(id(2), name("carol")).unwrap();
    writer.set_enabled(id(2), true).unwrap();
    assert!(writer.password(id(2)).is_none());
    assert_eq!(writer.snapshot().privilege_limit(id(2), LAN), None);
}

#[test]
fn renamed_user_keeps_password_and_access() {
    let writer = open(&two_users());
    writer.set_name(id(2), name("carol")).unwrap();
    assert!(has(&writer, 2, "alice"));
    assert_eq!(writer.snapshot().find(b"alice"), None);
}

#[test]
fn password_test_knows_the_size() {
    let writer = open(&two_users());
    let long = Password::new(b"twenty bytes long pw", PasswordSize::Bytes20).unwrap();
    writer.set_password(id(2), &long).unwrap();
    let test = |password| writer.test_password(id(2), password).unwrap();
    assert_eq!(test(&long), PasswordTest::Match);
    assert_eq!(test(&password("twenty bytes")), PasswordTest::WrongSize);
    let none = writer.test_password(id(9), &long).unwrap();
    assert_eq!(none, PasswordTest::Mismatch);
}

#[test]
fn replaced_password_is_gone_from_the_medium() {
    let disk = two_users();
    let before = disk.read("credentials.json").unwrap().unwrap();
    let users_before = disk.read("users.json").unwrap().unwrap();
    let writer = open(&disk);
    writer.set_password(id(2), &password("new")).unwrap();
    assert_eq!(writer.files().credentials.value().passwords.len(), 2);
    drop(writer);
    // An old credentials file put back does not bring the old password back.
    disk.write("credentials.json", &before).unwrap();
    let writer = open(&disk);
    assert_eq!(enabled(&writer), [3]);
    assert!(!has(&writer, 2, "alice") && !has(&writer, 2, "new") && has(&writer, 3, "bob"));
    drop(writer);
    // Nor does an old users file.
    let disk = two_users();
    open(&disk).set_password(id(2), &password("new")).unwrap();
    disk.write("users.json", &users_before).unwrap();
    let writer = open(&disk);
    assert!(!has(&writer, 2, "alice"));
}

#[test]
fn volatile_access_ends_with_the_boot_and_outlives_a_restart() {
    let disk = Disk::new();
    let writer = open(&disk);
    let configured = writer.snapshot().channel_access(LAN, Setting::Volatile).unwrap();
    let off = ChannelAccess { mode: AccessMode::Disabled, ..configured };
    set_whole_access(&writer, LAN, (Setting::Volatile, off)).unwrap();
    let both = |writer: &Writer<Disk>| {
        let snapshot = writer.snapshot();
        let access = |setting| snapshot.channel_access(LAN, setting).unwrap();
        (access(Setting::Volatile), access(Setting::NonVolatile))
    };
    drop(writer);
    assert_eq!(both(&open(&disk)), (off, configured));
    let next_boot = Options { boot: "the next".to_owned(), ..options() };
    let writer = Writer::on_storage(disk.clone(), next_boot, None).unwrap();
    assert_eq!(both(&writer), (configured, configured));
}

#[test]
fn non_volatile_access_takes_effect_at_the_next_boot() {
    let disk = Disk::new();
    let writer = open(&disk);
    let configured = writer.snapshot().channel_access(LAN, Setting::Volatile).unwrap();
    let low = ChannelAccess { privilege_limit: Privilege::User, ..configured };
    set_whole_access(&writer, LAN, (Setting::NonVolatile, low)).unwrap();
    drop(writer);
    let writer = open(&disk);
    let now = |writer: &Writer<Disk>| writer.snapshot().channel_access(LAN, Setting::Volatile);
    assert_eq!(now(&writer), Some(configured));
    writer.reset_volatile().unwrap();
    assert_eq!(now(&writer), Some(low));
    assert!(set_whole_access(&writer, ChannelNumber::CURRENT, (Setting::Volatile, low)).is_err());
}

/// A change of one part of a value while another changes another part, as two requests that a client keeps
/// outstanding are.
#[test]
fn changes_at_once_lose_nothing() {
    let disk = Disk::new();
    let writer = open(&disk);
    for round in 0..64_u8 {
        let (on, limit) = (round % 2 == 0, Privilege::new(1 + round % 4).unwrap());
        let mode = if on { AccessMode::Disabled } else { AccessMode::AlwaysAvailable };
        let of = |which: Setting, mode: Option<AccessMode>, limit: Option<Privilege>| {
            writer.change_channel_access(LAN, &|setting, access| {
                let mode = mode.unwrap_or(access.mode);
                let privilege_limit = limit.unwrap_or(access.privilege_limit);
                (setting == which).then_some(ChannelAccess { mode, privilege_limit, ..access })
            })
        };
        at_once(&[
            &|| of(Setting::Volatile, Some(mode), None),
            &|| of(Setting::Volatile, None, Some(limit)),
            &|| of(Setting::NonVolatile, Some(mode), None),
            &|| of(Setting::NonVolatile, None, Some(limit)),
            &|| writer.change_access(id(3), LAN, &|access| access.messaging = on),
            &|| writer.change_access(id(3), LAN, &|access| access.privilege = Some(limit)),
            &|| writer.change_access(id(3), LAN, &|access| access.payloads.standard = on.into()),
            &|| writer.change_access(id(3), LAN, &|access| access.payloads.oem = on.into()),
        ]);
        let snapshot = writer.snapshot();
        for setting in [Setting::Volatile, Setting::NonVolatile] {
            let access = snapshot.channel_access(LAN, setting).unwrap();
            assert_eq!((access.mode, access.privilege_limit), (mode, limit), "{setting:?} {round}");
        }
        let access = snapshot.access(id(3), LAN);
        let payloads = PayloadAccess { standard: on.into(), oem: on.into() };
        assert_eq!((access.messaging, access.privilege), (on, Some(limit)), "{round}");
        assert_eq!(access.payloads, payloads, "{round}");
    }
}

#[test]
fn one_name_goes_to_one_user() {
    let disk = Disk::new();
    let writer = open(&disk);
    for round in 0..64 {
        let wanted = name(&format!("name{round}"));
        let results = at_once(&[&|| writer.set_name(id(3), wanted.clone()), &|| {
            writer.set_name(id(4), wanted.clone())
        }]);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    }
}

#[test]
fn kg_is_kept_until_it_is_locked() {
    let disk = Disk::new();
    let writer = open(&disk);
    let kg = Kg::new([7; 20]).unwrap();
    writer.set_kg(LAN, Some(&kg)).unwrap();
    writer.lock_kg(LAN).unwrap();
    drop(writer);
    let writer = open(&disk);
    assert_eq!(writer.kg(LAN).unwrap().bytes(), &[7; 20]);
    assert!(matches!(writer.set_kg(LAN, None), Err(AccountError::KgLocked(_))));
    assert!(writer.snapshot().kg_locked(LAN));
}

#[test]
fn cipher_privileges_and_bad_password_are_kept() {
    let disk = Disk::new();
    let writer = open(&disk);
    let limits = BTreeMap::from([(3, Some(Privilege::User)), (17, None)]);
    writer.set_cipher_privileges(LAN, &limits).unwrap();
    let setting = crate::BadPassword { threshold: 3, ..crate::BadPassword::default() };
    writer.set_bad_password(LAN, setting).unwrap();
    drop(writer);
    let snapshot = open(&disk).snapshot();
    assert_eq!(snapshot.cipher_privilege(LAN, 3), Some(Privilege::User));
    assert_eq!(snapshot.cipher_privilege(LAN, 17), None);
    assert_eq!(snapshot.cipher_privilege(LAN, 8), Some(Privilege::Administrator));
    assert_eq!(snapshot.bad_password(LAN), setting);
}

#[test]
fn unchanged_user_is_not_written_again() {
    let disk = two_users();
    let writer = open(&disk);
    writer.set_enabled(id(2), false).unwrap();
    let operations = disk.operations();
    writer.set_enabled(id(2), false).unwrap();
    assert_eq!(disk.operations(), operations);
}

#[test]
fn enabling_is_counted_and_nothing_else_is() {
    let writer = open(&two_users());
    let mark = || writer.snapshot().user(id(2)).unwrap().enabled_mark();
    let before = mark();
    writer.set_enabled(id(2), false).unwrap();
    writer.set_name(id(3), UserName::new(b"other").unwrap()).unwrap();
    assert_eq!(mark(), before);
    writer.set_enabled(id(2), true).unwrap();
    writer.set_enabled(id(2), true).unwrap();
    assert_eq!(mark(), before + 2);
}

/// A state folder, and the configuration with an initial user.
fn real_folder() -> (tempfile::TempDir, AccessConfig) {
    let text = "initial-user = { name = \"root\", password = \"first\" }";
    (tempfile::tempdir().unwrap(), toml::from_str(text).unwrap())
}

#[test]
fn initial_user_is_made_once() {
    let (state, config) = real_folder();
    let open = || Writer::open(state.path(), &config, ChannelTable::default()).unwrap();
    let writer = open();
    let user = writer.snapshot().find(b"root").unwrap();
    assert_eq!(user, id(INITIAL_USER));
    assert!(writer.snapshot().user(user).unwrap().enabled);
    assert_eq!(writer.snapshot().privilege_limit(user, LAN), Some(Privilege::Administrator));
    writer.set_password(user, &password("second")).unwrap();
    drop(writer);
    let writer = open();
    assert_eq!(writer.test_password(user, &password("second")).unwrap(), PasswordTest::Match);
    writer.set_name(user, name("")).unwrap();
    drop(writer);
    assert_eq!(open().snapshot().find(b"root"), None);
}

#[test]
fn files_are_for_the_group_to_read() {
    let (state, config) = real_folder();
    let writer = Writer::open(state.path(), &config, ChannelTable::default()).unwrap();
    writer.set_password(id(2), &password("x")).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    let folder = state.path().join(FOLDER);
    assert_eq!(mode(&folder), 0o2750);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o640, "{}", path.display());
    }
    let second = Writer::open(state.path(), &config, ChannelTable::default());
    assert!(second.is_err(), "there is one writer");
}

#[test]
fn reader_follows_the_writer() {
    let (state, config) = real_folder();
    let reader = Reader::open(state.path(), &config, ChannelTable::default());
    assert_eq!(reader.snapshot().enabled_users(), 0);
    assert!(!reader.reload());

    let writer = Writer::open(state.path(), &config, ChannelTable::default()).unwrap();
    assert!(reader.reload());
    assert_eq!(reader.snapshot().generation(), writer.snapshot().generation());
    let test = |text| reader.password(id(2)).unwrap().test(&password(text));
    assert_eq!(test("first"), PasswordTest::Match);
    writer.set_password(id(2), &password("second")).unwrap();
    writer.set_kg(LAN, Kg::new([1; 20]).as_ref()).unwrap();
    assert!(reader.reload() && !reader.reload());
    assert_eq!(test("second"), PasswordTest::Match);
    assert_eq!(reader.kg(LAN).unwrap().bytes(), &[1; 20]);

    // Damage that the reader meets before the writer starts anew admits nobody.
    let credentials = state.path().join(FOLDER).join("credentials.json");
    std::fs::write(credentials, b"damaged").unwrap();
    reader.reload();
    assert_eq!(reader.snapshot().enabled_users(), 0);
    assert!(reader.password(id(2)).is_none() && reader.kg(LAN).is_none());
    assert_eq!(reader.snapshot().find(b"root"), Some(id(2)));
}

/// One change, as a client may ask for it.
#[derive(Clone, Debug)]
enum Change {
    Name(u8, Option<String>),
    Enabled(u8, bool),
    Password(u8, String),
    Access(u8, u8, u16),
    Restart,
}

fn any_change() -> impl Strategy<Value = Change> {
    let user = 1..=15_u8;
    prop_oneof![
        (user.clone(), prop::option::of("[a-c]{1,2}")).prop_map(|(u, n)| Change::Name(u, n)),
        (user.clone(), any::<bool>()).prop_map(|(u, on)| Change::Enabled(u, on)),
        (user.clone(), "[ -~]{0,16}").prop_map(|(u, p)| Change::Password(u, p)),
        (user, 0..6_u8, any::<u16>()).prop_map(|(u, p, s)| Change::Access(u, p, s)),
        Just(Change::Restart),
    ]
}

/// A simple model of the accounts.
type Model = BTreeMap<u8, (String, bool, Option<String>, UserAccess)>;

fn apply(writer: &Writer<Disk>, model: &mut Model, change: &Change) {
    match change {
        Change::Name(user, new) => {
            let text = new.clone().unwrap_or_default();
            if writer.set_name(id(*user), name(&text)).is_ok() && *user != 1 {
                let entry = model.entry(*user).or_default();
                if text.is_empty() {
                    *entry = Default::default();
                }
                entry.0 = text;
            }
        }
        Change::Enabled(user, on) => {
            writer.set_enabled(id(*user), *on).unwrap();
            model.entry(*user).or_default().1 = *on;
        }
        Change::Password(user, text) => {
            writer.set_password(id(*user), &password(text)).unwrap();
            model.entry(*user).or_default().2 = Some(text.clone());
        }
        Change::Access(user, privilege, standard) => {
            let access = UserAccess {
                privilege: Privilege::new(*privilege),
                session_limit: privilege % 4,
                payloads: PayloadAccess { standard: *standard, oem: 0 },
                ..UserAccess::default()
            };
            writer.change_access(id(*user), LAN, &|now| *now = access).unwrap();
            model.entry(*user).or_default().3 = access;
        }
        Change::Restart => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_changes_end_as_the_simple_model_does(changes in prop::collection::vec(any_change(), 0..30)) {
        let disk = Disk::new();
        let mut writer = open(&disk);
        let mut model = Model::new();
        for change in &changes {
            apply(&writer, &mut model, change);
            if matches!(change, Change::Restart) {
                writer = open(&disk.after_power_loss(0));
                drop(writer);
                writer = open(&disk);
            }
        }
        let writer = open(&disk.after_power_loss(0));
        let snapshot = writer.snapshot();
        for (user, (text, on, secret, access)) in &model {
            let found = snapshot.user(id(*user)).unwrap();
            prop_assert_eq!((found.name.as_str(), found.enabled), (text.as_str(), *on));
            prop_assert_eq!(&found.access(LAN), access);
            match secret {
                Some(secret) => prop_assert!(has(&writer, *user, secret)),
                None => prop_assert!(writer.password(id(*user)).is_none()),
            }
            if !text.is_empty() {
                prop_assert_eq!(snapshot.find(text.as_bytes()), Some(id(*user)));
            }
        }
    }
}
