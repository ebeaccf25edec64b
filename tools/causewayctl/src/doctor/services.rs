//! The daemons, their names on the bus and their devices.

use std::fs;
use std::path::Path;

use accounts::ChannelTable;
use daemon::{ConfigFile, Validate};
use ipmi_proto::Medium;
use openbmc_dbus::{execute, mapper};
use serde::Deserialize;

use super::Finding;
use crate::bmc::Bmc;
use crate::bus::Bus;
use crate::error::Error;
use crate::{mctp, status};

/// Processes that are the bridges of channels: ours, and OpenBMC's, whose names the kernel cuts at 15 characters.
const BRIDGES: [&str; 9] = [
    "netipmid",
    "kcsbridged",
    "btbridged",
    "ssifbridged",
    "ipmbbridged",
    "kcsbridge",
    "btbridge",
    "ssifbridge",
    "ipmbbridge",
];

/// A process with names on the bus.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) process: String,
}

/// The owners of all names.
pub(super) async fn processes(bus: &Bus) -> Result<Vec<Owner>, Error> {
    let mut owners = Vec::new();
    for name in bus.names().await? {
        if let Some(pid) = bus.process_of(&name).await {
            let process = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            owners.push(Owner { name, pid, process: process.trim_end().to_owned() });
        }
    }
    Ok(owners)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Channels {
    channel: ChannelTable,
}

impl Validate for Channels {}

pub(super) async fn check(bmc: &Bmc, config: &Path) -> Result<Vec<Finding>, Error> {
    let mut findings = status::problems(&bmc.bus).await?;
    let owners = processes(&bmc.bus).await?;
    let channels = ConfigFile::read(config, true).and_then(|file| file.config::<Channels>());
    // A file that is refused is a finding of its own.
    if let Ok(Channels { channel }) = channels {
        findings.extend(bridges(&owners, &channel));
    }
    findings.extend(owners.iter().filter_map(foreign));
    findings.extend(owners.iter().filter_map(device));
    if !owners.iter().any(|owner| owner.name == mapper::SERVICE) {
        findings.push(Finding::new(
            "services",
            "no object mapper is on the bus: sensors, power and inventory are not found",
            "systemctl start xyz.openbmc_project.ObjectMapper, or platformd where there is none",
        ));
    }
    if owners.iter().any(|owner| owner.name == mctp::SERVICE) {
        for binding in mctp::bindings_that_are_down(&bmc.bus).await? {
            let problem = format!("the device of MCTP binding {binding} cannot be opened");
            findings.push(Finding::new("devices", problem, "journalctl -u mctp-demuxd"));
        }
    }
    Ok(findings)
}

/// Bridges of channels that are not configured, and LAN channels without one.
fn bridges(owners: &[Owner], channels: &ChannelTable) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in owners {
        let Some(channel) = owner.name.strip_prefix(execute::CHANNEL_PREFIX) else { continue };
        if channels.by_name(channel).is_none() {
            let Owner { process, pid, .. } = owner;
            findings.push(Finding::new(
                "channels",
                format!("{process} ({pid}) is the bridge of {channel}, which is not configured: its requests are answered D3h"),
                format!("add a [[channel]] with name = \"{channel}\", or start {process} with --channel"),
            ));
        }
    }
    let has_bridge = |name: &str| {
        let name = format!("{}{name}", execute::CHANNEL_PREFIX);
        owners.iter().any(|owner| owner.name == name)
    };
    for channel in channels.iter().filter(|channel| channel.medium == Medium::Lan) {
        let name = &channel.name;
        if !has_bridge(name) {
            findings.push(Finding::new(
                "channels",
                format!(
                    "LAN channel {name} has no bridge: requests from the network are not answered"
                ),
                format!("systemctl enable --now netipmid@{name}"),
            ));
        }
    }
    findings
}

/// A name of ours that a process of another kind has.
fn foreign(owner: &Owner) -> Option<Finding> {
    let Owner { name, process, pid } = owner;
    let is_foreign = if name == execute::SERVICE {
        process != "ipmid"
    } else {
        name.starts_with(execute::CHANNEL_PREFIX) && !BRIDGES.contains(&process.as_str())
    };
    let problem =
        || format!("bus name {name} is owned by {process} ({pid}), which is no daemon for it");
    is_foreign.then(|| Finding::new("names", problem(), format!("stop process {pid}")))
}

/// A bridge whose device is missing.
fn device(owner: &Owner) -> Option<Finding> {
    let Owner { process, pid, .. } = owner;
    if !BRIDGES.contains(&process.as_str()) || !owner.name.starts_with(execute::CHANNEL_PREFIX) {
        return None;
    }
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let mut words = line.split('\0');
    words.find(|word| ["--device", "--i2c"].contains(word))?;
    let device = words.next()?;
    let problem = format!("{process} ({pid}) waits for {device}, which does not exist");
    (!Path::new(device).exists()).then(|| {
        Finding::new("devices", problem, format!("load the driver of {device}, or stop the bridge"))
    })
}
