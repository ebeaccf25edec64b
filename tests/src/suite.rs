//! A whole BMC for one test.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::{fs, process};

use nix::unistd::{User, geteuid};
use serde_json::Value;
use tempfile::TempDir;

use crate::bus::Bus;
use crate::clients::{self, Login};
use crate::netns::Namespace;
use crate::process::Process;
use crate::{client, openbmc, programs, wait};

/// The configuration that every suite starts with.
pub(crate) const CONFIGURATION: &str = include_str!("../data/causeway.toml");

/// The platform of every suite.
const PLATFORM: &str = include_str!("../data/platform.toml");

/// The RMCP port (ASF 2.0 §3.2.2).
const STANDARD_PORT: u16 = 623;

/// The bus name by which ipmid knows the LAN channel.
const CHANNEL_NAME: &str = "xyz.openbmc_project.Ipmi.Channel.lan0";

/// The BMC of one test: a bus, `platformd`, `ipmid` and `netipmid`, in a folder of its own. The
/// fields are public so that a test may stop, kill and restart each.
#[derive(Debug)]
pub struct Suite {
    /// The network bridge.
    pub netipmid: Process,
    /// The command daemon.
    pub ipmid: Process,
    /// The platform's services.
    pub platformd: Process,
    /// The host's console.
    pub console: Process,
    /// The bus.
    pub bus: Bus,
    /// Where LAN clients reach it.
    pub address: SocketAddr,
    dir: TempDir,
    /// PAM modules, in a folder that is not mounted `noexec`.
    _modules: Option<TempDir>,
}

impl Suite {
    /// Starts a suite with the usual configuration and platform.
    #[must_use]
    pub fn start() -> Self {
        Self::configured(CONFIGURATION, PLATFORM)
    }

    /// Starts a suite whose configuration has `lines` added at its end.
    #[must_use]
    pub fn with(lines: &str) -> Self {
        Self::configured(&format!("{CONFIGURATION}\n{lines}"), PLATFORM)
    }

    /// Starts a suite whose host has its console at `address`.
    #[must_use]
    pub fn with_console(address: &str) -> Self {
        Self::configured(&format!("[sol]\nconsole = \"{address}\"\n"), PLATFORM)
    }

    /// Starts a suite whose platform has the parts of `lines` beside its own.
    #[must_use]
    pub fn with_sensors(lines: &str) -> Self {
        Self::configured(CONFIGURATION, &format!("{PLATFORM}\n{lines}"))
    }

    /// Starts a suite on port 623, because some clients know no other. `None` if this user may not
    /// open it.
    #[must_use]
    pub fn on_standard_port() -> Option<Self> {
        let address = SocketAddr::new(free_address().ip(), STANDARD_PORT);
        UdpSocket::bind(address).ok()?;
        Some(Self::at(address, CONFIGURATION, PLATFORM))
    }

    /// Starts a suite with this `causeway.toml`, in which `{dir}` stands for the suite's folder, and
    /// with this platform.
    #[must_use]
    pub fn configured(configuration: &str, platform: &str) -> Self {
        Self::at(free_address(), configuration, platform)
    }

    fn at(address: SocketAddr, configuration: &str, platform: &str) -> Self {
        Self::prepared(address, configuration, platform, |_| None, provision)
    }

    /// Starts a suite whose accounts are an OpenBMC's: the files of [`openbmc`] below `bmc` in its
    /// folder, the same users at User.Manager, and a stack of PAM modules that stores passwords as
    /// an OpenBMC's does.
    ///
    /// # Panics
    ///
    /// If the PAM module cannot be built.
    #[must_use]
    pub fn with_openbmc_accounts(lines: &str) -> Self {
        let accounts = "[openbmc]\nroot = \"{dir}/bmc\"\npam-folder = \"{dir}/pam\"\n";
        let configuration = format!("users = \"openbmc\"\n{CONFIGURATION}\n{accounts}\n{lines}");
        let user = |(name, _, privilege): (&str, &str, &str)| {
            format!("[[user]]\nname = \"{name}\"\nprivilege = \"{privilege}\"\n")
        };
        let users = openbmc::USERS.map(user).concat();
        let platform = format!("{PLATFORM}\n{users}");
        let prepare = |dir: &Path| {
            openbmc::Files::below(&dir.join("bmc")).make();
            let modules = openbmc::make_pam_stack(&dir.join("pam"), &dir.join("bmc"));
            Some(modules)
        };
        Self::prepared(free_address(), &configuration, &platform, prepare, |_| {})
    }

