//! A BMC of a user that the user database does not have, such as that of a container that runs as an arbitrary user.
//!
//! It needs root, to become such a user.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use nix::unistd::geteuid;
use tempfile::TempDir;
use tests::bus::LAUNCHER;
use tests::clients::{Login, PASSWORD, USER};
use tests::process::Process;
use tests::suite::free_address;
use tests::{programs, wait};

/// No user of a Debian has this number.
const STRANGER: u32 = 612_345;

/// A folder of the user's; `None`, with a line that says so, if this process cannot become that user.
fn folder() -> Option<TempDir> {
    if !geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    let dir = tempfile::tempdir().expect("a folder");
    chown(dir.path(), Some(STRANGER), Some(STRANGER)).expect("another owner");
    let user = format!("name = \"{USER}\"\npassword = \"{PASSWORD}\"\n");
    let configuration = format!("[sol]\nconsole = \"none\"\n[access.initial-user]\n{user}");
    fs::write(dir.path().join("causeway.toml"), configuration).expect("the configuration");
    fs::write(dir.path().join("platform.toml"), "[chassis]\npower-on-ms = 50\n")
        .expect("a platform");
    Some(dir)
}

/// Starts a program as the user, which finds the bus in `dir`.
fn start(dir: &Path, name: &str, program: &Path, own: &[&str]) -> Process {
    let user = STRANGER.to_string();
    let mut words = vec!["--reuid", &user, "--regid", &user, "--clear-groups"];
    let program = program.display().to_string();
    // Another user's process loses the signal that it inherits.
    words.extend(["--pdeathsig", "KILL", "--", &program]);
    words.extend(own);
    let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
    let bus = format!("unix:path={}", dir.join("bus").display());
    Process::start(name, dir, Path::new("setpriv"), &words, &[("DBUS_SYSTEM_BUS_ADDRESS", bus)])
}

fn daemon(dir: &Path, name: &str, own: &[&str]) -> Process {
    let file = |name: &str| dir.join(name).display().to_string();
    let (configuration, state) = (file("causeway.toml"), file("state"));
    let common = ["--config", &configuration, "--state-dir", &state];
    start(dir, name, &programs::program(name), &[&common, own].concat())
}

fn until_bus(dir: &Path) {
    wait::until_true("there is a bus", || dir.join("bus").exists());
}

#[test]
fn a_user_without_an_entry_has_a_bmc() {
    let Some(dir) = folder() else { return };
    let dir = dir.path();
    let address: SocketAddr = free_address();
    let folder = dir.display().to_string();
    let bus = start(dir, "bus", Path::new(LAUNCHER), &[&folder]);
    until_bus(dir);
    let mode = fs::metadata(dir).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{}", bus.log());
    let platform = dir.join("platform.toml").display().to_string();
    let _platformd = daemon(dir, "platformd", &["--platform", &platform]);
    let ipmid = daemon(dir, "ipmid", &[]);
    let netipmid = daemon(dir, "netipmid", &["--listen", &address.to_string()]);
    let login = Login::administrator(address, dir);
    wait::until_true("there is a BMC", || login.ipmitool("mc info").code == Some(0));
    // A change goes from netipmid to ipmid to platformd, each of which checks who sends it.
    login.ipmitool("chassis power on").ok();
    wait::until_true("the host is on", || {
        login.ipmitool("chassis power status").ok().contains("is on")
    });
    for process in [&ipmid, &netipmid] {
        assert!(!process.log().contains("cannot connect"), "{}", process.log());
    }
}

#[test]
fn a_bus_that_refuses_the_user_is_explained() {
    let Some(dir) = folder() else { return };
    let dir = dir.path();
    let configuration = format!(
        "<busconfig><type>system</type><listen>unix:path={}/bus</listen><auth>EXTERNAL</auth>\
         <policy context='default'><allow user='*'/><allow own='*'/></policy></busconfig>",
        dir.display()
    );
    fs::write(dir.join("bus.conf"), configuration).expect("the bus configuration");
    let file = format!("--config-file={}/bus.conf", dir.display());
    let _bus = start(dir, "bus", Path::new("dbus-daemon"), &[&file, "--nofork", "--nopidfile"]);
    until_bus(dir);
    let netipmid = daemon(dir, "netipmid", &["--listen", &free_address().to_string()]);
    wait::until_true("the log says why", || {
        netipmid.log().contains(&format!("uid {STRANGER}, has no entry in the user database"))
    });
    assert!(netipmid.log().contains("causeway-bus"), "{}", netipmid.log());
}
