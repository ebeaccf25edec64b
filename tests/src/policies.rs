//! A system bus with the policies of `packaging/dbus`, and the daemons' users.
//!
//! It needs root, to change to each of the users, and dbus-daemon. The daemons' users need not exist: the
//! copy of the policies that the bus reads has users of a plain system in their place.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{User, geteuid};
use tempfile::TempDir;

use crate::bus::Bus;
use crate::client::{self, Output};
use crate::process::Process;
use crate::programs;

/// The daemons' users and another one, and for each the user of a plain system that replaces it.
pub const USERS: [(&str, &str); 9] = [
    ("ipmid", "daemon"),
    ("netipmid", "bin"),
    ("kcsbridged", "sys"),
    ("btbridged", "man"),
    ("ssifbridged", "lp"),
    ("ipmbbridged", "mail"),
    ("mctp-demuxd", "news"),
    ("platformd", "games"),
    ("nobody", "nobody"),
];

/// The group of operators, and the group of a plain system that replaces it. It is that of [`OPERATOR`].
const OPERATORS: (&str, &str) = ("causeway", "backup");

/// A user who is in the group of operators.
pub const OPERATOR: &str = "backup";

/// The defaults of the system bus, as dbus-daemon's `system.conf` has them.
const DEFAULTS: &str = r#"
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
"#;

/// The folder of the packaged policies.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/dbus")
}

/// The packaged policies: file names and texts.
///
/// # Panics
///
/// If they cannot be read.
#[must_use]
pub fn packaged() -> Vec<(String, String)> {
    let entries = fs::read_dir(folder()).expect("the policies");
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("a policy");
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read_to_string(entry.path()).expect("a text file"))
    };
    entries.map(read).collect()
}

/// The user that stands for one of the daemons' users; others stand for themselves.
#[must_use]
pub fn stand_in(user: &str) -> &str {
    USERS.iter().find(|(name, _)| *name == user).map_or(user, |(_, other)| *other)
}

/// A bus with the packaged policies, and a folder that every user may enter.
#[derive(Debug)]
pub struct PolicyBus {
    /// The bus.
    pub bus: Bus,
    dir: TempDir,
}

impl PolicyBus {
    /// Starts a bus with the packaged policies; `None`, and a line that says so, without root or
    /// dbus-daemon.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with(&packaged())
    }

    /// Starts a bus with these policies.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn with(policies: &[(String, String)]) -> Option<Self> {
        if !geteuid().is_root() || programs::installed("dbus-daemon").is_none() {
            eprintln!("skipped: needs root and dbus-daemon");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("causeway-policies-").tempdir();
        let dir = dir.expect("a folder");
        open_to_all(dir.path());
        let copies = dir.path().join("policies");
        fs::create_dir(&copies).expect("a folder");
        for (name, text) in policies {
            let mut text = text.clone();
            for (user, other) in USERS {
                text = text.replace(&format!("user=\"{user}\""), &format!("user=\"{other}\""));
            }
            let (group, other) = OPERATORS;
            text = text.replace(&format!("group=\"{group}\""), &format!("group=\"{other}\""));
            fs::write(copies.join(name), text).expect("a copy");
        }
        let include = format!("{DEFAULTS}<includedir>{}</includedir>", copies.display());
        let bus = Bus::with_rules(dir.path(), &include);
        Some(Self { bus, dir })
    }

    /// The folder with the daemons' logs and state.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the daemon `name` as its user.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn daemon(&self, name: &str, arguments: &[String]) -> Process {
        let home = self.dir().join(name);
        fs::create_dir_all(&home).expect("a folder");
        let user = user(name);
        chown(&home, Some(user.uid.as_raw()), None).expect("a folder of its own");
        self.process(name, name, &self.reachable(&programs::program(name)), arguments)
    }

    /// Starts `program` as `user`; its log is that of `name`.
    #[must_use]
    pub fn process(&self, name: &str, user: &str, program: &Path, arguments: &[String]) -> Process {
        let mut words = as_user(user);
        words.push(program.display().to_string());
        words.extend_from_slice(arguments);
        let environment = [("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())];
        Process::start(name, self.dir(), Path::new("setpriv"), &words, &environment)
    }

    /// A copy of `program` that every user may run: the build's folder may be root's alone.
    fn reachable(&self, program: &Path) -> PathBuf {
        let copy = self.dir().join(program.file_name().expect("a name")).with_extension("program");
        if !copy.exists() && fs::hard_link(program, &copy).is_err() {
            fs::copy(program, &copy).expect("a copy");
        }
        copy
    }

    /// Runs busctl as `name`.
    #[must_use]
    pub fn busctl(&self, name: &str, words: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(as_user(name)).args(["busctl", "--timeout=5"]);
        command.arg(format!("--address={}", self.bus.address())).args(words);
        client::run(&mut command)
    }

    /// Runs `program` of the suite as `name` on this bus.
    #[must_use]
    pub fn run(&self, name: &str, program: &str, words: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(as_user(name)).arg(self.reachable(&programs::program(program)));
        command.args(["--bus", &self.bus.address()]).args(words);
        client::run(&mut command)
    }

    /// Whether `name` may own `owned`.
    #[must_use]
    pub fn may_own(&self, name: &str, owned: &str) -> bool {
        let bus = "org.freedesktop.DBus";
        allowed(&self.busctl(name, &["call", bus, "/", bus, "RequestName", "su", owned, "0"]))
    }

    /// Whether `name` may call this method, which need not be there.
    #[must_use]
    pub fn may_call(&self, name: &str, service: &str, interface: &str, member: &str) -> bool {
        allowed(&self.busctl(name, &["call", service, "/", interface, member]))
    }

    /// The user id of the connection that owns `owned`, if one does.
    #[must_use]
    pub fn owner(&self, owned: &str) -> Option<u32> {
        let bus = "org.freedesktop.DBus";
        let call = ["call", bus, "/", bus, "GetConnectionUnixUser", "s", owned];
        let output = self.busctl("root", &call);
        output.stdout.trim().strip_prefix("u ")?.parse().ok()
    }

    /// The well-known names on the bus.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let bus = "org.freedesktop.DBus";
        let output = self.busctl("root", &["call", bus, "/", bus, "ListNames"]);
        let words = output.ok().split('"').skip(1).step_by(2).map(str::to_owned);
        words.filter(|name| !name.starts_with(':') && name != bus).collect()
    }
}

/// The user that stands for `name`.
///
/// # Panics
///
/// If this system lacks it.
#[must_use]
pub fn user(name: &str) -> User {
    User::from_name(stand_in(name)).expect("users").expect("a user of every system")
}

/// The words for setpriv that make a program run as `name`, in one group with all other daemons, which
/// stands for `ipmi-access`.
fn as_user(name: &str) -> Vec<String> {
    let group = if name == OPERATOR { OPERATORS.1 } else { "nogroup" };
    let words = ["--clear-groups", "--pdeathsig=KILL"].map(str::to_owned);
    let ids = [format!("--regid={group}"), format!("--reuid={}", stand_in(name))];
    [&ids[..], &words].concat()
}

/// Whether a call got past the policies: it succeeded, or its receiver refused it.
///
/// # Panics
///
/// If it failed in another way.
#[must_use]
pub fn allowed(output: &Output) -> bool {
    let error = &output.stderr;
    let denied = error.contains("Access denied")
        || error.contains("rejected")
        || error.contains("not allowed");
    let answers = ["Unknown", "No such", "mismatch"];
    let past = output.code == Some(0) || answers.iter().any(|answer| error.contains(answer));
    assert!(denied != past, "neither allowed nor denied: {output}");
    past
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our own folder");
}