    /// The account files of a suite with an OpenBMC's.
    #[must_use]
    pub fn openbmc_files(&self) -> openbmc::Files {
        openbmc::Files::below(&self.dir().join("bmc"))
    }

    fn prepared(
        address: SocketAddr,
        configuration: &str,
        platform: &str,
        prepare: impl FnOnce(&Path) -> Option<TempDir>,
        provision: impl FnOnce(&Bus),
    ) -> Self {
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix("causeway-");
        // In memory where possible, because a busy disk takes long to sync.
        let dir = folder.tempdir_in("/dev/shm").or_else(|_| folder.tempdir());
        let dir = dir.expect("a folder");
        let path = dir.path();
        let modules = prepare(path);
        let configuration = configuration.replace("{dir}", &path.display().to_string());
        fs::write(path.join("causeway.toml"), configuration).expect("the configuration");
        fs::write(path.join("platform.toml"), platform).expect("the platform");
        let bus = Bus::start(path);
        let platformd = start(path, &bus, "platformd", &platform_arguments(path));
        let ipmid = start(path, &bus, "ipmid", &[]);
        provision(&bus);
        let socket = path.join("console").display().to_string();
        let console =
            Process::start("console", path, &programs::program("console"), &[socket], &[]);
        let netipmid = start_netipmid(path, &bus, address);
        Self { netipmid, ipmid, platformd, console, bus, address, dir, _modules: modules }
    }

