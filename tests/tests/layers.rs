//! Which module of ipmid may use which: every path in the source is resolved and compared with the table that
//! ARCHITECTURE.md shows ("The rooms of ipmid").

use std::fs;
use std::path::{Path, PathBuf};

use tests::source_paths::{Modules, Use};

/// A module, and the modules and crates of ours or of the bus that it may use beside itself. The longest module
/// that contains a file decides.
struct Rule {
    module: &'static str,
    may_use: &'static [&'static str],
}

/// Crates that the rules name; any other crate may be used anywhere.
const RESTRICTED: [&str; 3] = ["zbus", "openbmc_dbus", "zvariant"];

const RULES: &[Rule] = &[
    // The path of a request, which begins and ends on the bus.
    Rule { module: "request::host_interface", may_use: &["request", "openbmc_dbus", "zbus"] },
    Rule { module: "request::channels", may_use: &["openbmc_dbus", "zbus", "model"] },
    // Requests that go on to providers, over the bus again.
    Rule {
        module: "request::providers::bus",
        may_use: &["request", "openbmc_dbus", "zbus", "model"],
    },
    // An error of the platform is logged with its request.
    Rule { module: "request", may_use: &["model", "platform::PlatformError"] },
    // Handlers see the table, their context, traits and state.
    Rule {
        module: "commands",
        may_use: &["request::command", "request::context", "request::filter", "platform", "model"],
    },
    Rule { module: "model", may_use: &[] },
    Rule { module: "background", may_use: &["platform", "model"] },
    // The traits use values of the bus interfaces, the D-Bus side everything of the bus.
    Rule { module: "platform", may_use: &["model", "openbmc_dbus"] },
    Rule {
        module: "platform::dbus",
        may_use: &["platform", "model", "openbmc_dbus", "zbus", "zvariant"],
    },
    // What the file may say belongs to those who follow it.
    Rule { module: "config", may_use: &["commands", "model", "request"] },
];

/// Modules that put all others together.
const WIRING: [&str; 3] = ["", "main", "service"];

/// What even those that may use a module's parent may not use.
const PRIVATE: [(&str, &[&str]); 1] = [("platform::dbus", &["platform::dbus"])];

/// Modules under `commands` that all families share.
const SHARED: [&str; 2] = ["commands::set_in_progress", "commands::test_support"];

fn source() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ lies in the root").join("ipmid/src")
}

fn is_in(module: &str, room: &str) -> bool {
    module.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn family(module: &str) -> Option<&str> {
    let rest = module.strip_prefix("commands::")?;
    Some(rest.split("::").next().unwrap_or(rest))
}

fn is_allowed(used: &Use) -> bool {
    let (module, path) = (used.module.as_str(), used.path.as_str());
    let first = path.split("::").next().unwrap_or(path);
    let ours = used.is_ours || RESTRICTED.contains(&first);
    if !ours || WIRING.iter().any(|wiring| module == *wiring || is_service(module)) {
        return true;
    }
    if PRIVATE.iter().any(|(private, users)| {
        is_in(path, private) && !users.iter().any(|user| is_in(module, user))
    }) {
        return false;
    }
    if let (Some(from), Some(to)) = (family(module), family(path)) {
        return from == to || SHARED.iter().any(|shared| is_in(path, shared));
    }
    let rules = RULES.iter().filter(|rule| is_in(module, rule.module));
    let Some(rule) = rules.max_by_key(|rule| rule.module.len()) else {
        return false;
    };
    is_in(path, rule.module) || rule.may_use.iter().any(|room| is_in(path, room))
}

fn is_service(module: &str) -> bool {
    is_in(module, "service")
}

#[test]
fn modules_of_ipmid_use_only_what_the_table_allows() {
    let modules = Modules::read(&source());
    let uses = modules.uses();
    assert!(uses.len() > 1000, "{} paths found", uses.len());
    let offences: Vec<String> = uses
        .iter()
        .filter(|used| !is_allowed(used))
        .map(|used| format!("{} uses {}", used.module, used.path))
        .collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_module_of_ipmid_has_a_rule() {
    for entry in fs::read_dir(source()).expect("ipmid/src") {
        let path = entry.expect("a folder entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let has_rule = RULES.iter().any(|rule| is_in(&name, rule.module));
        assert!(has_rule || WIRING.contains(&name.as_str()) || name == "lib", "{name}");
    }
}

/// The paths of one module's text that the rules refuse.
fn refused(module: &str, text: &str) -> Vec<String> {
    let known = ["platform", "platform::dbus", "model", "model::sel", "commands::app", "service"];
    let modules = Modules::of(&[(module, text)], &known);
    let uses = modules.uses();
    uses.into_iter().filter(|used| !is_allowed(used)).map(|used| used.path).collect()
}

/// Each form that Rust has for a use of another module is found.
#[test]
fn forbidden_uses_are_found_in_every_form() {
    let forms = [
        "use crate::platform::dbus::DbusPlatform;",
        "use crate::{platform::{self, dbus::DbusPlatform}};",
        "use crate::platform::dbus;",
        "use crate::platform::dbus as elsewhere;",
        "use crate::platform as machine; fn f() { machine::dbus::f() }",
        "use crate as root; use root::platform::dbus::DbusPlatform;",
        "use super::super::platform::dbus::DbusPlatform;",
        "use super::super::{platform}; fn f(_: platform::dbus::DbusPlatform) {}",
        "use crate::platform::*; fn f(_: dbus::DbusPlatform) {}",
        "use self::super::super::platform::dbus::DbusPlatform;",
        "extern crate self as ipmid; use ipmid::platform::dbus::DbusPlatform;",
        "pub use crate::platform::dbus::DbusPlatform;",
        "fn f() { crate::platform::dbus::f() }",
        "fn f(_: &dyn crate::platform::dbus::T) {}",
        "fn f() { let _ = <crate::platform::dbus::T as Default>::default(); }",
        "fn f() { use crate::platform::dbus::T; }",
        "mod inner { use super::super::super::platform::dbus::T; }",
        "fn f() { tokio::select! { _ = crate::platform::dbus::f() => {} } }",
        "macro_rules! m { () => { crate::platform::dbus::f() } }",
        "#[serde(default = \"crate::platform::dbus::f\")] struct S;",
        "impl From<crate::platform::dbus::T> for S {}",
        "use zbus::Connection;",
        "extern crate zbus;",
        "fn f(_: zbus::Connection) {}",
        "fn f(_: ::zbus::Connection) {}",
        "use crate::service::Service;",
        "use crate::commands::app::AppProvider;",
        "use super::app::AppProvider;",
    ];
    for form in forms {
        assert!(!refused("commands::chassis", form).is_empty(), "{form}");
    }
}

#[test]
fn allowed_uses_are_not_found() {
    let forms = [
        "use crate::platform::Power; use crate::model::sel::SelStore; use crate::request::context::Context;",
        "use super::set_in_progress; use std::sync::Arc; mod control; use control::Action;",
        "// use crate::platform::dbus::T;\nfn f() { println!(\"crate::platform::dbus\") }",
        "/// As [`crate::platform::dbus`].\nfn f() {}",
        "#[cfg(test)] mod tests { use crate::platform::dbus::private_bus; }",
    ];
    for form in forms {
        assert_eq!(refused("commands::chassis", form), [""; 0], "{form}");
    }
    assert!(refused("model::sel", "use crate::platform::Power;") == ["platform::Power"]);
    assert!(refused("background::attention", "use crate::commands::app;") == ["commands::app"]);
    assert!(refused("platform::power", "use zbus::Connection;") == ["zbus::Connection"]);
}
