//! The systemd units: one per daemon, each valid, hardened and calling a binary that exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The exposure, in tenths, that `systemd-analyze security` may find (10.0 is a plain root service).
const MOST_EXPOSED: u32 = 20;

fn units() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let mut units = Vec::new();
    for entry in fs::read_dir(folder).expect("the units") {
        let path = entry.expect("a unit").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        if name.ends_with(".service") {
            units.push((name, fs::read_to_string(&path).expect("a text file")));
        }
    }
    units
}

/// The values that a unit gives to a key.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(found, _)| *found == key).map(|(_, value)| value).collect()
}

/// The daemons that the binary can be.
fn daemons() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_causeway")).output().expect("the binary");
    assert_eq!(output.status.code(), Some(2));
    let usage = String::from_utf8(output.stderr).expect("UTF-8");
    let (_, names) = usage.split_once("one of ").expect("a list of names");
    names.trim_end_matches(['.', '\n']).split(", ").map(str::to_owned).collect()
}

/// A copy of the units that calls our binary by a path which exists.
fn installed() -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut paths = Vec::new();
    for (name, text) in units() {
        let text = text.replace("/usr/bin/", &format!("{}/", folder.path().display()));
        let path = folder.path().join(name.replace('@', "@eth0"));
        fs::write(folder.path().join(&name), &text).expect("a copy");
        paths.push(path);
    }
    for daemon in daemons() {
        let link = folder.path().join(daemon);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_causeway"), link).expect("a link");
    }
    (folder, paths)
}

fn have_systemd() -> bool {
    let found = Command::new("systemd-analyze").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: systemd-analyze is missing");
    }
    found
}

#[test]
fn every_daemon_has_one_unit_of_its_own_user() {
    let users = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/causeway.sysusers"),
    )
    .expect("the users");
    let mut seen = BTreeSet::new();
    for (name, text) in units() {
        let [command] = values(&text, "ExecStart")[..] else { panic!("{name}: one ExecStart") };
        let program = command.split(' ').next().and_then(|path| path.strip_prefix("/usr/bin/"));
        let program = program.unwrap_or_else(|| panic!("{name}: {command}")).to_owned();
        assert!(name.starts_with(&program), "{name} starts {program}");
        assert!(seen.insert(program), "{name}: second unit");
        let [user] = values(&text, "User")[..] else { panic!("{name}: one User") };
        assert!(users.contains(&format!("\nu {user} ")), "{name}: {user} is not in sysusers");
        assert_eq!(values(&text, "Type"), ["notify"], "{name}");
        assert_eq!(values(&text, "ExecReload"), ["kill -HUP $MAINPID"], "{name}");
        assert_eq!(values(&text, "Restart"), ["always"], "{name}");
    }
    let missing: Vec<_> = daemons().difference(&seen).cloned().collect();
    assert_eq!(missing, [""; 0], "daemons without a unit");
}

/// The bridges, whose units wait for a device.
const DEVICES: [(&str, &str); 4] = [
    ("kcsbridged@.service", "ipmi-kcs3"),
    ("btbridged@.service", "ipmi-bt-host"),
    ("ssifbridged@.service", "ipmi-ssif-host"),
    ("ipmbbridged@.service", "ipmb-3"),
];

#[test]
fn a_unit_is_given_up_on_for_a_wrong_configuration_only() {
    for (name, text) in units() {
        assert_eq!(values(&text, "StartLimitIntervalSec"), ["0"], "{name}");
        assert_eq!(values(&text, "RestartPreventExitStatus"), ["2"], "{name}");
        assert_eq!(values(&text, "RestartSec"), ["1"], "{name}");
        // A start limit is the unit's, not the service's: systemd would ignore it there.
        let (unit, service) = text.split_once("[Service]").expect("a service");
        assert!(
            unit.contains("StartLimitIntervalSec") && !service.contains("StartLimit"),
            "{name}"
        );
        // A folder that is not there does not keep a daemon from starting.
        for path in values(&text, "ReadWritePaths") {
            assert!(path.starts_with('-'), "{name}: {path}");
        }
    }
}

#[test]
fn an_enabled_bridge_is_started_with_its_device() {
    let rules = read("../udev/70-causeway.rules");
    for (name, device) in DEVICES {
        let text = read(&format!("../systemd/{name}"));
        let after = values(&text, "After").join(" ");
        assert!(after.split(' ').any(|unit| unit == "dev-%i.device"), "{name}");
        let [wanted] = values(&text, "WantedBy")[..] else { panic!("{name}: one WantedBy") };
        assert_eq!(wanted, "multi-user.target dev-%i.device", "{name}");
        // As systemd reads `dev-%i.device`: each - of the instance separates two folders.
        let digits = device.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let path = format!("/dev/{}", device.replace('-', "/"));
        let user = name.split('@').next().expect("a name");
        let rule = rules.lines().find(|rule| rule.contains(&format!("GROUP=\"{user}\"")));
        let rule = rule.unwrap_or_else(|| panic!("no rule for {user}"));
        let alias = format!("ENV{{SYSTEMD_ALIAS}}+=\"{}%n\"", path.trim_end_matches(digits));
        assert!(rule.contains("TAG+=\"systemd\"") && rule.ends_with(&alias), "{rule}: {alias}");
    }
    let text = read("../systemd/netipmid@.service");
    assert!(values(&text, "After").join(" ").contains("sys-subsystem-net-devices-%i.device"));
}

