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

/// Names of other crates that a module may not use, whichever way it comes by them: module, crate, name. The model's
/// errors are its own (`StoreError`), `request` gives them their completion codes.
const FORBIDDEN_NAMES: [(&str, &str, &str); 1] = [("model", "ipmi_proto", "CompletionCode")];

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

/// Whether the use has a forbidden name in it, or imports all names of its crate.
fn has_forbidden_name(used: &Use) -> bool {
    FORBIDDEN_NAMES.iter().any(|(module, from, name)| {
        let imports_all = used.is_glob && !used.is_ours && used.path == *from;
        let is_named = used.path.split("::").any(|segment| segment == *name);
        is_in(&used.module, module) && (imports_all || is_named)
    })
}

fn is_allowed(used: &Use) -> bool {
    if has_forbidden_name(used) {
        return false;
    }
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
    // What a room re-exports is its own: the rule of the room decides what that may be.
    if used.is_reexported {
        return true;
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
    refused_in(&[(module, text)])
}

/// The paths of several modules' texts that the rules refuse.
fn refused_in(texts: &[(&str, &str)]) -> Vec<String> {
    let known = ["platform", "platform::dbus", "model", "model::sel", "commands::app", "service"];
    let uses = Modules::of(texts, &known).uses();
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
        "macro_rules! m { () => { use $crate::{platform::{dbus::f}}; } }",
        "#[serde(default = \"crate::platform::dbus::f\")] struct S;",
        "#[derive(crate::platform::dbus::D)] struct S;",
        "use crate::r#platform::r#dbus::T;",
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

/// The model cannot come by a completion code in any form.
#[test]
fn completion_codes_in_the_model_are_found_in_every_form() {
    let forms = [
        "use ipmi_proto::CompletionCode;",
        "use ::ipmi_proto::CompletionCode;",
        "use ipmi_proto::{CompletionCode, sel::SelRecord};",
        "use ipmi_proto::{CompletionCode as Code};",
        "use ipmi_proto::CompletionCode as _;",
        "use ipmi_proto::CompletionCode::{self};",
        "use ipmi_proto::r#CompletionCode;",
        "pub use ipmi_proto::CompletionCode as StoreError;",
        "pub(crate) use ipmi_proto::CompletionCode;",
        "use ipmi_proto::*;",
        "use ::ipmi_proto::{self, *};",
        "use ipmi_proto as proto; use proto::*;",
        "use ipmi_proto as proto; fn f() -> proto::CompletionCode { todo!() }",
        "use ipmi_proto::{self as proto}; type Code = proto::CompletionCode;",
        "extern crate ipmi_proto as proto; use proto::CompletionCode;",
        "extern crate ipmi_proto as proto; use proto::*;",
        "use ipmi_proto::completion::CompletionCode;",
        "use another_crate::CompletionCode;",
        "use crate::CompletionCode;",
        "use crate::request::completion::CompletionCode;",
        "use super::CompletionCode;",
        "use crate::*;",
        "fn f() -> ipmi_proto::CompletionCode { todo!() }",
        "fn f() -> ::ipmi_proto::CompletionCode { todo!() }",
        "fn f() { let _ = ipmi_proto::CompletionCode::BUSY; }",
        "fn f() { let _ = ipmi_proto::CompletionCode(0x80); }",
        "fn f() { let _ = <ipmi_proto::CompletionCode>::BUSY; }",
        "fn f() { let _ = Into::<ipmi_proto::CompletionCode>::into(1); }",
        "fn f() { use ipmi_proto::CompletionCode; }",
        "fn f(code: u8) { matches!(code, ipmi_proto::CompletionCode(_)); }",
        "fn f() { match g() { ipmi_proto::CompletionCode(_) => {} } }",
        "impl From<StoreError> for ipmi_proto::CompletionCode {}",
        "struct S(Vec<Option<ipmi_proto::CompletionCode>>);",
        "trait T { type Code: Into<ipmi_proto::CompletionCode>; }",
        "mod inner { use ipmi_proto::CompletionCode; }",
        "macro_rules! m { () => { ipmi_proto::CompletionCode::BUSY } }",
        "macro_rules! m { () => { use ipmi_proto::{CompletionCode}; } }",
        "macro_rules! m { () => { use ipmi_proto::*; } }",
        "macro_rules! m { () => { pub(crate) extern crate ipmi_proto as p; use p::*; } }",
        "#[serde(with = \"ipmi_proto::CompletionCode\")] struct S;",
        "#[from(ipmi_proto::CompletionCode)] struct S;",
    ];
    for module in ["model", "model::sel"] {
        for form in forms {
            assert!(!refused(module, form).is_empty(), "{module}: {form}");
        }
    }
    let reexported = [
        ("model", "pub use ipmi_proto as proto; pub mod inner { pub use ipmi_proto as proto; }"),
        ("model::sel", "use crate::model::proto::*;"),
        ("model::sdr", "use super::inner::proto::*;"),
        ("model::fru", "use super::*; use proto::*;"),
    ];
    assert_eq!(refused_in(&reexported), ["ipmi_proto"; 3]);
}

/// A module that may use a room cannot hand on what is private to it.
#[test]
fn reexports_are_followed() {
    let private = [
        ("commands::sensor", "pub use crate::platform as machine;"),
        ("commands::sensor::reading", "use super::machine::dbus::DbusPlatform;"),
    ];
    assert_eq!(refused_in(&private), ["platform::dbus::DbusPlatform"]);
    let values = [
        ("platform", "pub use openbmc_dbus::state::host::Transition;"),
        ("commands::chassis", "use crate::platform::Transition; fn f() { Transition::off() }"),
    ];
    assert_eq!(refused_in(&values), [""; 0]);
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
    let code = "use ipmi_proto::CompletionCode; fn f() -> ipmi_proto::CompletionCode { todo!() }";
    for module in ["commands::chassis", "request::dispatch", "platform", "background::attention"] {
        assert_eq!(refused(module, code), [""; 0], "{module}");
    }
    let forms = [
        "use ipmi_proto::sel::*; use ipmi_proto::{ChannelNumber, IdString}; use super::StoreError;",
        "/// As [`ipmi_proto::CompletionCode`].\nfn f() -> ipmi_proto::Lun { todo!() }",
        "#[cfg(test)] mod tests { use ipmi_proto::CompletionCode; }",
    ];
    for form in forms {
        assert_eq!(refused("model::sel", form), [""; 0], "{form}");
    }
    assert!(refused("model::sel", "use crate::platform::Power;") == ["platform::Power"]);
    assert!(refused("background::attention", "use crate::commands::app;") == ["commands::app"]);
    assert!(refused("platform::power", "use zbus::Connection;") == ["zbus::Connection"]);
}
