//! A private bus daemon, and its objects as busctl shows them.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;

use crate::client::{self, Output};
use crate::process::Process;
use crate::wait;

/// What starts a private bus.
pub const LAUNCHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/bus/causeway-bus");

/// A dbus-daemon with a configuration of its own: the system bus's limits, and everything allowed unless
/// a test has other policies.
#[derive(Debug)]
pub struct Bus {
    dir: PathBuf,
    process: Process,
}

impl Bus {
    /// Starts a bus with its socket in `dir`.
    ///
    /// # Panics
    ///
    /// If dbus-daemon does not start.
    #[must_use]
    pub fn start(dir: &Path) -> Self {
        Self::with_rules(
            dir,
            "<policy context='default'><allow user='*'/><allow own='*'/>\
             <allow send_destination='*'/><allow receive_type='method_call'/>\
             <allow receive_type='method_return'/><allow receive_type='error'/>\
             <allow receive_type='signal'/></policy>",
        )
    }

    /// Starts a bus with its socket in `dir`, and with these policies.
    ///
    /// # Panics
    ///
    /// If dbus-daemon does not start.
    #[must_use]
    pub fn with_rules(dir: &Path, policies: &str) -> Self {
        fs::write(dir.join("bus-policies"), policies).expect("the policies");
        let process = Self::spawn(dir);
        Self { dir: dir.to_owned(), process }
    }

    fn spawn(dir: &Path) -> Process {
        let arguments = [dir, &dir.join("bus-policies")].map(|path| path.display().to_string());
        let process = Process::start("dbus-daemon", dir, Path::new(LAUNCHER), &arguments, &[]);
        wait::until_true("the bus accepts", || UnixStream::connect(dir.join("bus")).is_ok());
        process
    }

    /// The address, as in `DBUS_SYSTEM_BUS_ADDRESS`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:path={}", self.dir.join("bus").display())
    }

    /// Kills the bus daemon without warning.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the bus again, at the same address, after [`kill`](Self::kill).
    pub fn restart(&mut self) {
        self.process = Self::spawn(&self.dir);
    }

    /// Runs busctl on this bus.
    #[must_use]
    pub fn busctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("busctl");
        command.arg(format!("--address={}", self.address())).args(["--json=short"]).args(arguments);
        client::run(&mut command)
    }

    /// A property, or `None` if its owner does not reply.
    #[must_use]
    pub fn property(&self, property: &Property<'_>) -> Option<Value> {
        let Property { path, interface, name } = *property;
        let service = self.service(path, interface)?;
        let output = self.busctl(&["get-property", &service, path, interface, name]);
        Some(parse(&output)?["data"].take())
    }

    /// The service that has the object, according to the mapper.
    #[must_use]
    pub fn service(&self, path: &str, interface: &str) -> Option<String> {
        let mapper = "xyz.openbmc_project.ObjectMapper";
        let object = "/xyz/openbmc_project/object_mapper";
        let call = ["call", mapper, object, mapper, "GetObject", "sas", path, "1", interface];
        let reply = parse(&self.busctl(&call))?;
        Some(reply["data"][0].as_object()?.keys().next()?.clone())
    }

    /// Waits until a string property ends in `.value` (the enumerations of OpenBMC are qualified).
    ///
    /// # Panics
    ///
    /// If it does not within [`wait::LIMIT`].
    #[track_caller]
    pub fn until_property(&self, property: &Property<'_>, value: &str) {
        let mut last = None;
        let ends = format!(".{value}");
        let limit = Instant::now() + wait::LIMIT;
        while Instant::now() < limit {
            last = self.property(property);
            thread::sleep(Duration::from_millis(20));
            if last.as_ref().and_then(Value::as_str).is_some_and(|is| is.ends_with(&ends)) {
                return;
            }
        }
        panic!("{} is {last:?}, not {value}", property.name);
    }

    /// Sends a request to ipmid as a program on the BMC does, and returns completion code and data.
    ///
    /// # Panics
    ///
    /// If `execute()` fails on the bus.
    #[must_use]
    pub fn execute(&self, netfn: u8, command: u8, data: &[u8]) -> (u8, Vec<u8>) {
        let call = "call xyz.openbmc_project.Ipmi.Host /xyz/openbmc_project/Ipmi \
                    xyz.openbmc_project.Ipmi.Server execute yyyaya{sv}";
        let mut line = format!("{call} {netfn} 0 {command} {}", data.len());
        for byte in data {
            line.push_str(&format!(" {byte}"));
        }
        line.push_str(" 0");
        let output = self.busctl(&line.split_whitespace().collect::<Vec<_>>());
        let reply: Value = serde_json::from_str(output.ok()).expect("JSON of busctl");
        let fields = &reply["data"][0];
        let byte = |value: &Value| {
            value.as_u64().and_then(|value| u8::try_from(value).ok()).expect("a byte")
        };
        let data = fields[4].as_array().map(|data| data.iter().map(byte).collect());
        (byte(&fields[3]), data.unwrap_or_default())
    }

    /// Whether the bus name has an owner.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.busctl(&["list", "--acquired"]).stdout.contains(&format!("\"{name}\""))
    }
}

/// What busctl printed, if it succeeded.
fn parse(output: &Output) -> Option<Value> {
    serde_json::from_str(&output.stdout).ok()
}

/// A property's path, interface and name; the mapper finds its service.
#[derive(Clone, Copy, Debug)]
pub struct Property<'a> {
    /// The object's path.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The property's name.
    pub name: &'a str,
}

/// `CurrentHostState` of the first host.
pub const HOST_STATE: Property<'static> = Property {
    path: "/xyz/openbmc_project/state/host0",
    interface: "xyz.openbmc_project.State.Host",
    name: "CurrentHostState",
};

/// `CurrentPowerState` of the first chassis.
pub const CHASSIS_STATE: Property<'static> = Property {
    path: "/xyz/openbmc_project/state/chassis0",
    interface: "xyz.openbmc_project.State.Chassis",
    name: "CurrentPowerState",
};

/// Time of the chassis' last power change.
pub const LAST_CHANGE: Property<'static> =
    Property { name: "LastStateChangeTime", ..CHASSIS_STATE };
