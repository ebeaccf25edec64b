//! The log and the accounts.

use std::collections::BTreeMap;

use openbmc_dbus::logging::entry::{self, Level};
use openbmc_dbus::logging::{ROOT as LOG, create};
use openbmc_dbus::object::{delete, delete_all};
use openbmc_dbus::user::{ROOT as USERS, attributes, manager};
use zbus::wire::Variant;

use super::TestPlatform;

fn log(platform: &mut TestPlatform, message: &'static str) {
    let data = BTreeMap::from([("SENSOR", "Inlet")]);
    let arguments = [message.into(), Level::Error.as_str().into(), Variant::from(data)];
    platform.call(LOG, &create::CREATE, &arguments);
}

fn entries(platform: &mut TestPlatform) -> Vec<u32> {
    let tree = platform.simulation.tree(platform.now);
    let mut ids: Vec<u32> =
        tree.below(LOG).filter_map(|(path, _)| tree.get(path, entry::ID)).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn entries_stay_until_they_are_deleted() {
    let mut platform = TestPlatform::new("");
    log(&mut platform, "first");
    log(&mut platform, "second");
    let second = "/xyz/openbmc_project/logging/entry/2";
    platform.set(second, entry::RESOLVED, true);
    platform.call("/xyz/openbmc_project/logging/entry/1", &delete::DELETE, &[]);
    let saved = platform.simulation.take_unsaved().unwrap().clone();
    let mut platform = TestPlatform::again("", saved, false);
    assert_eq!(entries(&mut platform), [2]);
    assert_eq!(platform.get(second, entry::MESSAGE), "second");
    assert_eq!(platform.get(second, entry::SEVERITY), Level::Error);
    assert_eq!(platform.get(second, entry::ADDITIONAL_DATA)["SENSOR"], "Inlet");
    assert!(platform.get(second, entry::RESOLVED));
    log(&mut platform, "third");
    assert_eq!(entries(&mut platform), [2, 3]);
    platform.call(LOG, &delete_all::DELETE_ALL, &[]);
    assert!(entries(&mut platform).is_empty());
}

#[test]
fn the_oldest_entry_goes_for_a_new_one() {
    let mut platform = TestPlatform::new("");
    for _ in 0..205 {
        log(&mut platform, "again");
    }
    assert_eq!(entries(&mut platform), (6..=205).collect::<Vec<_>>());
}

const USER: &str = "[[user]]\nname = \"admin\"\n";

fn new_user(platform: &mut TestPlatform, name: &str, privilege: &'static str) -> bool {
    let groups = Variant::from(vec!["ipmi".to_owned()]);
    let arguments = [name.to_owned().into(), groups, privilege.into(), true.into()];
    platform.try_call(USERS, &manager::CREATE_USER, &arguments).is_ok()
}

#[test]
fn accounts_are_made_renamed_and_deleted_and_stay_so() {
    let mut platform = TestPlatform::new(USER);
    assert!(new_user(&mut platform, "operator", "priv-operator"));
    let path = |name: &str| format!("{USERS}/{name}");
    platform.set(&path("operator"), attributes::USER_ENABLED, false);
    platform.call(USERS, &manager::RENAME_USER, &["operator".into(), "night".into()]);
    platform.call(&path("admin"), &delete::DELETE, &[]);
    let saved = platform.simulation.take_unsaved().unwrap().clone();
    let mut platform = TestPlatform::again(USER, saved, false);
    assert_eq!(platform.get(&path("night"), attributes::USER_PRIVILEGE), "priv-operator");
    assert!(!platform.get(&path("night"), attributes::USER_ENABLED));
    for gone in ["admin", "operator"] {
        assert!(platform.simulation.tree(platform.now).object(&path(gone)).is_none(), "{gone}");
    }
}

#[test]
fn accounts_that_cannot_be_are_refused() {
    let mut platform = TestPlatform::new(USER);
    for (name, privilege) in [
        ("admin", "priv-admin"),
        ("0day", "priv-admin"),
        ("", "priv-admin"),
        ("seventeen_letters", "priv-admin"),
        ("sp ace", "priv-admin"),
        ("root", "priv-god"),
    ] {
        assert!(!new_user(&mut platform, name, privilege), "{name} {privilege}");
    }
    let rename = ["admin".into(), "bad name".into()];
    assert!(platform.try_call(USERS, &manager::RENAME_USER, &rename).is_err());
    let info = platform.try_call(USERS, &manager::GET_USER_INFO, &["admin".into()]);
    assert!(info.is_ok(), "a rename that fails changes nothing");
    let error = platform.try_call(USERS, &manager::GET_USER_INFO, &["nobody".into()]);
    assert!(error.unwrap_err().name.ends_with("UserNameDoesNotExist"));
    for number in 0..14 {
        assert!(new_user(&mut platform, &format!("user{number}"), "priv-user"));
    }
    assert!(!new_user(&mut platform, "sixteenth", "priv-user"));
}
