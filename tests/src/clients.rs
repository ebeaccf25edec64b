//! ipmitool and FreeIPMI, aimed at a suite.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::{self, Output};

/// The user every suite starts with.
pub const USER: &str = "root";
/// Its password.
pub const PASSWORD: &str = "0penBmc";
/// The cipher suites every suite offers.
pub const CIPHER_SUITES: [u8; 2] = [3, 17];

/// Where FreeIPMI's programs are, beside the usual folders: not every user has it in the path.
const SYSTEM_PROGRAMS: &str = "/usr/sbin";

/// The parameters of a login, the same for all clients.
#[derive(Clone, Debug)]
pub struct Login {
    /// Where netipmid listens.
    pub address: SocketAddr,
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
    /// The cipher suite.
    pub suite: u8,
    /// The requested privilege, by name; `None` for the client's default.
    pub level: Option<&'static str>,
    /// The two-key-login key, if the BMC has one.
    pub kg: Option<String>,
    /// A home folder for what clients cache.
    pub home: PathBuf,
}

impl Login {
    /// The administrator that every suite has, on `address`.
    #[must_use]
    pub fn administrator(address: SocketAddr, home: &Path) -> Self {
        Self {
            address,
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            suite: 17,
            level: None,
            kg: None,
            home: home.to_owned(),
        }
    }

    /// The same with another cipher suite.
    #[must_use]
    pub fn suite(&self, suite: u8) -> Self {
        Self { suite, ..self.clone() }
    }

    /// The same with another user.
    #[must_use]
    pub fn user(&self, user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), ..self.clone() }
    }

    /// The same asking for a privilege (`USER`, `OPERATOR`, `ADMIN`).
    #[must_use]
    pub fn level(&self, level: &'static str) -> Self {
        Self { level: Some(level), ..self.clone() }
    }

    /// The same at another address: a relay's.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// A client program, with a home and a working folder of its own.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let path = env::var("PATH").unwrap_or_default();
        let mut command = Command::new(name);
        command.env("PATH", format!("{path}:{SYSTEM_PROGRAMS}"));
        command.env("HOME", &self.home).current_dir(&self.home);
        command
    }

    /// Where one of FreeIPMI's programs caches SDRs: it looks for the user's home in the user
    /// database and not in the environment, and there finds those of a BMC that had this address before.
    #[must_use]
    pub fn sdr_cache(&self, program: &str) -> Option<String> {
        const PROGRAMS: &[&str] = &[
            "bmc-device",
            "ipmi-config",
            "ipmi-fru",
            "ipmi-pef-config",
            "ipmi-pet",
            "ipmi-sel",
            "ipmi-sensors",
            "ipmimonitoring",
        ];
        let folder = PROGRAMS.contains(&program).then(|| self.home.display());
        folder.map(|folder| format!("--sdr-cache-directory={folder}"))
    }

    /// An ipmitool command line over RMCP+, without the command itself.
    #[must_use]
    pub fn ipmitool_command(&self) -> Command {
        let mut command = self.program("ipmitool");
        command.args(["-I", "lanplus", "-H", &self.address.ip().to_string()]);
        command.args(["-p", &self.address.port().to_string()]);
        command.args(["-U", &self.user, "-P", &self.password, "-C", &self.suite.to_string()]);
        if let Some(level) = self.level {
            // FreeIPMI's name for it is the shorter one.
            command.args(["-L", if level == "ADMIN" { "ADMINISTRATOR" } else { level }]);
        }
        if let Some(kg) = &self.kg {
            command.args(["-k", kg]);
        }
        command
    }

    /// Runs ipmitool over RMCP+ with `arguments` split at blanks.
    #[must_use]
    pub fn ipmitool(&self, arguments: &str) -> Output {
        client::run(self.ipmitool_command().args(arguments.split_whitespace()))
    }

    /// Runs a FreeIPMI program over RMCP+, without any workaround, with `arguments` split at blanks.
    #[must_use]
    pub fn freeipmi(&self, program: &str, arguments: &str) -> Output {
        let mut command = self.program(program);
        command.args(["-D", "LAN_2_0", "-h", &self.address.to_string()]);
        command.args(self.sdr_cache(program));
        command.args(["-u", &self.user, "-p", &self.password, "-I", &self.suite.to_string()]);
        if let Some(level) = self.level {
            command.args(["-l", level]);
        }
        client::run(command.args(arguments.split_whitespace()))
    }
}
