//! `[host]` and `[chassis]`: what executes power operations, how long things take, and what goes wrong.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::DAY_MS;

/// `[host]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Host {
    /// What executes power operations.
    pub(crate) backend: BackendKind,
    /// `qemu`: QEMU's QMP socket.
    pub(crate) qmp: PathBuf,
    /// `qemu`: the program and its arguments that start QEMU.
    pub(crate) command: Vec<String>,
    /// `qemu`: in place of `command`, a file with a word of it in each line.
    pub(crate) argument_file: PathBuf,
    /// `qemu`: how long QEMU may take from its start until it answers.
    #[serde(deserialize_with = "daemon::range::number::<1, DAY_MS, _, _>")]
    pub(crate) start_limit_ms: u64,
    /// `qemu`: how long QEMU may take to quit before it is killed.
    #[serde(deserialize_with = "daemon::range::number::<1, DAY_MS, _, _>")]
    pub(crate) off_limit_ms: u64,
    /// `qemu`: the devices that the host can boot from.
    pub(crate) boot: Boot,
    /// `command`: the programs that execute power operations.
    pub(crate) commands: Commands,
    /// `simulated`: its serial console.
    pub(crate) console: Console,
    /// From the firmware's start to a running operating system.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) start_ms: u64,
    /// From the request to shut down to the operating system's end.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) soft_off_ms: u64,
    /// Whether the operating system shuts down when it is asked to.
    pub(crate) soft_off: SoftOff,
    /// How long it is given before its power is cut; by default 5 s if it is simulated, else a minute.
    #[serde(deserialize_with = "daemon::range::optional::<0, DAY_MS, _, _>")]
    pub(crate) soft_off_limit_ms: Option<u64>,
    /// How long a diagnostic interrupt keeps it busy.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) diagnostic_ms: u64,
    /// What goes wrong when it starts.
    pub(crate) fault: HostFault,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            backend: BackendKind::Simulated,
            qmp: PathBuf::new(),
            command: Vec::new(),
            argument_file: PathBuf::new(),
            start_limit_ms: 10_000,
            off_limit_ms: 5000,
            boot: Boot::default(),
            commands: Commands::default(),
            console: Console::default(),
            start_ms: 1000,
            soft_off_ms: 1000,
            soft_off: SoftOff::Obeyed,
            soft_off_limit_ms: None,
            diagnostic_ms: 1000,
            fault: HostFault::None,
        }
    }
}

impl Host {
    /// How long the operating system has for a shutdown before power is cut.
    pub(crate) fn soft_off_limit(&self) -> Duration {
        let default = match self.backend {
            BackendKind::Simulated => 5000,
            BackendKind::Qemu | BackendKind::Command => 60_000,
        };
        Duration::from_millis(self.soft_off_limit_ms.unwrap_or(default))
    }
}

/// What executes power operations.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BackendKind {
    /// Nothing: the host exists in this process only.
    Simulated,
    /// A QEMU, by its QMP socket.
    Qemu,
    /// A program for each operation.
    Command,
}

impl BackendKind {
    /// Its name in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Simulated => "simulated",
            Self::Qemu => "qemu",
            Self::Command => "command",
        }
    }
}

/// `[host.console]`: what a simulated host prints when it starts, and where.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Console {
    /// The Unix socket that it dials.
    pub(crate) path: Option<PathBuf>,
    /// Texts, each with the milliseconds after the start at which it is printed.
    pub(crate) script: Vec<(u64, String)>,
}

/// `[host.boot]`: QEMU's devices, each by its id or its QOM path; without an entry a device cannot be chosen.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Boot {
    pub(crate) disk: Option<String>,
    pub(crate) cdrom: Option<String>,
    pub(crate) pxe: Option<String>,
    pub(crate) removable: Option<String>,
    /// The order without an override.
    pub(crate) order: Vec<BootDevice>,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            disk: None,
            cdrom: None,
            pxe: None,
            removable: None,
            order: vec![
                BootDevice::Disk,
                BootDevice::Cdrom,
                BootDevice::Pxe,
                BootDevice::Removable,
            ],
        }
    }
}

