//! `cipher_list.json`, the suites there are, and `cs_privilege_levels.json`, the highest privilege of
//! sessions with each: objects `Channel<n>` of `CipherID<suite>`.

use std::collections::BTreeMap;

use ipmi_proto::Privilege;
use serde::Deserialize;

use super::channels::{level, level_name, parse};

/// The suites that OpenBMC has a record for in each channel (`maxCSRecords`).
const RECORDS: u8 = 16;

/// By channel and suite; `None` is a suite that may not be used.
pub(super) type Limits = BTreeMap<u8, BTreeMap<u8, Option<Privilege>>>;

/// One of the list; its algorithms follow from the id.
#[derive(Deserialize)]
struct Suite {
    cipher: u8,
}

/// The ids of the suites in the list.
pub(super) fn list(text: &[u8]) -> Result<Vec<u8>, String> {
    let suites: Vec<Suite> = parse(text)?;
    Ok(suites.iter().map(|suite| suite.cipher).collect())
}

/// The limits in a file; channels and suites that cannot be are passed over.
pub(super) fn limits(text: &[u8]) -> Result<Limits, String> {
    let channels: BTreeMap<String, BTreeMap<String, String>> = parse(text)?;
    let mut limits = Limits::new();
    for (channel, suites) in channels {
        let Some(channel) = number(&channel, "Channel") else {
            continue;
        };
        let known = limits.entry(channel).or_default();
        for (suite, name) in suites {
            if let Some(suite) = number(&suite, "CipherID") {
                known.insert(suite, level(&name)?);
            }
        }
    }
    Ok(limits)
}

/// The file of these limits. Each channel has all records that OpenBMC looks for.
pub(super) fn emit(limits: &Limits) -> BTreeMap<String, BTreeMap<String, &'static str>> {
    let channel = |(channel, suites): (&u8, &BTreeMap<u8, Option<Privilege>>)| {
        let administrator = Some(Privilege::Administrator);
        let ids = (0..RECORDS).chain(suites.keys().copied());
        let records = ids.map(|suite| {
            let limit = suites.get(&suite).copied().unwrap_or(administrator);
            (format!("CipherID{suite}"), level_name(limit))
        });
        (format!("Channel{channel}"), records.collect())
    };
    limits.iter().map(channel).collect()
}

fn number(key: &str, prefix: &str) -> Option<u8> {
    key.strip_prefix(prefix)?.parse().ok()
}