/// The channels of the installed configuration are what the units serve under their documented instances.
#[test]
fn installed_channels_fit_the_instances() {
    let installed = read("../config/installed.toml");
    let channels = values_of(&installed, "name");
    let recipe = read("../yocto/causeway_git.bb");
    let manual = read("../README.md");
    let instance = manual.split("netipmid@").nth(1).expect("an instance");
    let interface = instance.split(['.', ' ', '\n', '"']).next().expect("a name");
    assert!(channels.contains(&interface), "{interface} is not among {channels:?}");
    assert!(recipe.contains(&format!("CAUSEWAY_LAN ?= \"{interface}\"")), "the recipe's instance");
    for (name, device) in DEVICES {
        assert!(recipe.contains(&format!(" ?= \"{device}\"")), "the recipe's instance of {name}");
        let channel =
            if name.starts_with("ipmb") { "Ipmb".into() } else { device.replace('-', "_") };
        assert!(channels.contains(&channel.as_str()), "{channel} is not among {channels:?}");
    }
    assert!(
        recipe.contains("packaging/config/installed.toml ${D}${sysconfdir}/causeway/causeway.toml")
    );
    let package = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let package = package.expect("the manifest");
    assert!(package.contains("[\"../config/installed.toml\", \"etc/causeway/causeway.toml\", "));
}

/// The values that a TOML file gives to a key.
fn values_of<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(" = "));
    lines.filter(|(found, _)| *found == key).map(|(_, value)| value.trim_matches('"')).collect()
}

/// A file of this folder.
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn only_netipmid_starts_with_a_capability() {
    for (name, text) in units() {
        let [bounding] = values(&text, "CapabilityBoundingSet")[..] else { panic!("{name}") };
        let ambient = values(&text, "AmbientCapabilities");
        if name == "netipmid@.service" {
            assert_eq!(
                (bounding, &ambient[..]),
                ("CAP_NET_BIND_SERVICE", &["CAP_NET_BIND_SERVICE"][..])
            );
        } else {
            assert_eq!((bounding, &ambient[..]), ("", &[][..]), "{name}");
        }
    }
}

#[test]
fn units_are_valid() {
    if !have_systemd() {
        return;
    }
    let (_folder, paths) = installed();
    let built = daemons();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if !built.iter().any(|daemon| name.starts_with(daemon.as_str())) {
            continue;
        }
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&path)
            .output()
            .expect("systemd-analyze");
        let output_text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && output_text.trim().is_empty(), "{name}: {output_text}");
    }
}

#[test]
fn units_are_hardened() {
    if !have_systemd() {
        return;
    }
    let (folder, _) = installed();
    for (name, _) in units() {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(format!("--threshold={MOST_EXPOSED}"))
            .arg(folder.path().join(&name))
            .output()
            .expect("systemd-analyze");
        let output_text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{name}: {}",
            output_text.lines().last().unwrap_or_default()
        );
    }
}

/// `netipmid` drops its capability by capset(2), which the filter of privileged calls refuses.
#[test]
fn netipmids_filter_allows_it_to_drop_its_capability() {
    let units = units();
    let (_, text) = units.iter().find(|(name, _)| name == "netipmid@.service").expect("the unit");
    let filters = values(text, "SystemCallFilter");
    let last = |call: &str| filters.iter().rposition(|filter| filter.contains(call));
    assert!(last("~@privileged") < last("capset"), "{filters:?}");
}

#[test]
fn recipe_and_package_know_every_daemon_and_user() {
    let recipe = read("../yocto/causeway_git.bb");
    let words: BTreeSet<&str> = recipe.split([' ', ';', '"', '\n']).collect();
    let users = read("../systemd/causeway.sysusers");
    for line in users.lines().filter(|line| line.starts_with(['u', 'g'])) {
        let name = line.split_whitespace().nth(1).expect("a name");
        assert!(words.contains(name), "the recipe does not make {name}");
    }
    for daemon in daemons() {
        assert!(
            words.contains(daemon.as_str()) || recipe.contains(&format!("'{daemon}'")),
            "the recipe does not install {daemon}"
        );
        let link = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deb/links").join(&daemon);
        let target = fs::read_link(&link).unwrap_or_else(|error| panic!("{daemon}: {error}"));
        assert_eq!(target, Path::new("causeway"), "{daemon}");
    }
}

/// The version of the Debian package is the workspace's, and its first entry is of that version.
#[test]
fn changelog_of_the_package_has_this_version() {
    let changelog = read("../deb/changelog");
    let first = format!("causeway ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(changelog.starts_with(&first), "{changelog}");
}