/// A device to boot from, as `[host.boot]` names it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BootDevice {
    Disk,
    Cdrom,
    Pxe,
    Removable,
}

impl BootDevice {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Disk, Self::Cdrom, Self::Pxe, Self::Removable];

    /// Its name in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Cdrom => "cdrom",
            Self::Pxe => "pxe",
            Self::Removable => "removable",
        }
    }
}

impl Boot {
    /// The id or the QOM path of `device`, if the host has it.
    pub(crate) fn device(&self, device: BootDevice) -> Option<&str> {
        match device {
            BootDevice::Disk => self.disk.as_deref(),
            BootDevice::Cdrom => self.cdrom.as_deref(),
            BootDevice::Pxe => self.pxe.as_deref(),
            BootDevice::Removable => self.removable.as_deref(),
        }
    }
}

/// `[host.commands]`: a program for each power operation.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Commands {
    pub(crate) on: Option<Program>,
    pub(crate) off: Option<Program>,
    pub(crate) cycle: Option<Program>,
    pub(crate) reset: Option<Program>,
    pub(crate) soft_off: Option<Program>,
    pub(crate) diag: Option<Program>,
    pub(crate) status: Option<Program>,
    /// How often `status` runs.
    #[serde(deserialize_with = "daemon::range::number::<100, DAY_MS, _, _>")]
    pub(crate) status_interval_ms: u64,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            on: None,
            off: None,
            cycle: None,
            reset: None,
            soft_off: None,
            diag: None,
            status: None,
            status_interval_ms: 5000,
        }
    }
}

impl Commands {
    /// The programs by their names in the file.
    pub(crate) fn all(&self) -> [(&'static str, Option<&Program>); 7] {
        [
            ("on", self.on.as_ref()),
            ("off", self.off.as_ref()),
            ("cycle", self.cycle.as_ref()),
            ("reset", self.reset.as_ref()),
            ("soft-off", self.soft_off.as_ref()),
            ("diag", self.diag.as_ref()),
            ("status", self.status.as_ref()),
        ]
    }
}

/// A program and its time limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) run: Vec<String>,
    /// How long it may take before it is killed.
    #[serde(
        default = "program_limit_ms",
        deserialize_with = "daemon::range::number::<1, DAY_MS, _, _>"
    )]
    pub(crate) limit_ms: u64,
}

const fn program_limit_ms() -> u64 {
    10_000
}

/// What the operating system does when it is asked to shut down.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SoftOff {
    /// It shuts down.
    Obeyed,
    /// It ignores the request.
    Ignored,
}

/// What goes wrong when the host starts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HostFault {
    /// Nothing.
    None,
    /// It never comes up.
    Hangs,
    /// It fails, and the state manager notices.
    Quiesces,
}

/// `[chassis]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Chassis {
    /// From the request to good power.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) power_on_ms: u64,
    /// From the request to no power.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) power_off_ms: u64,
    /// How long power stays off in a cycle.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) cycle_ms: u64,
    /// What goes wrong when it powers on.
    pub(crate) fault: ChassisFault,
    /// Whether power is on and the host runs when the platform starts for the first time.
    pub(crate) on_at_first_start: bool,
    /// The power-on hours at the first start.
    #[serde(deserialize_with = "daemon::range::number::<0, 4294967295, _, _>")]
    pub(crate) power_on_hours: u32,
    /// The length of a simulated power-on hour.
    #[serde(deserialize_with = "daemon::range::number::<1, DAY_MS, _, _>")]
    pub(crate) hour_ms: u64,
    /// Whether the chassis intrusion switch reports an intrusion at the first start.
    pub(crate) intrusion: bool,
}

impl Default for Chassis {
    fn default() -> Self {
        Self {
            power_on_ms: 1000,
            power_off_ms: 500,
            cycle_ms: 1000,
            fault: ChassisFault::None,
            on_at_first_start: false,
            power_on_hours: 0,
            hour_ms: 3_600_000,
            intrusion: false,
        }
    }
}

/// What goes wrong when the chassis powers on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ChassisFault {
    /// Nothing.
    None,
    /// Power never gets good, and the state manager gives up.
    NeverOn,
}
