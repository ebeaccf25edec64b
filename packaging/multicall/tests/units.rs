//! The systemd units: one per daemon, each valid, hardened and calling what there is.

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
        assert_eq!(values(&text, "Restart"), ["always"], "{name}");
    }
    let missing: Vec<_> = daemons().difference(&seen).cloned().collect();
    assert_eq!(missing, [""; 0], "daemons without a unit");
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
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.trim().is_empty(), "{name}: {told}");
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
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {}", told.lines().last().unwrap_or_default());
    }
}

/// `netipmid` gives up its capability by capset(2), which the filter of privileged calls refuses.
#[test]
fn a_daemon_that_drops_its_capability_may_do_so() {
    let units = units();
    let (_, text) = units.iter().find(|(name, _)| name == "netipmid@.service").expect("the unit");
    let filters = values(text, "SystemCallFilter");
    let last = |call: &str| filters.iter().rposition(|filter| filter.contains(call));
    assert!(last("~@privileged") < last("capset"), "{filters:?}");
}

#[test]
fn recipe_and_package_know_every_daemon_and_user() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
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
