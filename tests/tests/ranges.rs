//! The daemons work with the smallest and the largest numbers that the configuration allows.

use tests::suite::Suite;

/// Where the suite's host has its console.
const CONSOLE: &str = "console = \"unix:{dir}/console\"";

/// A platform with nothing but its defaults.
const PLATFORM: &str = "";

#[track_caller]
fn serves(lan: &str, sol: &str) {
    let configuration = format!("[lan]\n{lan}\n[sol]\n{CONSOLE}\n{sol}\n");
    let suite = Suite::configured(&configuration, PLATFORM);
    let login = suite.administrator();
    login.ipmitool("mc info").ok();
    login.ipmitool("chassis status").ok();
    login.ipmitool("sol info").ok();
}

#[test]
fn largest_configured_numbers_work() {
    serves(
        "sessions = 62\nhandshakes = 4096\nrequests-per-session = 64\npackets-per-second = 1000000\n\
         failed-logins-per-minute = 60000\nidle-timeout = 86400\nsetup-timeout = 300",
        "ring = 16777216\nscrollback = 16777216\nviewers = 3\nmax-payload = 259",
    );
}

/// Rates are higher than their least, with which clients would take minutes.
#[test]
fn smallest_configured_numbers_work() {
    serves(
        "sessions = 1\nhandshakes = 1\nrequests-per-session = 1\nidle-timeout = 5\nsetup-timeout = 5",
        "ring = 1024\nscrollback = 0\nviewers = 0\nmax-payload = 16",
    );
}
