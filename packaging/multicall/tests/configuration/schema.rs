//! Every key of the configuration with values of its own type, whatever they are.

use std::fs;
use std::path::Path;

use daemon::schema::{Key, Kind, keys as keys_of};
use toml::{Table, Value};

use super::{Started, ended, with_file};

/// A valid configuration with a value for every key: the sample, its examples in force.
fn base() -> Table {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/causeway.toml");
    let sample = fs::read_to_string(sample).expect("the sample");
    let lines = sample.lines().filter_map(|line| {
        let text = line.trim_start_matches(['#', ' ']);
        let is_head = text.starts_with('[') && line.ends_with(']') && !text.contains(" = ");
        let is_key = |key: &str| !key.is_empty() && !key.contains([' ', '.', ':', '`']);
        let is_setting = text.split_once(" = ").is_some_and(|(key, _)| is_key(key));
        // Not every machine has the users of the example.
        ((is_head || is_setting) && !text.starts_with("callers")).then_some(text)
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    text.parse().expect("the sample with its examples")
}

/// The keys of one daemon.
fn keys(daemon: &str) -> Vec<Key> {
    match daemon {
        "ipmbbridged" => keys_of::<ipmbbridged::config::Config>(),
        "ipmid" => keys_of::<ipmid::config::Config>(),
        "kcsbridged" => {
            [keys_of::<daemon::LogConfig>(), keys_of::<host_link::config::Config>()].concat()
        }
        "mctp-demuxd" => keys_of::<mctp_demuxd::config::Config>(),
        _ => keys_of::<netipmid::config::Config>(),
    }
}

const DAEMONS: [&str; 5] = ["ipmbbridged", "ipmid", "kcsbridged", "mctp-demuxd", "netipmid"];

/// Stands for the value that is tried; no TOML value of the `toml` crate is a number beyond 64 bits.
const TRIED: &str = "@tried@";

/// The base with `literal` at `path`.
fn with(base: &Table, path: &str, literal: &str) -> String {
    let mut table = base.clone();
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut place = &mut table;
    for step in parents.split('.').filter(|step| !step.is_empty()) {
        let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let value = place.get_mut(name).unwrap_or_else(|| panic!("no {name} of {path}"));
        let value = if is_list { &mut value[0] } else { value };
        place = value.as_table_mut().expect("a table");
    }
    let last = last.strip_suffix("[]").map_or((last, false), |name| (name, true));
    let tried = Value::String(TRIED.to_owned());
    let value = if last.1 { Value::Array(vec![tried]) } else { tried };
    place.insert(last.0.to_owned(), value);
    let text = toml::to_string(&table).expect("what was TOML");
    text.replace(&format!("\"{TRIED}\""), literal)
}

/// Numbers at the edges of the range and of all integer types.
fn numbers(kind: &Kind) -> Vec<String> {
    let types = [0, i64::MAX.into(), i64::MIN.into(), u32::MAX.into(), u64::MAX.into()];
    let (least, most) = kind.range().unwrap_or_default();
    let edges = [least - 1, least, most, most + 1];
    let others = [1, -1, 127, 128, 255, 256, 65_535, 65_536];
    let all = types.into_iter().chain(edges).chain(others);
    let fits = |value: &i128| *value >= i64::MIN.into() && *value <= u64::MAX.into();
    all.filter(fits).map(|value: i128| value.to_string()).collect()
}

fn texts() -> Vec<String> {
    let long = "x".repeat(5000);
    let texts = [
        "",
        " ",
        "a",
        "A-b.c",
        "/",
        "//",
        "/a/../b",
        "none",
        "abstract:",
        "unix:",
        "tcp::",
        "é😀",
        "%s",
        "a:b:c",
        "serial:",
        "i2c:/x,address=",
        "kernel:99999999999",
        long.as_str(),
    ];
    let plain = texts.into_iter().map(|text| format!("{text:?}"));
    plain.chain(["\"\\u0000\"".to_owned(), "\"a\\nb\\u001b[2J\"".to_owned()]).collect()
}

/// Values of the key's type as TOML has them.
fn values(kind: &Kind) -> Vec<String> {
    match kind {
        Kind::Bool => vec!["true".to_owned(), "false".to_owned()],
        Kind::Integer(_) => numbers(kind),
        Kind::Float(_) => {
            ["0.0", "-1e300", "1e300", "nan", "inf", "-inf"].map(str::to_owned).into()
        }
        Kind::Text => texts(),
        Kind::Choice(names) => names.iter().map(|name| format!("{name:?}")).collect(),
        Kind::Mixed => [numbers(kind), texts()].concat(),
        Kind::List => vec!["[]".to_owned()],
        Kind::Table(_) => Vec::new(),
    }
}

/// A list of many elements, which each are valid in the base.
fn long_lists(base: &Table, path: &str) -> Vec<String> {
    let mut value = base.get(path.split(['.', '[']).next().unwrap_or_default());
    for step in path.split('.').skip(1) {
        let name = step.trim_end_matches("[]");
        value = value.and_then(|value| value.as_array().map_or(Some(value), |list| list.first()));
        value = value.and_then(|value| value.get(name));
    }
    let first = value.and_then(Value::as_array).and_then(|list| list.first());
    let Some(first) = first.filter(|first| !first.is_table()) else {
        return Vec::new();
    };
    vec![format!("[{first}, {first}]"), format!("[{}]", vec![first.to_string(); 3000].join(", "))]
}

/// Checks that a daemon takes or refuses a configuration as it should, and returns whether it takes it.
#[track_caller]
fn takes(daemon: &str, text: &str, folder: &Path, what: &str) -> bool {
    let file = folder.join("x.toml");
    fs::write(&file, text).expect("a file");
    let output = ended(with_file(daemon, &file, &folder.join("state")).arg("--check"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => {
            assert_eq!(said, "", "{what}");
            true
        }
        Some(2) => {
            assert_eq!(said.lines().count(), 1, "{what}: {said}");
            false
        }
        code => panic!("{what}: {code:?} {said}"),
    }
}

/// Whether any one daemon takes a configuration, and starts with it too.
fn try_all(daemon: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let base = base();
    assert!(takes(daemon, &base.to_string(), folder.path(), "the base"), "{daemon}");
    let mut started = Vec::new();
    for (at, key) in keys(daemon).iter().enumerate() {
        let mut tried = values(&key.kind);
        if key.kind == Kind::List {
            tried.extend(long_lists(&base, &key.path));
        }
        for (nth, literal) in tried.iter().enumerate() {
            let text = with(&base, &key.path, literal);
            let short: String = literal.chars().take(80).collect();
            let what = format!("{daemon}: {} = {short}", key.path);
            if !takes(daemon, &text, folder.path(), &what) {
                continue;
            }
            let own = folder.path().join(format!("{at}-{nth}"));
            fs::create_dir(&own).expect("a folder");
            let file = own.join("causeway.toml");
            fs::write(&file, &text).expect("a file");
            let mut command = with_file(daemon, &file, &own.join("state"));
            // What it waits for is in the log, whatever the level that is tried.
            command.arg("-v");
            if daemon == "mctp-demuxd" {
                // Names of sockets are the machine's.
                command.args(["--socket", &format!("test-{}-{at}-{nth}", std::process::id())]);
            }
            started.push((what, Started::new(command, own.join("log"))));
            if started.len() >= 16 {
                started.drain(..).for_each(|(what, process)| process.runs(&what));
            }
        }
    }
    started.into_iter().for_each(|(what, process)| process.runs(&what));
}

#[test]
fn ipmbbridged_takes_or_refuses_any_value_of_the_right_type() {
    try_all("ipmbbridged");
}

#[test]
fn ipmid_takes_or_refuses_any_value_of_the_right_type() {
    try_all("ipmid");
}

#[test]
fn kcsbridged_takes_or_refuses_any_value_of_the_right_type() {
    try_all("kcsbridged");
}

#[test]
fn mctp_demuxd_takes_or_refuses_any_value_of_the_right_type() {
    try_all("mctp-demuxd");
}

#[test]
fn netipmid_takes_or_refuses_any_value_of_the_right_type() {
    try_all("netipmid");
}

/// An element of a list is of a kind of its own, such as the cipher suites there are.
#[test]
fn every_number_has_edges_to_be_tried_at() {
    for daemon in DAEMONS {
        for key in keys(daemon) {
            if matches!(key.kind, Kind::Integer(_)) && !key.path.ends_with("[]") {
                assert!(key.kind.range().is_some(), "{}", key.path);
            }
        }
    }
}
