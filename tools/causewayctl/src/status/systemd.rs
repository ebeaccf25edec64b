//! What systemd says of the daemons, where it is there.

use std::process::{Command, Stdio};

use zbus::wire::{OwnedObjectPath, OwnedVariant, Variant};

use super::DAEMONS;
use crate::bus::Bus;

const SYSTEMD: &str = "org.freedesktop.systemd1";

/// A unit of a daemon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Unit {
    pub(super) name: String,
    /// `active`, `failed`, ...
    pub(super) state: String,
    /// Its main process; 0 where there is none.
    pub(super) pid: u32,
}

impl Unit {
    /// The daemon whose unit it is.
    pub(super) fn daemon(&self) -> Option<&'static str> {
        let name = self.name.strip_suffix(".service")?;
        let name = name.split('@').next().unwrap_or(name);
        DAEMONS.into_iter().find(|daemon| *daemon == name)
    }
}

/// One unit as `ListUnitsByPatterns` has it: name, description, load state, active state, sub-state, the unit it
/// follows, path, and its job's id, type and path.
type Listed =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// The daemons' units that are not inactive; none where there is no systemd.
pub(super) async fn units(bus: &Bus) -> Vec<Unit> {
    let patterns =
        DAEMONS.iter().flat_map(|name| [format!("{name}.service"), format!("{name}@*.service")]);
    let patterns: Vec<_> = patterns.collect();
    let body = (Vec::<String>::new(), patterns);
    let manager = "org.freedesktop.systemd1.Manager";
    let list =
        bus.call(SYSTEMD, "/org/freedesktop/systemd1", manager, "ListUnitsByPatterns", &body);
    let (list,): (Vec<Listed>,) = list.await.unwrap_or_default();
    let mut units = Vec::new();
    for (name, _, _, state, _, _, path, ..) in list {
        let body = ("org.freedesktop.systemd1.Service", "MainPID");
        let properties = "org.freedesktop.DBus.Properties";
        let pid = bus.call(SYSTEMD, path.as_str(), properties, "Get", &body).await;
        let pid = pid.ok().and_then(|(pid,): (OwnedVariant,)| match &*pid {
            Variant::U32(pid) => Some(*pid),
            _ => None,
        });
        units.push(Unit { name, state, pid: pid.unwrap_or_default() });
    }
    units
}

/// The last error that a process has logged; `None` where there is no journal.
pub(super) fn last_error(pid: u32) -> Option<String> {
    journal(&[format!("_PID={pid}")])
}

/// The last error that a unit has logged.
pub(super) fn last_error_of_unit(unit: &str) -> Option<String> {
    journal(&["--unit".to_owned(), unit.to_owned()])
}

fn journal(of: &[String]) -> Option<String> {
    let mut command = Command::new("journalctl");
    command.args([
        "--quiet",
        "--no-pager",
        "--boot",
        "--lines=1",
        "--priority=err",
        "--output=cat",
    ]);
    let output = command.args(of).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().last().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}
