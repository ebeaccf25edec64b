//! The log and the accounts.

use std::collections::BTreeMap;

use openbmc_dbus::logging::entry::{self, Level};
use openbmc_dbus::logging::{ROOT as LOG, create};
use openbmc_dbus::object::{delete, delete_all};
use openbmc_dbus::user::{ROOT as USERS, attributes, manager};
use zbus::wire::Variant;

use super::Bench;

fn log(bench: &mut Bench, message: &'static str) {
    let data = BTreeMap::from([("SENSOR", "Inlet")]);
    let arguments = [message.into(), Level::Error.as_str().into(), Variant::from(data)];
    bench.call(LOG, &create::CREATE, &arguments);
}

fn entries(bench: &mut Bench) -> Vec<u32> {
    let tree = bench.simulation.tree(bench.now);
    let mut ids: Vec<u32> =
        tree.below(LOG).filter_map(|(path, _)| tree.get(path, entry::ID)).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn entries_stay_until_they_are_deleted() {
    let mut bench = Bench::new("");
    log(&mut bench, "first");
    log(&mut bench, "second");
    let second = "/xyz/openbmc_project/logging/entry/2";
    bench.set(second, entry::RESOLVED, true);
    bench.call("/xyz/openbmc_project/logging/entry/1", &delete::DELETE, &[]);
    let saved = bench.simulation.take_unsaved().unwrap().clone();
    let mut bench = Bench::again("", saved, false);
    assert_eq!(entries(&mut bench), [2]);
    assert_eq!(bench.get(second, entry::MESSAGE), "second");
    assert_eq!(bench.get(second, entry::SEVERITY), Level::Error);
    assert_eq!(bench.get(second, entry::ADDITIONAL_DATA)["SENSOR"], "Inlet");
    assert!(bench.get(second, entry::RESOLVED));
    log(&mut bench, "third");
    assert_eq!(entries(&mut bench), [2, 3]);
    bench.call(LOG, &delete_all::DELETE_ALL, &[]);
    assert!(entries(&mut bench).is_empty());
}

#[test]
fn the_oldest_entry_goes_for_a_new_one() {
    let mut bench = Bench::new("");
    for _ in 0..205 {
        log(&mut bench, "again");
    }
    assert_eq!(entries(&mut bench), (6..=205).collect::<Vec<_>>());
}

const USER: &str = "[[user]]\nname = \"admin\"\n";

fn new_user(bench: &mut Bench, name: &str, privilege: &'static str) -> bool {
    let groups = Variant::from(vec!["ipmi".to_owned()]);
    let arguments = [name.to_owned().into(), groups, privilege.into(), true.into()];
    bench.try_call(USERS, &manager::CREATE_USER, &arguments).is_ok()
}

#[test]
fn accounts_are_made_renamed_and_deleted_and_stay_so() {
    let mut bench = Bench::new(USER);
    assert!(new_user(&mut bench, "operator", "priv-operator"));
    let path = |name: &str| format!("{USERS}/{name}");
    bench.set(&path("operator"), attributes::USER_ENABLED, false);
    bench.call(USERS, &manager::RENAME_USER, &["operator".into(), "night".into()]);
    bench.call(&path("admin"), &delete::DELETE, &[]);
    let saved = bench.simulation.take_unsaved().unwrap().clone();
    let mut bench = Bench::again(USER, saved, false);
    assert_eq!(bench.get(&path("night"), attributes::USER_PRIVILEGE), "priv-operator");
    assert!(!bench.get(&path("night"), attributes::USER_ENABLED));
    for gone in ["admin", "operator"] {
        assert!(bench.simulation.tree(bench.now).object(&path(gone)).is_none(), "{gone}");
    }
}

#[test]
fn accounts_that_cannot_be_are_refused() {
    let mut bench = Bench::new(USER);
    for (name, privilege) in [
        ("admin", "priv-admin"),
        ("0day", "priv-admin"),
        ("", "priv-admin"),
        ("seventeen_letters", "priv-admin"),
        ("sp ace", "priv-admin"),
        ("root", "priv-god"),
    ] {
        assert!(!new_user(&mut bench, name, privilege), "{name} {privilege}");
    }
    let rename = ["admin".into(), "bad name".into()];
    assert!(bench.try_call(USERS, &manager::RENAME_USER, &rename).is_err());
    let info = bench.try_call(USERS, &manager::GET_USER_INFO, &["admin".into()]);
    assert!(info.is_ok(), "a rename that fails changes nothing");
    let error = bench.try_call(USERS, &manager::GET_USER_INFO, &["nobody".into()]);
    assert!(error.unwrap_err().name.ends_with("UserNameDoesNotExist"));
    for number in 0..14 {
        assert!(new_user(&mut bench, &format!("user{number}"), "priv-user"));
    }
    assert!(!new_user(&mut bench, "sixteenth", "priv-user"));
}
