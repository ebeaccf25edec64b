//! `channel_config.json` and the files of channel access: objects by channel number.

use std::collections::BTreeMap;

use ipmi_proto::{AccessMode, ChannelProtocol, Medium, SessionSupport};
use serde::Deserialize;

use super::users::privilege;
use crate::channel::{Channel, ChannelAccess, ChannelTable};

#[derive(Deserialize)]
struct Entry {
    name: String,
    is_valid: bool,
    channel_info: Info,
}

#[derive(Deserialize)]
struct Info {
    medium_type: String,
    protocol_type: String,
    session_supported: String,
    is_ipmi: bool,
}

#[derive(Deserialize)]
struct Access {
    access_mode: String,
    user_auth_disabled: bool,
    per_msg_auth_disabled: bool,
    alerting_disabled: bool,
    priv_limit: String,
}

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

/// The access to each channel that the file tells of.
pub(super) fn access(text: &[u8]) -> Result<BTreeMap<u8, ChannelAccess>, String> {
    let entries: BTreeMap<String, Option<Access>> = parse(text)?;
    let mut channels = BTreeMap::new();
    for (number, entry) in entries {
        if let Some(entry) = entry {
            // A limit of none admits nobody, which a channel that is disabled does too.
            let limit = privilege(&entry.priv_limit)?;
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

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
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
