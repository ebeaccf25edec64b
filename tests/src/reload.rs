//! Reloads of the configuration of a suite's daemons.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::Process;
use crate::suite::{self, Suite};
use crate::{ctl, wait};

/// What a daemon logs of a reload, unless it has logged too many.
pub const RELOADED: &str = "configuration reloaded";

const PATH: &str = "/org/causeway/Daemon";
const INTERFACE: &str = "org.causeway.Daemon";

/// Configurations that are wrong, by the line after the suite's own where the mistake is. Each is one that `ipmid`, or
/// else `netipmid`, reads.
pub const WRONG: [(&str, &str, usize); 20] = [
    ("ipmid", "[lna]", 1),
    ("ipmid", "[lan]\nsessions = 0", 2),
    ("ipmid", "[lan]\n\nsessions = 63", 3),
    ("ipmid", "[lan]\ncipher-suites = [17, 0]", 2),
    ("ipmid", "[lan]\ncipher-suites = []", 2),
    ("ipmid", "[lan]\ncipher-suites = [\n17,\n17]", 4),
    ("ipmid", "[lan]\nipmi-15 = [\"md4\"]", 2),
    ("ipmid", "[lan]\nidle-timeout = \"long\"", 2),
    ("ipmid", "[lan]\nbound-to-address = 1", 2),
    ("ipmid", "[lan]\nsession = 1", 2),
    ("ipmid", "[lan", 1),
    ("ipmid", "[log]\nlevel = \"loud\"", 2),
    ("ipmid", "[sel]\n\ncapacity = 65534", 3),
    ("ipmid", "[pef]\ntrap-port = 0", 2),
    ("ipmid", "[ipmid]\ncallers = [\"nobody-has-this-name\"]", 2),
    ("ipmid", "[[i2c.allow]]\nbus = 3\naddress = 0x50\nwrite = [0]\nmask = [1, 2]", 5),
    (
        "ipmid",
        "[[channel]]\nnumber = 12\nname = \"x\"\nmedium = \"lan\"\nprotocol = \"ipmb-1.0\"",
        2,
    ),
    ("netipmid", "[sol]\nviewers = 4", 2),
    ("netipmid", "[sol]\nscrollback = 65537", 2),
    (
        "netipmid",
        "[[channel]]\nnumber = 2\nname = \"other\"\nmedium = \"lan\"\nprotocol = \"ipmb-1.0\"\n\
         sessions = \"multi-session\"",
        1,
    ),
];

/// Replaces a file at once, as an editor does: no daemon reads half of it.
///
/// # Panics
///
/// If it cannot be written.
pub fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("a file");
    fs::rename(&new, path).expect("a file");
}

/// Replaces the suite's `causeway.toml` by its usual one with `lines` at its end.
pub fn configure(suite: &Suite, lines: &str) {
    let dir = suite.dir().display().to_string();
    let text = format!("{}\n{lines}", suite::CONFIGURATION).replace("{dir}", &dir);
    replace(&suite.dir().join("causeway.toml"), &text);
}

/// Replaces the suite's `causeway.toml` by one that is wrong; returns where the mistake is, as the daemons write it.
#[must_use]
pub fn misconfigure(suite: &Suite, text: &str, line: usize) -> String {
    let file = suite.dir().join("causeway.toml");
    // For a daemon that does not read what is wrong, the console is where it was.
    let first = match text.contains("[sol]") {
        true => String::new(),
        false => format!("sol.console = \"unix:{}/console\"", suite.dir().display()),
    };
    replace(&file, &format!("{first}\n{text}\n"));
    format!("{}:{}: ", file.display(), line + 1)
}

/// Sends SIGHUP, and waits until the daemon has reloaded once more.
///
/// # Panics
///
/// If it does not.
#[track_caller]
pub fn hang_up(process: &mut Process) {
    let count = |process: &Process| process.log().matches(RELOADED).count();
    let before = count(process);
    process.signal(Signal::SIGHUP);
    wait::until_true("it has reloaded", || count(process) > before);
}

/// `config reload`'s answer for one daemon.
#[must_use]
pub fn reloaded(suite: &Suite, daemon: &str) -> Value {
    let output = ctl::on(&suite.bus, &format!("--json config reload {daemon}"));
    ctl::json_of(&output, "config")[0].clone()
}

/// All that is in force.
#[must_use]
pub fn in_force(suite: &Suite) -> Value {
    ctl::json_on(&suite.bus, "config show")
}

/// The value in force of a key of a daemon.
#[must_use]
pub fn value_in_force(suite: &Suite, daemon: &str, key: &str) -> Option<String> {
    let settings = ctl::json_on(&suite.bus, &format!("config show {daemon}"));
    let setting = settings.as_array()?.iter().find(|setting| setting["key"] == key)?;
    setting["value"].as_str().map(str::to_owned)
}

/// Why a daemon's last reload was refused; empty if it was not.
#[must_use]
pub fn refusal(suite: &Suite, daemon: &str) -> String {
    let channel = if daemon == "netipmid" { ".lan0" } else { "" };
    let name = format!("org.causeway.Daemon.{daemon}{channel}");
    let property = ["get-property", &name, PATH, INTERFACE, "ConfigurationError"];
    let output = suite.bus.busctl(&property);
    let value: Value = serde_json::from_str(output.ok()).expect("JSON of busctl");
    value["data"].as_str().expect("a text").to_owned()
}
