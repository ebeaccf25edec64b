use openbmc_dbus::led::group;
use openbmc_dbus::sensor::value;
use openbmc_dbus::state::host::{self, HostState};

use super::*;

fn tree() -> Tree {
    let mut tree = Tree::default();
    let host = Instance::new(&host::INTERFACE).with(host::CURRENT_HOST_STATE, HostState::Off);
    tree.add(host::SERVICE, "/a/host0", [host]);
    tree.add(group::SERVICE, "/a/led", [Instance::new(&group::INTERFACE).persistent()]);
    tree
}

#[test]
fn a_change_is_told_once_and_no_change_is_not() {
    let mut tree = tree();
    tree.take_changes();
    tree.set("/a/led", group::ASSERTED, true);
    tree.set("/a/led", group::ASSERTED, true);
    let values = Values(vec![("Asserted", Variant::from(true))]);
    assert_eq!(
        tree.take_changes(),
        [Change::Changed { path: "/a/led".to_owned(), interface: group::NAME, values }]
    );
}

#[test]
fn not_a_number_again_is_no_change() {
    let mut tree = Tree::default();
    let sensor = Instance::new(&value::INTERFACE).with(value::VALUE, f64::NAN);
    tree.add("sensors", "/s", [sensor]);
    tree.take_changes();
    tree.set("/s", value::VALUE, f64::NAN);
    assert!(tree.take_changes().is_empty());
    tree.set("/s", value::VALUE, 1.0);
    assert_eq!(tree.take_changes().len(), 1);
}

#[test]
fn each_state_passed_through_is_told() {
    let mut tree = tree();
    tree.take_changes();
    tree.set("/a/host0", host::CURRENT_HOST_STATE, HostState::TransitioningToRunning);
    tree.set("/a/host0", host::CURRENT_HOST_STATE, HostState::Running);
    assert_eq!(tree.take_changes().len(), 2);
}

#[test]
fn what_clients_may_not_set_is_refused() {
    let tree = tree();
    let name = |path, interface, property, value: Variant<'static>| {
        tree.check(path, interface, property, &value).unwrap_err().name
    };
    let on = || Variant::from(true);
    assert!(name("/a", group::NAME, "Asserted", on()).ends_with("UnknownObject"));
    assert!(name("/a/led", host::NAME, "Asserted", on()).ends_with("UnknownInterface"));
    assert!(name("/a/led", group::NAME, "Lit", on()).ends_with("UnknownProperty"));
    assert!(name("/a/led", group::NAME, "Asserted", 1_u8.into()).ends_with("InvalidArgument"));
    assert!(
        name("/a/host0", host::NAME, "RequestedHostTransition", "x".into())
            .ends_with("InvalidArgument")
    );
    assert!(
        name("/a/host0", host::NAME, "AllowedHostTransitions", on()).ends_with("PropertyReadOnly")
    );
}

#[test]
fn kept_values_come_back_and_others_do_not() {
    let mut first = tree();
    first.set("/a/led", group::ASSERTED, true);
    first.set("/a/host0", host::CURRENT_HOST_STATE, HostState::Running);
    let saved = first.take_unsaved().unwrap().clone();
    assert!(first.take_unsaved().is_none());
    let mut second = Tree::new(saved, Services::default());
    second.add(group::SERVICE, "/a/led", [Instance::new(&group::INTERFACE).persistent()]);
    assert_eq!(second.get("/a/led", group::ASSERTED), Some(true));
    assert!(!second.saved().contains_key("/a/host0"));
}

#[test]
fn below_is_by_whole_names() {
    let mut tree = tree();
    tree.add(group::SERVICE, "/a/led2/x", [Instance::new(&group::INTERFACE)]);
    let paths = |root| tree.below(root).map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(paths("/a/led"), ["/a/led"]);
    assert_eq!(paths("/a"), ["/a/host0", "/a/led", "/a/led2/x"]);
    assert_eq!(paths("/"), ["/a/host0", "/a/led", "/a/led2/x"]);
    assert_eq!(paths("/b"), [] as [&str; 0]);
}
