//! Which keys a reload applies: every key of a daemon's types is in its list, and the guide has the same.
//!
//! `CAUSEWAY_WRITE_DOCS=1 cargo test -p causeway --test reload` writes the guide's table anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use daemon::reload::Keys;
use daemon::schema::{Key, Kind, keys as keys_of};

const GUIDE: &str = "../../docs/reload.md";
const BEGIN: &str = "<!-- keys: begin -->\n";
const END: &str = "<!-- keys: end -->";

/// The daemons, with their lists and the keys of their types.
fn daemons() -> Vec<(&'static str, Keys, Vec<Key>)> {
    vec![
        ("ipmid", ipmid::config::KEYS, keys_of::<ipmid::config::Config>()),
        ("netipmid", netipmid::KEYS, keys_of::<netipmid::config::Config>()),
        (
            "kcsbridged, btbridged, ssifbridged",
            host_link::config::KEYS,
            keys_of::<host_link::config::Config>(),
        ),
        ("ipmbbridged", ipmbbridged::KEYS, keys_of::<ipmbbridged::config::Config>()),
        ("mctp-demuxd", mctp_demuxd::config::KEYS, keys_of::<mctp_demuxd::config::Config>()),
        ("platformd", platformd::config::KEYS, keys_of::<platformd::config::Platform>()),
    ]
}

/// The keys of which each has a value: neither tables nor what is inside of lists.
fn leaves(keys: &[Key]) -> BTreeSet<&str> {
    let is_leaf = |key: &&Key| !key.path.contains("[]") && !matches!(key.kind, Kind::Table(_));
    keys.iter().filter(is_leaf).map(|key| key.path.as_str()).collect()
}

#[test]
fn every_key_is_live_or_needs_a_restart() {
    for (daemon, listed, keys) in daemons() {
        let Keys { live, restart, others } = listed;
        let all: Vec<&str> = live.iter().chain(restart).chain(others).copied().collect();
        let once: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(once.len(), all.len(), "{daemon}: a key is listed twice");
        let read = leaves(&keys);
        let missing: Vec<_> = read.difference(&once).collect();
        assert!(missing.is_empty(), "{daemon}: not listed: {missing:?}");
        let made_up: Vec<_> = once.difference(&read).collect();
        assert!(made_up.is_empty(), "{daemon}: no keys of it: {made_up:?}");
    }
}

/// The guide's table.
fn table() -> String {
    let mut table = "| daemon | live | needs a restart |\n|---|---|---|\n\
                     | all | `log.level` | |\n"
        .to_owned();
    for (daemon, keys, _) in daemons() {
        let list = |keys: &[&str]| {
            let mut keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
            keys.sort();
            keys.join(" ")
        };
        let (live, restart) = (list(keys.live), list(keys.restart));
        table.push_str(&format!("| {daemon} | {live} | {restart} |\n"));
    }
    table
}

#[test]
fn the_guide_has_the_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GUIDE);
    let guide = fs::read_to_string(&path).expect("the guide");
    let (head, rest) = guide.split_once(BEGIN).expect("a table");
    let (written, tail) = rest.split_once(END).expect("a table");
    if std::env::var_os("CAUSEWAY_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{head}{BEGIN}{}{END}{tail}", table())).expect("the guide");
        return;
    }
    let remedy = "CAUSEWAY_WRITE_DOCS=1 cargo test -p causeway --test reload";
    assert_eq!(written, table(), "{remedy}");
}
