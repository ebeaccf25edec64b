//! `channel_config.json` and the files of channel access: objects by channel number.

use std::collections::BTreeMap;

use ipmi_proto::{AccessMode, ChannelProtocol, Medium, Privilege, SessionSupport};
use serde::{Deserialize, Serialize};

use crate::channel::{Channel, ChannelAccess, ChannelTable};

#[derive(Deserialize)]
struct Entry {
    name: String,
    is_valid: bool,
    channel_info: Info,
    #[serde(default)]
    is_management_nic: bool,
}

#[derive(Deserialize)]
struct Info {
    medium_type: String,
    protocol_type: String,
    session_supported: String,
    is_ipmi: bool,
}

/// Access to one channel, its fields in the order in which OpenBMC writes them.
#[derive(Deserialize, Serialize)]
pub(super) struct Access {
    access_mode: String,
    alerting_disabled: bool,
    per_msg_auth_disabled: bool,
    priv_limit: String,
    user_auth_disabled: bool,
}

/// The channel whose user privileges are the accounts' own where none says that it is.
const FIRST_LAN: u8 = 1;

/// The channels that are valid, speak IPMI, and are of a kind there is.
pub(super) fn table(text: &[u8]) -> Result<ChannelTable, String> {
    let entries: BTreeMap<String, Option<Entry>> = parse(text)?;
    let mut channels = Vec::new();
    for (number, entry) in entries {
        let Some(entry) = entry.filter(|entry| entry.is_valid && entry.channel_info.is_ipmi) else {
            continue;
        };
        if let Some(channel) = channel(self::number(&number)?, &entry)? {
            channels.push(channel);
        }
    }
    ChannelTable::try_from(channels)
}

fn channel(number: u8, entry: &Entry) -> Result<Option<Channel>, String> {
    let info = &entry.channel_info;
    let (Some(medium), Some(protocol)) = (medium(&info.medium_type), protocol(&info.protocol_type))
    else {
        return Ok(None);
    };
    let sessions = SessionSupport::from_name(&info.session_supported)
        .ok_or_else(|| format!("{:?} is no session support", info.session_supported))?;
    Ok(Some(Channel {
        number,
        name: entry.name.clone(),
        medium,
        protocol,
        sessions,
        access: AccessMode::AlwaysAvailable,
        privilege_limit: ipmi_proto::Privilege::Administrator,
    }))
}

/// The number of the first channel that is said to be the management interface, or 1
/// (`getManagementNICID`).
pub(super) fn management(text: &[u8]) -> Result<u8, String> {
    let entries: BTreeMap<String, Option<Entry>> = parse(text)?;
    let mut channels = Vec::new();
    for (number, entry) in entries {
        if entry.is_some_and(|entry| entry.is_management_nic) {
            channels.push(self::number(&number)?);
        }
    }
    Ok(channels.into_iter().min().unwrap_or(FIRST_LAN))
}

/// The access to each channel in the file.
pub(super) fn access(text: &[u8]) -> Result<BTreeMap<u8, ChannelAccess>, String> {
    let entries: BTreeMap<String, Option<Access>> = parse(text)?;
    let mut channels = BTreeMap::new();
    for (number, entry) in entries {
        if let Some(entry) = entry {
            // A limit of none admits nobody, which a channel that is disabled does too.
            let limit = level(&entry.priv_limit)?;
            let mode = match limit {
                Some(_) => mode(&entry.access_mode)?,
                None => AccessMode::Disabled,
            };
            let access = ChannelAccess {
                mode,
                privilege_limit: limit.unwrap_or(ipmi_proto::Privilege::Callback),
                per_message_auth_disabled: entry.per_msg_auth_disabled,
                user_level_auth_disabled: entry.user_auth_disabled,
                alerting_disabled: entry.alerting_disabled,
            };
            channels.insert(self::number(&number)?, access);
        }
    }
    Ok(channels)
}

/// The file of these settings.
pub(super) fn emit(channels: &BTreeMap<u8, ChannelAccess>) -> BTreeMap<String, Access> {
    let access = |(number, access): (&u8, &ChannelAccess)| {
        let mode = match access.mode {
            AccessMode::AlwaysAvailable => "always_available",
            mode => mode.name(),
        };
        let access = Access {
            access_mode: mode.to_owned(),
            alerting_disabled: access.alerting_disabled,
            per_msg_auth_disabled: access.per_message_auth_disabled,
            priv_limit: level_name(Some(access.privilege_limit)).to_owned(),
            user_auth_disabled: access.user_level_auth_disabled,
        };
        (number.to_string(), access)
    };
    channels.iter().map(access).collect()
}

/// The privileges of channels and cipher suites by name (`privList`).
const LEVELS: [(&str, Option<Privilege>); 6] = [
    ("priv-reserved", None),
    ("priv-callback", Some(Privilege::Callback)),
    ("priv-user", Some(Privilege::User)),
    ("priv-operator", Some(Privilege::Operator)),
    ("priv-admin", Some(Privilege::Administrator)),
    ("priv-oem", Some(Privilege::Oem)),
];

/// The privilege of this name; `None` for the reserved one.
pub(super) fn level(name: &str) -> Result<Option<Privilege>, String> {
    let known = LEVELS.iter().find(|(known, _)| *known == name);
    known.map(|(_, level)| *level).ok_or_else(|| format!("{name:?} is no privilege"))
}

/// The name of a privilege.
pub(super) fn level_name(level: Option<Privilege>) -> &'static str {
    let known = LEVELS.iter().find(|(_, known)| *known == level);
    known.map_or("priv-reserved", |(name, _)| name)
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

fn number(key: &str) -> Result<u8, String> {
    let number = key.parse().ok().filter(|number| *number <= 15);
    number.ok_or_else(|| format!("{key:?} is no channel number"))
}

fn mode(name: &str) -> Result<AccessMode, String> {
    match name {
        "always_available" => Ok(AccessMode::AlwaysAvailable),
        _ => AccessMode::from_name(name).ok_or_else(|| format!("{name:?} is no access mode")),
    }
}

fn medium(name: &str) -> Option<Medium> {
    Some(match name {
        "ipmb" => Medium::Ipmb,
        "icmb-v1.0" => Medium::Icmb10,
        "icmb-v0.9" => Medium::Icmb09,
        "lan-802.3" => Medium::Lan,
        "serial" => Medium::Serial,
        "other-lan" => Medium::OtherLan,
        "pci-smbus" => Medium::PciSmbus,
        "smbus-v1.0" => Medium::Smbus1,
        "smbus-v2.0" => Medium::Smbus2,
        "usb-1x" => Medium::Usb1,
        "usb-2x" => Medium::Usb2,
        "system-interface" | "oem" => Medium::System,
        _ => return None,
    })
}

fn protocol(name: &str) -> Option<ChannelProtocol> {
    Some(match name {
        "ipmb-1.0" => ChannelProtocol::Ipmb,
        "icmb-2.0" => ChannelProtocol::Icmb10,
        "ipmi-smbus" => ChannelProtocol::Smbus,
        "kcs" => ChannelProtocol::Kcs,
        "smic" => ChannelProtocol::Smic,
        "bt-10" => ChannelProtocol::Bt10,
        "bt-15" => ChannelProtocol::Bt15,
        "tmode" => ChannelProtocol::TMode,
        "oem" => ChannelProtocol::Oem1,
        _ => return None,
    })
}
