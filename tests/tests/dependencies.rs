//! The shape of the workspace, checked over `cargo metadata`: who may depend on whom, who may hold
//! `unsafe`, and that every member follows the one lint table (ARCHITECTURE.md, "Dependency rules").

use std::collections::BTreeMap;
use std::fs;

use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// What a crate may use of ours, by name. A crate that is not listed follows its folder's rule.
const BY_NAME: [(&str, &[&str]); 11] = [
    ("ipmi-proto", &[]),
    ("mctp-proto", &[]),
    ("sys", &[]),
    ("report", &[]),
    ("durable", &[]),
    ("rmcp-proto", &["ipmi-proto"]),
    ("openbmc-dbus", &["ipmi-proto", "sys", "daemon"]),
    ("accounts", &["ipmi-proto", "durable"]),
    ("daemon", &["sys"]),
    ("sections", &["daemon", "ipmi-proto", "rmcp-proto"]),
    ("host-link", &["ipmi-proto", "openbmc-dbus", "daemon"]),
];

/// The crates that parse and build bytes and do nothing else.
const SANS_IO: [&str; 3] = ["ipmi-proto", "mctp-proto", "rmcp-proto"];

/// Crates whose presence in a sans-IO crate means a runtime, a bus, a socket, a file, a clock or a
/// random source.
const IO_CRATES: [&str; 14] = [
    "async-io",
    "getrandom",
    "i2cdev",
    "inotify",
    "libc",
    "nix",
    "rand",
    "rustix",
    "sd-notify",
    "socket2",
    "tempfile",
    "tokio",
    "tokio-seqpacket",
    "zbus",
];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata")
}

/// The package's folder relative to the workspace root.
fn folder(metadata: &Metadata, package: &Package) -> Utf8PathBuf {
    let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
    folder.strip_prefix(&metadata.workspace_root).expect("a member of the workspace").to_owned()
}

/// Our own crates that `package` depends on, of one kind.
fn ours(package: &Package, kind: DependencyKind) -> impl Iterator<Item = &str> {
    package
        .dependencies
        .iter()
        .filter(move |dependency| dependency.kind == kind && dependency.path.is_some())
        .map(|dependency| dependency.name.as_str())
}

/// Why `package`, in `folder`, must not use `other`, in `other_folder`; `None` where it may.
fn refusal(
    package: &str,
    folder: &Utf8Path,
    other: &str,
    other_folder: &Utf8Path,
) -> Option<String> {
    let by_name = BY_NAME.iter().find(|(name, _)| *name == package);
    let allowed = match by_name {
        Some((_, allowed)) => allowed.contains(&other),
        None if folder == "tests" => false,
        // The load generator and the fuzz targets link protocol crates, never a daemon.
        None if folder.starts_with("tests") => SANS_IO.contains(&other),
        // One binary of all daemons, with links by name.
        None if folder == "packaging/multicall" => true,
        None if folder.starts_with("common") => false,
        None => other_folder.starts_with("common"),
    };
    (!allowed).then(|| format!("{folder} ({package}) must not depend on {other_folder} ({other})"))
}

#[test]
fn dependencies_point_in_one_direction() {
    let metadata = metadata();
    let folders: BTreeMap<&str, Utf8PathBuf> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.as_str(), folder(&metadata, package)))
        .collect();
    let mut refused = Vec::new();
    for package in metadata.workspace_packages() {
        let kinds = [DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development];
        for other in kinds.into_iter().flat_map(|kind| ours(package, kind)) {
            let name = package.name.as_str();
            refused.extend(refusal(name, &folders[name], other, &folders[other]));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn every_rule_names_a_crate_that_exists() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    for (name, allowed) in BY_NAME {
        for name in allowed.iter().chain([&name]) {
            assert!(packages.iter().any(|package| package.name == name), "no crate {name}");
        }
    }
}

#[test]
fn protocol_crates_have_no_runtime_bus_socket_or_clock() {
    for package in metadata().workspace_packages() {
        if !SANS_IO.contains(&package.name.as_str()) {
            continue;
        }
        for dependency in &package.dependencies {
            let used = dependency.kind == DependencyKind::Normal;
            let banned = IO_CRATES.contains(&dependency.name.as_str());
            assert!(!(used && banned), "{} must not use {}", package.name, dependency.name);
        }
    }
}

#[test]
fn every_member_follows_the_lint_table() {
    for package in metadata().workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path).expect("a manifest");
        let follows = manifest.contains("[lints]\nworkspace = true");
        assert!(follows, "{} has no `[lints] workspace = true`", package.manifest_path);
    }
}

#[test]
fn every_member_takes_versions_and_paths_from_the_workspace() {
    for package in metadata().workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path).expect("a manifest");
        let mut dependencies = false;
        for line in manifest.lines() {
            match line.strip_prefix('[') {
                Some(section) => dependencies = section.contains("dependencies"),
                None if dependencies && line.contains('=') && !line.starts_with('#') => {
                    let inherited = line.contains("workspace");
                    assert!(inherited, "{}: {line}", package.manifest_path);
                }
                None => {}
            }
        }
    }
}
