//! The daemons of the suite, and arguments with which each starts.

use std::path::Path;

use crate::suite::free_address;

/// Every daemon.
pub const DAEMONS: [&str; 8] = [
    "ipmid",
    "netipmid",
    "kcsbridged",
    "btbridged",
    "ssifbridged",
    "ipmbbridged",
    "mctp-demuxd",
    "platformd",
];

/// Arguments with which a daemon starts without the bus or a device, and waits for them; its state is below `dir`.
/// Each call returns unused addresses and sockets.
#[must_use]
pub fn arguments(daemon: &str, dir: &Path) -> Vec<String> {
    let address = free_address().to_string();
    let socket = format!("causeway-test-{address}");
    let own: &[&str] = match daemon {
        "netipmid" => &["--listen", &address],
        "kcsbridged" | "btbridged" | "ssifbridged" => &["--device", "/nonexistent/device"],
        "ipmbbridged" => &["--channel", "Ipmb", "--device", "/nonexistent/device"],
        "platformd" => &["--platform", concat!(env!("CARGO_MANIFEST_DIR"), "/data/platform.toml")],
        "mctp-demuxd" => &["--eid", "8", "--socket", &socket, "serial:/nonexistent/tty"],
        _ => &[],
    };
    let mut all: Vec<String> = own.iter().map(|&word| word.to_owned()).collect();
    all.extend(["--state-dir".to_owned(), dir.join("state").display().to_string()]);
    all
}
