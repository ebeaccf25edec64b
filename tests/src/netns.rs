//! Networks of a test's own: namespaces of the kernel, each with its own interfaces.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::unistd::geteuid;

use crate::client::{self, Output};
use crate::wait;

/// Set in a test that runs as root of a user namespace of its own.
const INSIDE: &str = "CAUSEWAY_USER_NAMESPACE";

/// Where ip(8) is, beside the usual folders.
const SYSTEM_PROGRAMS: &str = "/usr/sbin:/sbin";

/// A network namespace, held by a sleeping process.
#[derive(Debug)]
pub struct Namespace {
    keeper: Child,
}

/// Whether a test can create namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NamespaceAccess {
    /// Yes, as root in the machine's user namespace or its own.
    Root,
    /// No, because the kernel grants neither.
    Refused,
}

/// Makes the test root, at least in a user namespace: a test that is not root executes itself again in a new user
/// namespace, if the kernel allows that, and does not return from here.
#[must_use]
pub fn as_root(test: &str) -> NamespaceAccess {
    if geteuid().is_root() {
        let mut probe = unshare(&["--net", "true"]);
        let granted = client::run(&mut probe).code == Some(0);
        return if granted { NamespaceAccess::Root } else { NamespaceAccess::Refused };
    }
    let mut probe = unshare(&["--user", "--map-root-user", "--net", "true"]);
    if env::var_os(INSIDE).is_some() || client::run(&mut probe).code != Some(0) {
        return NamespaceAccess::Refused;
    }
    let program = env::current_exe().expect("this test's program");
    let mut again = unshare(&["--user", "--map-root-user", "--"]);
    again.arg(program).args(["--exact", test, "--nocapture"]);
    panic!("{}", again.env(INSIDE, "1").exec());
}

fn unshare(arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(arguments);
    command
}

impl Namespace {
    /// Creates an empty namespace. For root only.
    ///
    /// # Panics
    ///
    /// If none can be created.
    #[must_use]
    pub fn new() -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--"]);
        // Ends with this test's process at the latest.
        command.args(["sleep", "infinity"]).stdin(Stdio::null());
        let keeper = command.spawn().expect("setpriv");
        let namespace = Self { keeper };
        let link = |id: &str| std::fs::read_link(format!("/proc/{id}/ns/net")).ok();
        let id = namespace.id();
        wait::until_true("a network namespace", || {
            link(&id).is_some() && link(&id) != link("self")
        });
        namespace
    }

    /// The keeper's process id, by which ip(8) names the namespace.
    #[must_use]
    pub fn id(&self) -> String {
        self.keeper.id().to_string()
    }

    /// The command prefix that runs a command in this namespace.
    #[must_use]
    pub fn entry(&self) -> Vec<String> {
        ["--net", "--target", &self.id(), "--"].map(str::to_owned).to_vec()
    }

    /// A command that runs in this namespace.
    #[must_use]
    pub fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(self.entry()).arg(command.get_program());
        inside.args(command.get_args());
        for (name, value) in command.get_envs() {
            value.map(|value| inside.env(name, value));
        }
        inside
    }

    /// Runs ip(8) in this namespace with `arguments` split at blanks.
    #[must_use]
    pub fn try_ip(&self, arguments: &str) -> Output {
        let path = env::var("PATH").unwrap_or_default();
        let mut ip = Command::new("ip");
        ip.args(arguments.split_whitespace());
        ip.env("PATH", format!("{path}:{SYSTEM_PROGRAMS}"));
        client::run(&mut self.command(&ip))
    }

    /// The same, which must succeed.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn ip(&self, arguments: &str) {
        self.try_ip(arguments).ok();
    }

    /// Connects an interface of this namespace to one of `other`, both up, with these addresses.
    ///
    /// # Panics
    ///
    /// If ip(8) fails.
    #[track_caller]
    pub fn wire(
        &self,
        (name, addresses): (&str, &[&str]),
        other: &Self,
        (peer, theirs): (&str, &[&str]),
    ) {
        self.ip(&format!("link add {name} type veth peer name {peer} netns {}", other.id()));
        self.set_up(name, addresses);
        other.set_up(peer, theirs);
    }

    /// Gives an interface its addresses, and sets it up.
    ///
    /// # Panics
    ///
    /// If ip(8) fails.
    #[track_caller]
    pub fn set_up(&self, name: &str, addresses: &[&str]) {
        for address in addresses {
            let at_once = if address.contains(':') { "nodad" } else { "" };
            self.ip(&format!("address add {address} dev {name} {at_once}"));
        }
        self.ip(&format!("link set {name} up"));
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
