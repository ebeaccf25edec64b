//! `cipher`: the cipher suites of the LAN channels.

use clap::{Args, Subcommand};
use ipmi_proto::{ChannelNumber, Privilege};
use rmcp_proto::suite::{Authentication, CipherSuite, Confidentiality, Integrity};
use serde::Serialize;

use crate::bmc::Bmc;
use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Report};
use crate::{hex, user};

/// List the cipher suites
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
}

/// List the cipher suites that clients may use, and up to which privilege
///
/// The suites are those of cipher-suites in section lan of causeway.toml; the privileges are LAN
/// parameter 24, which has none of suites above 15.
#[derive(Args, Debug)]
struct List {
    /// Only those of this channel
    #[arg(long, value_name = "NUMBER", value_parser = user::channel)]
    channel: Option<ChannelNumber>,
}

/// LAN parameters (IPMI v2.0 Table 23-4).
const SUITE_PRIVILEGES: u8 = 24;
/// The suites whose privilege that parameter limits: those of lower ids.
const LIMITED_SUITES: u8 = 16;

/// Where a record of Get Channel Cipher Suites begins (IPMI v2.0 Table 22-18).
const STANDARD_RECORD: u8 = 0xc0;
const OEM_RECORD: u8 = 0xc1;

/// A suite, as JSON.
#[derive(Serialize)]
struct Suite {
    channel: u8,
    id: u8,
    authentication: &'static str,
    integrity: &'static str,
    confidentiality: &'static str,
    privilege: Option<&'static str>,
}

impl Suite {
    fn row(&self) -> Vec<Cell> {
        vec![
            self.channel.to_string().into(),
            self.id.to_string().into(),
            self.authentication.into(),
            self.integrity.into(),
            self.confidentiality.into(),
            self.privilege.unwrap_or("-").into(),
        ]
    }
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let Command::List(list) = &arguments.command;
    let bmc = Bmc::connect(global).await?;
    let mut suites = Vec::new();
    for channel in bmc.session_channels(list.channel).await? {
        let channel = channel.number;
        let privileges = bmc.lan_parameter(channel, SUITE_PRIVILEGES).await?.unwrap_or_default();
        for id in ids(&bmc.cipher_suite_records(channel).await?) {
            suites.push(suite(channel, id, limit(id, &privileges)));
        }
    }
    Ok(Report::new(&suites, |page| {
        let head =
            ["CHANNEL", "SUITE", "AUTHENTICATION", "INTEGRITY", "CONFIDENTIALITY", "PRIVILEGE"];
        page.table(&head, suites.iter().map(Suite::row).collect());
    }))
}

/// Whether no session may use any of the suites `ids`.
#[cfg(feature = "doctor")]
pub(crate) async fn are_all_closed(
    bmc: &Bmc,
    channel: ChannelNumber,
    ids: &[u8],
) -> Result<bool, Error> {
    let privileges = bmc.lan_parameter(channel, SUITE_PRIVILEGES).await?.unwrap_or_default();
    Ok(ids.iter().all(|id| limit(*id, &privileges) == Some("none")))
}

/// The ids of the suites in records.
pub(crate) fn ids(records: &[u8]) -> Vec<u8> {
    let starts = records.windows(2).filter_map(|pair| match *pair {
        [STANDARD_RECORD | OEM_RECORD, id] => Some(id),
        _ => None,
    });
    starts.collect()
}

/// The privilege limit of a suite. LAN parameter 24 has a nibble for each suite id below 16, as `ipmid` and clients take it, after
/// a reserved byte; a suite above has its users' privileges.
fn limit(id: u8, privileges: &[u8]) -> Option<&'static str> {
    if id >= LIMITED_SUITES {
        return None;
    }
    let pair = *privileges.get(1 + usize::from(id / 2))?;
    let nibble = if id.is_multiple_of(2) { pair & 0x0f } else { pair >> 4 };
    Some(Privilege::new(nibble).map_or("none", hex::privilege))
}

fn suite(channel: ChannelNumber, id: u8, privilege: Option<&'static str>) -> Suite {
    let algorithms = CipherSuite::from_id(id).map(CipherSuite::algorithms);
    let name = |name: fn(rmcp_proto::suite::Algorithms) -> &'static str| {
        algorithms.map_or("unknown", name)
    };
    Suite {
        channel: channel.value(),
        id,
        authentication: name(|algorithms| match algorithms.authentication {
            Authentication::HmacSha1 => "RAKP-HMAC-SHA1",
            Authentication::HmacMd5 => "RAKP-HMAC-MD5",
            Authentication::HmacSha256 => "RAKP-HMAC-SHA256",
        }),
        integrity: name(|algorithms| match algorithms.integrity {
            Integrity::None => "none",
            Integrity::HmacSha1 => "HMAC-SHA1-96",
            Integrity::HmacMd5 => "HMAC-MD5-128",
            Integrity::Md5 => "MD5-128",
            Integrity::HmacSha256 => "HMAC-SHA256-128",
        }),
        confidentiality: name(|algorithms| match algorithms.confidentiality {
            Confidentiality::None => "none",
            Confidentiality::AesCbc128 => "AES-CBC-128",
        }),
        privilege,
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::{ids, limit};

    #[test]
    fn ids_are_those_of_the_records() {
        assert_eq!(ids(&hex!("c0 03 01 41 81 c0 11 03 44 81")), [3, 17]);
        assert_eq!(ids(&hex!("c1 80 57 01 00 01 c0 01 01")), [0x80, 1]);
        assert!(ids(&[]).is_empty() && ids(&[0xc0]).is_empty());
    }

    #[test]
    fn limits_are_nibbles_by_the_suites_id() {
        let privileges = hex!("00 00 40 00 00 00 00 00 03");
        for (id, wanted) in [(3, Some("administrator")), (2, Some("none")), (14, Some("operator"))]
        {
            assert_eq!(limit(id, &privileges), wanted, "{id}");
        }
        assert_eq!((limit(17, &privileges), limit(3, &[])), (None, None));
    }
}
