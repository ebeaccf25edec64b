//! The sample configuration: taken by every daemon, as it is and with every setting in force.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a daemon may take to refuse its configuration.
const STARTED: Duration = Duration::from_millis(400);

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sample() -> String {
    fs::read_to_string(here().join("../config/causeway.toml")).expect("the sample")
}

/// The sample with every line in force that is a setting, as its head says.
fn all_in_force(sample: &str) -> String {
    let lines = sample.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with([' ', '#']) => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The daemons, with what they need beside a configuration.
fn daemons() -> Vec<(&'static str, Vec<PathBuf>)> {
    let device = || vec!["--device".into(), "/nonexistent/device".into()];
    let platform = here().join("../../platformd/examples/demo.toml");
    vec![
        ("btbridged", device()),
        ("ipmbbridged", [device(), vec!["--channel".into(), "Ipmb".into()]].concat()),
        ("ipmid", vec![]),
        ("kcsbridged", device()),
        ("mctp-demuxd", vec!["serial:/nonexistent/line".into()]),
        ("netipmid", vec!["--listen".into(), "127.0.0.1:0".into()]),
        ("platformd", vec!["--platform".into(), platform]),
        ("ssifbridged", device()),
    ]
}

/// Starts a daemon without a bus, and returns what it says if it ends.
fn refusal(daemon: &str, arguments: &[PathBuf], config: &Path, state: &Path) -> Option<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_causeway"))
        .arg(daemon)
        .arg("--config")
        .arg(config)
        .arg("--state-dir")
        .arg(state)
        .args(arguments)
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    std::thread::sleep(STARTED);
    let ended = child.try_wait().expect("our child").is_some();
    let _gone = child.kill();
    let output = child.wait_with_output().expect("our child");
    ended.then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_daemon_takes_the_sample() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sample = sample();
    for (name, text) in [("as-it-is.toml", sample.clone()), ("all.toml", all_in_force(&sample))] {
        let config = folder.path().join(name);
        fs::write(&config, text).expect("a copy");
        for (daemon, arguments) in daemons() {
            let state = folder.path().join(daemon);
            let refusal = refusal(daemon, &arguments, &config, &state);
            assert_eq!(refusal, None, "{daemon} with {name}");
        }
    }
}

#[test]
fn every_section_is_in_the_sample() {
    let text = all_in_force(&sample());
    for section in daemon::SECTIONS {
        let heads = [format!("[{section}]"), format!("[[{section}]]"), format!("{section} =")];
        let there =
            heads.iter().any(|head| text.contains(head)) || text.contains(&format!("[[{section}."));
        assert!(there, "{section}");
    }
}

/// A daemon names all keys of a section when it meets one that is none of them.
#[test]
fn every_key_is_in_the_sample() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("x.toml");
    let sample = sample();
    let sections = [
        ("log", "ipmid"),
        ("access", "ipmid"),
        ("device", "ipmid"),
        ("dcmi", "ipmid"),
        ("i2c", "ipmid"),
        ("ipmid", "ipmid"),
        ("sel", "ipmid"),
        ("lan", "netipmid"),
        ("sol", "netipmid"),
        ("host", "kcsbridged"),
        ("ipmb", "ipmbbridged"),
        ("mctp", "mctp-demuxd"),
        ("mctp.owned", "mctp-demuxd"),
        ("mctp.limits", "mctp-demuxd"),
    ];
    let daemons = daemons();
    for (section, daemon) in sections {
        fs::write(&config, format!("[{section}]\nno-such-key = 1\n")).expect("a file");
        let (_, arguments) = daemons.iter().find(|(name, _)| *name == daemon).expect("a daemon");
        let told = refusal(daemon, arguments, &config, folder.path()).expect("a refusal");
        let (_, keys) = told.split_once("expected ").unwrap_or_else(|| panic!("{section}: {told}"));
        for key in keys.split('`').skip(1).step_by(2) {
            assert!(explains(&sample, key), "[{section}] {key} is not in the sample");
        }
    }
}

/// Whether the sample has a setting, an example or a section of this name.
fn explains(sample: &str, key: &str) -> bool {
    let lines = sample.lines().map(|line| line.trim_start_matches(['#', ' ']));
    let (setting, inside) = (format!("{key} = "), format!(".{key}]"));
    lines.into_iter().any(|line| line.starts_with(&setting) || line.contains(&inside))
}

#[test]
fn a_misspelt_setting_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("misspelt.toml");
    fs::write(&config, "[lan]\nidle-time-out = 60\n").expect("a file");
    let arguments = ["--listen".into(), "127.0.0.1:0".into()];
    let told = refusal("netipmid", &arguments, &config, folder.path()).expect("an end");
    assert!(told.contains("misspelt.toml:2: ") && told.contains("idle-time-out"), "{told}");
}