    /// The folder with the configuration, the state and the logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The state folder of the daemons.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir().join("state")
    }

    /// The administrator's login.
    #[must_use]
    pub fn administrator(&self) -> Login {
        Login::administrator(self.address, self.dir())
    }

    /// Starts the bridge `name` of `channel` beside the daemons that every suite has, and waits until
    /// it is on the bus.
    ///
    /// # Panics
    ///
    /// If its bus name does not appear.
    #[must_use]
    pub fn bridge(&self, name: &str, channel: &str, device: [&str; 2]) -> Process {
        let arguments = [&["--channel", channel][..], &device].concat();
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        let process = start(self.dir.path(), &self.bus, name, &arguments);
        self.until_on_bus(channel);
        process
    }

    /// Starts a netipmid that serves the interface `interface` of `namespace`, and waits until its
    /// channel is on the bus.
    ///
    /// # Panics
    ///
    /// If its bus name does not appear.
    #[must_use]
    pub fn netipmid_in(&self, namespace: &Namespace, interface: &str) -> Process {
        let name = format!("netipmid-{interface}");
        let own = ["--channel".to_owned(), interface.to_owned()];
        let process = self.start_by("nsenter", &namespace.entry(), &name, &own);
        self.until_on_bus(&interface.replace('.', "_"));
        process
    }

    /// Starts a netipmid of `channel` beside the suite's, with `configuration` and at an address of its own. Does not wait
    /// for its bus name, which it may not get.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn second_netipmid(&self, channel: &str, configuration: &str) -> (Process, SocketAddr) {
        let (dir, address) = (self.dir.path(), free_address());
        let name = format!("second-netipmid-{channel}");
        let file = dir.join(format!("{name}.toml"));
        fs::write(&file, configuration).expect("the configuration");
        let [_, _, state_dir, state] = common_arguments(dir).try_into().expect("two arguments");
        let own = ["--config".to_owned(), file.display().to_string(), state_dir, state];
        let channel = ["--channel".to_owned(), channel.to_owned()];
        let arguments = [&own[..], &channel, &lan_arguments(address)].concat();
        let environment = [("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())];
        let program = programs::program("netipmid");
        (Process::start(&name, dir, &program, &arguments, &environment), address)
    }

    /// Starts netipmid again, after it was ended, as a user who may have no inotify instance. `None` if
    /// this machine cannot limit users that way.
    pub fn restart_netipmid_without_inotify(&mut self) -> Option<()> {
        let limit = "echo 0 > /proc/sys/user/max_inotify_instances";
        let unshare = |script: &str| {
            let words = ["--user", "--map-root-user", "--", "sh", "-c", script, "sh"];
            words.map(str::to_owned).to_vec()
        };
        let probe = client::run(Command::new("unshare").args(unshare(limit)));
        if probe.code != Some(0) {
            return None;
        }
        let entry = unshare(&format!("{limit} && exec \"$@\""));
        let own = lan_arguments(self.address);
        self.netipmid = self.start_by("unshare", &entry, "netipmid", &own);
        Some(())
    }

    /// Starts netipmid by `program`, which takes its command line after `entry`.
    fn start_by(&self, program: &str, entry: &[String], name: &str, own: &[String]) -> Process {
        let dir = self.dir.path();
        let mut arguments = entry.to_vec();
        arguments.push(programs::program("netipmid").display().to_string());
        arguments.extend(common_arguments(dir));
        arguments.extend_from_slice(own);
        let environment = [("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())];
        Process::start_ready(name, dir, Path::new(program), &arguments, &environment)
    }

    /// Starts a netipmid of the suite's channel as `user`, at an address of its own, with a copy of the accounts
    /// that it may read, in the folder. `None`, and a line that says so, where this user is not root.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn netipmid_of_user(&self, user: &str) -> Option<(Process, SocketAddr, TempDir)> {
        if !geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let user = User::from_name(user).expect("users").expect("the user");
        // To the bus.
        let passable = fs::Permissions::from_mode(0o711);
        fs::set_permissions(self.dir(), passable).expect("our own folder");
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address();
        let copy = |from: &str, to: &str| {
            let words = ["-r", from, to];
            client::run(Command::new("cp").args(words)).ok();
        };
        let program = folder.path().join("netipmid").display().to_string();
        copy(&programs::program("netipmid").display().to_string(), &program);
        let dir = folder.path().join("state").display().to_string();
        copy(&self.state().display().to_string(), &dir);
        let config = folder.path().join("causeway.toml").display().to_string();
        copy(&self.dir().join("causeway.toml").display().to_string(), &config);
        let owner = format!("{}:{}", user.uid, user.gid);
        let path = folder.path().display().to_string();
        client::run(Command::new("chown").args(["-R", &owner, &path])).ok();
        let uid = format!("--reuid={}", user.uid);
        let gid = format!("--regid={}", user.gid);
        let identity = [&uid, &gid, "--clear-groups", "--pdeathsig=KILL"];
        let command = [&program, "--config", &config, "--state-dir", &dir];
        let words = identity.iter().chain(&command).map(|word| (*word).to_owned());
        let mut words: Vec<String> = words.collect();
        words.extend(lan_arguments(address));
        let environment = [("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())];
        let setpriv = Path::new("setpriv");
        let process = Process::start("foreign-netipmid", self.dir(), setpriv, &words, &environment);
        Some((process, address, folder))
    }

    fn until_on_bus(&self, channel: &str) {
        let owned = format!("xyz.openbmc_project.Ipmi.Channel.{channel}");
        wait::until_true(&format!("{channel} is on the bus"), || self.bus.has_name(&owned));
    }

    /// The number of refusals of netipmid, by reason.
    ///
    /// # Panics
    ///
    /// If netipmid does not publish them.
    #[must_use]
    pub fn rejections(&self) -> BTreeMap<String, u64> {
        let object = "/xyz/openbmc_project/Ipmi/Channel/lan0";
        let interface = "org.causeway.Ipmi.Channel.Rejections";
        let call = ["get-property", CHANNEL_NAME, object, interface, "Counts"];
        let output = self.bus.busctl(&call);
        let value: Value = serde_json::from_str(output.ok()).expect("JSON of busctl");
        let counts = value["data"].as_object().expect("a dictionary");
        let count =
            |(reason, count): (&String, &Value)| (reason.clone(), count.as_u64().unwrap_or(0));
        counts.iter().map(count).collect()
    }

    /// Starts ipmid again, after it was ended.
    pub fn restart_ipmid(&mut self) {
        self.ipmid = start(self.dir.path(), &self.bus, "ipmid", &[]);
    }

    /// Starts netipmid again, after it was ended.
    pub fn restart_netipmid(&mut self) {
        self.netipmid = start_netipmid(self.dir.path(), &self.bus, self.address);
    }

    /// Starts platformd again, after it was ended.
    pub fn restart_platformd(&mut self) {
        let arguments = platform_arguments(self.dir.path());
        self.platformd = start(self.dir.path(), &self.bus, "platformd", &arguments);
    }

    /// Makes a user as an administrator does, over the LAN, and returns the login, which works.
    ///
    /// # Panics
    ///
    /// If a step fails.
    #[must_use]
    pub fn add_user(&self, id: u8, name: &str, password: &str, privilege: u8) -> Login {
        let administrator = self.administrator();
        for command in [
            format!("user set name {id} {name}"),
            format!("user set password {id} {password}"),
            format!("channel setaccess 1 {id} link=on ipmi=on privilege={privilege}"),
            format!("user enable {id}"),
        ] {
            administrator.ipmitool(&command).ok();
        }
        let login = administrator.user(name, password);
        let user = login.level("USER");
        wait::until_true("netipmid knows the user", || user.ipmitool("mc guid").code == Some(0));
        login
    }
}

/// Makes the first user, as an operator does on a new BMC: over the bus, as root.
fn provision(bus: &Bus) {
    let padded = |text: &str, size: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(size, 0);
        bytes
    };
    for (command, data) in [
        (0x45, [&[2], padded(clients::USER, 16).as_slice()].concat()),
        (0x47, [&[0x82, 0x02], padded(clients::PASSWORD, 20).as_slice()].concat()),
        (0x47, vec![0x02, 0x01]),
        (0x43, vec![0x91, 0x02, 0x04, 0x00]),
    ] {
        let (code, _) = bus.execute(0x06, command, &data);
        assert_eq!(code, 0, "command {command:02X}h");
    }
}

/// Starts netipmid and waits until ipmid can be reached through it.
fn start_netipmid(dir: &Path, bus: &Bus, address: SocketAddr) -> Process {
    let netipmid = start(dir, bus, "netipmid", &lan_arguments(address));
    wait::until_true("netipmid is on the bus", || bus.has_name(CHANNEL_NAME));
    netipmid
}

/// Starts a daemon on the suite's bus and waits until it is ready.
fn start(dir: &Path, bus: &Bus, name: &str, own: &[String]) -> Process {
    let mut arguments = common_arguments(dir);
    arguments.extend_from_slice(own);
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", bus.address())];
    Process::start_ready(name, dir, &programs::program(name), &arguments, &environment)
}

fn common_arguments(dir: &Path) -> Vec<String> {
    vec![
        "--config".to_owned(),
        dir.join("causeway.toml").display().to_string(),
        "--state-dir".to_owned(),
        dir.join("state").display().to_string(),
    ]
}

fn platform_arguments(dir: &Path) -> [String; 2] {
    ["--platform".to_owned(), dir.join("platform.toml").display().to_string()]
}

fn lan_arguments(address: SocketAddr) -> [String; 2] {
    ["--listen".to_owned(), address.to_string()]
}

/// A loopback address that no other test has: its host part is the process id, its port counts.
#[must_use]
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(6230);
    let [_, high, middle, low] = process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, high | 0x40, middle, low);
    SocketAddr::new(IpAddr::V4(host), NEXT.fetch_add(1, Ordering::Relaxed))
}
