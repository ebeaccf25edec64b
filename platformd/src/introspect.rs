//! Descriptions of objects, as `Introspect` gives them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use openbmc_dbus::interface::{Access, Interface};

use crate::fault::Fault;
use crate::mapper::COMMON_INTERFACES;
use crate::services;
use crate::tree::{Object, Tree};

const HEADER: &str = concat!(
    "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n",
    "\"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n",
);

/// Describes the object at `path`, and the names below it, as far as objects are `visible`.
pub(crate) fn describe(
    tree: &Tree,
    path: &str,
    visible: impl Fn(&Object) -> bool,
) -> Result<String, Fault> {
    let root = path.trim_end_matches('/');
    let mut children = BTreeSet::new();
    let mut services = BTreeSet::new();
    for (below, object) in tree.below(path).filter(|(_, object)| visible(object)) {
        let rest = below.get(root.len()..).unwrap_or_default().trim_start_matches('/');
        if let Some(child) = rest.split('/').next().filter(|child| !child.is_empty()) {
            children.insert(child);
        }
        services.insert(object.service);
    }
    let object = tree.object(path).filter(|object| visible(object));
    if object.is_none() && children.is_empty() {
        return Err(Fault::unknown_object(path));
    }
    let mut xml = format!("{HEADER}<node>\n");
    for name in COMMON_INTERFACES {
        let _ = writeln!(xml, "  <interface name=\"{name}\"/>");
    }
    if services.iter().any(|service| services::manager(service) == path) {
        xml.push_str("  <interface name=\"org.freedesktop.DBus.ObjectManager\"/>\n");
    }
    for instance in object.into_iter().flat_map(|object| object.interfaces.values()) {
        describe_interface(&mut xml, instance.interface);
    }
    for child in children {
        let _ = writeln!(xml, "  <node name=\"{child}\"/>");
    }
    xml.push_str("</node>\n");
    Ok(xml)
}

fn describe_interface(xml: &mut String, interface: &Interface) {
    let _ = writeln!(xml, "  <interface name=\"{}\">", interface.name);
    for property in interface.properties {
        let access = match property.access {
            Access::Read => "read",
            Access::ReadWrite => "readwrite",
        };
        let (name, signature) = (property.name, property.signature);
        let _ = writeln!(
            xml,
            "    <property name=\"{name}\" type=\"{signature}\" access=\"{access}\"/>"
        );
    }
    for method in interface.methods {
        let _ = writeln!(xml, "    <method name=\"{}\">", method.name);
        describe_arguments(xml, method.input, " direction=\"in\"");
        describe_arguments(xml, method.output, " direction=\"out\"");
        xml.push_str("    </method>\n");
    }
    for signal in interface.signals {
        let _ = writeln!(xml, "    <signal name=\"{}\">", signal.name);
        describe_arguments(xml, signal.arguments, "");
        xml.push_str("    </signal>\n");
    }
    xml.push_str("  </interface>\n");
}

fn describe_arguments(xml: &mut String, signature: &str, direction: &str) {
    for one in complete_types(signature) {
        let _ = writeln!(xml, "      <arg type=\"{one}\"{direction}/>");
    }
}

/// Splits a signature into its complete types.
pub(crate) fn complete_types(signature: &str) -> Vec<&str> {
    let mut types = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for (at, letter) in signature.char_indices() {
        match letter {
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && letter != 'a' {
            types.extend(signature.get(start..=at));
            start = at + 1;
        }
    }
    types
}

#[cfg(test)]
mod tests {
    use openbmc_dbus::state::watchdog;

    use super::*;
    use crate::tree::Instance;

    #[test]
    fn signatures_split_into_complete_types() {
        assert_eq!(complete_types("sias"), ["s", "i", "as"]);
        assert_eq!(complete_types("a{sa{sas}}b(iaay)"), ["a{sa{sas}}", "b", "(iaay)"]);
        assert_eq!(complete_types(""), [] as [&str; 0]);
    }

    #[test]
    fn an_object_names_its_members_and_children() {
        let mut tree = Tree::default();
        let watchdog = Instance::new(&watchdog::INTERFACE);
        tree.add(watchdog::SERVICE, "/xyz/openbmc_project/watchdog/host0", [watchdog]);
        let xml = describe(&tree, "/xyz/openbmc_project/watchdog/host0", |_| true).unwrap();
        assert!(xml.contains("<property name=\"Interval\" type=\"t\" access=\"readwrite\"/>"));
        assert!(xml.contains("<method name=\"ResetTimeRemaining\">"));
        assert!(xml.contains("<arg type=\"b\" direction=\"in\"/>"));
        let xml = describe(&tree, "/xyz", |_| true).unwrap();
        assert!(xml.contains("<node name=\"openbmc_project\"/>"));
        assert!(describe(&tree, "/xyz", |_| false).is_err());
        assert!(describe(&tree, "/abc", |_| true).is_err());
    }
}
