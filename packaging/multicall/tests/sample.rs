//! The sample configuration: taken by every daemon, as it is and with every setting in force.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use daemon::schema::{Key, Kind, keys as keys_of};
use daemon::{ConfigFile, Validate};

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

/// A setting of the sample, in force or not.
struct Setting {
    /// Its key from the file's top, as `i2c.allow.bus`.
    key: String,
    /// The words above it.
    words: String,
}

/// All settings of the sample, examples included, each with the paragraph that explains it.
fn settings(sample: &str) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let (mut section, mut words) = (String::new(), String::new());
    let mut ended = false;
    for line in sample.lines() {
        let text = line.trim_start_matches(['#', ' ']);
        let head = text.trim_matches(['[', ']']);
        if text.starts_with('[') && line.ends_with(']') && !head.contains([' ', '=']) {
            section = format!("{head}.");
            ended = true;
        } else if let Some((key, _)) = text.split_once(" = ").filter(|(key, _)| is_key(key)) {
            settings.push(Setting { key: format!("{section}{key}"), words: words.clone() });
            ended = true;
        } else if line.starts_with('#') && !text.is_empty() {
            if std::mem::take(&mut ended) {
                words.clear();
            }
            words.push_str(text);
            words.push(' ');
        }
    }
    settings
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"-15".contains(&byte))
}

/// All keys of all daemons, read off their types; of lists without their elements.
fn keys() -> Vec<Key> {
    let all = [
        keys_of::<daemon::LogConfig>(),
        keys_of::<ipmid::config::Config>(),
        keys_of::<netipmid::config::Config>(),
        keys_of::<host_link::config::Config>(),
        keys_of::<ipmbbridged::config::Config>(),
        keys_of::<mctp_demuxd::config::Config>(),
    ]
    .concat();
    let is_table =
        |path: &str| all.iter().any(|key| key.path == path && matches!(key.kind, Kind::Table(_)));
    let is_setting = |key: &&Key| {
        let inside = format!("{}[]", key.path);
        !key.path.ends_with("[]") && !is_table(&key.path) && !is_table(&inside)
    };
    let settings = all.iter().filter(is_setting).cloned();
    settings.map(|key| Key { path: key.path.replace("[]", ""), ..key }).collect()
}

#[test]
fn the_sample_has_every_key_and_no_other() {
    let sample = sample();
    let explained: BTreeSet<String> = settings(&sample).into_iter().map(|it| it.key).collect();
    let read: BTreeSet<String> = keys().into_iter().map(|key| key.path).collect();
    let missing: Vec<_> = read.difference(&explained).collect();
    assert!(missing.is_empty(), "not in the sample: {missing:?}");
    let made_up: Vec<_> = explained.difference(&read).collect();
    assert!(made_up.is_empty(), "in the sample, and read by no daemon: {made_up:?}");
}

#[test]
fn every_section_is_read_by_a_daemon() {
    let read: BTreeSet<String> = keys()
        .into_iter()
        .filter_map(|key| key.path.split('.').next().map(str::to_owned))
        .collect();
    let known: BTreeSet<String> = daemon::SECTIONS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(read, known);
}

/// Numbers whose type is not a plain range, and how the sample explains them.
const GAPS: [(&str, &str); 2] =
    [("channel.number", "0 to 11, and 15"), ("access.user-ids", "1 to 63")];

#[test]
fn the_sample_has_the_range_of_every_number() {
    let settings = settings(&sample());
    for key in keys().iter().filter(|key| matches!(key.kind, Kind::Integer(_))) {
        let gap = GAPS.iter().find(|(path, _)| *path == key.path);
        let (least, most) = key.kind.range().unwrap_or_else(|| panic!("{key:?} has no range"));
        let range =
            gap.map_or_else(|| format!("{least} to {most}"), |(_, text)| (*text).to_owned());
        let setting =
            settings.iter().find(|setting| setting.key == key.path).expect("in the sample");
        assert!(
            setting.words.contains(&range),
            "{}: no {range:?} in {:?}",
            key.path,
            setting.words
        );
    }
}

/// Reads `text` as a daemon does, and returns all that it has read.
fn read<T: serde::de::DeserializeOwned + Default + Validate + Debug>(text: &str) -> String {
    let file = ConfigFile::from_text("causeway.toml", text.to_owned());
    let config = file.and_then(|file| file.config::<T>()).map_err(|failure| failure.to_string());
    format!("{:#?}", config.expect("a valid sample"))
}

#[test]
fn the_values_of_the_sample_are_the_built_in_ones() {
    let sample = sample();
    let all = all_in_force(&sample);
    let compared = [
        (read::<daemon::LogConfig>(""), read::<daemon::LogConfig>(&all)),
        (read::<ipmid::config::Config>(""), read::<ipmid::config::Config>(&all)),
        (read::<netipmid::config::Config>(""), read::<netipmid::config::Config>(&all)),
        (read::<host_link::config::Config>(""), read::<host_link::config::Config>(&all)),
        (read::<ipmbbridged::config::Config>(""), read::<ipmbbridged::config::Config>(&all)),
        (read::<mctp_demuxd::config::Config>(""), read::<mctp_demuxd::config::Config>(&all)),
    ];
    for (built_in, shown) in compared {
        assert_eq!(built_in, shown);
    }
}

/// The sample with its examples in force as well.
fn with_examples(sample: &str) -> String {
    let lines = sample.lines().map(|line| {
        let text = line.trim_start_matches(['#', ' ']);
        let is_head = text.starts_with('[') && line.ends_with(']') && !text.contains(" = ");
        let is_setting = text.split_once(" = ").is_some_and(|(key, _)| is_key(key));
        if is_head || is_setting { text } else { "" }
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    // Not every machine has the users of the example.
    text.replace("callers = ", "callers = [] #")
}

#[test]
fn the_examples_of_the_sample_are_valid() {
    let text = with_examples(&sample());
    read::<ipmid::config::Config>(&text);
    read::<netipmid::config::Config>(&text);
    read::<host_link::config::Config>(&text);
    read::<ipmbbridged::config::Config>(&text);
    read::<mctp_demuxd::config::Config>(&text);
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
