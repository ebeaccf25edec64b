//! The `[mctp]` section of `causeway.toml`.

mod plan;

use daemon::reload::Keys;
use daemon::{Invalid, Validate};
use mctp_proto::Eid;
use mctp_proto::control::bus_owner::Timing;
use mctp_proto::control::responder::Vendor;
use mctp_proto::reassembly::Limits;
use mctp_proto::route::RouteTable;
use serde::Deserialize;
use uuid::Uuid;

pub use self::plan::{OwnedBuses, Plan, PlanError, Position, QueueLimits};
use crate::bindings::Spec;

/// The keys. A reload disconnects no client and closes no binding.
pub const KEYS: Keys = Keys {
    live: &[
        "mctp.accept-assignment",
        "mctp.answer-limit-ms",
        "mctp.answer-limit",
        "mctp.learned-s",
        "mctp.versions",
        "mctp.vendor",
        "mctp.limits.clients",
        "mctp.limits.client-queue-bytes",
        "mctp.limits.client-queue-messages",
        "mctp.limits.assemblies",
        "mctp.limits.assembly-bytes",
        "mctp.limits.peer-assemblies",
        "mctp.limits.peer-assembly-bytes",
    ],
    restart: &[
        "mctp.eid",
        "mctp.role",
        "mctp.bridge",
        "mctp.uuid",
        "mctp.sockets",
        "mctp.bindings",
        "mctp.mtu",
        "mctp.bridge-pool",
        "mctp.mctpd-names",
        "mctp.route",
        "mctp.owned.first",
        "mctp.owned.last",
        "mctp.owned.answer-ms",
        "mctp.owned.tries",
        "mctp.owned.poll-s",
        "mctp.owned.rescan-s",
        "mctp.owned.place",
    ],
    others: &[],
};

/// What this daemon reads of the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    mctp: Section,
}

impl Validate for Config {
    fn validate(&self) -> Result<(), Invalid> {
        if (1..8).contains(&self.mctp.eid) {
            return Err(Invalid::at("mctp.eid", "the EIDs from 1 to 7 are reserved"));
        }
        let owned = &self.mctp.owned;
        if owned.first > owned.last {
            let text = format!("{} is less than `first`, {}", owned.last, owned.first);
            return Err(Invalid::at("mctp.owned.last", text).or_at("mctp.owned.first"));
        }
        for (at, route) in self.mctp.route.iter().enumerate() {
            if let Some(last) = route.last.filter(|last| *last < route.eid) {
                let text = format!("{last} is less than `eid`, {}", route.eid);
                return Err(Invalid::at(format!("mctp.route[{at}].last"), text));
            }
        }
        for (at, vendor) in self.mctp.vendor.iter().enumerate() {
            vendor.read().map_err(|text| Invalid::at(format!("mctp.vendor[{at}]"), text))?;
        }
        Ok(())
    }
}

/// The section. Every key has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Section {
    #[serde(deserialize_with = "daemon::range::number::<0, 254, _, _>")]
    eid: u8,
    accept_assignment: bool,
    role: RoleName,
    bridge: bool,
    uuid: Option<String>,
    sockets: Vec<String>,
    bindings: Vec<Spec>,
    #[serde(deserialize_with = "daemon::range::optional::<64, 4096, _, _>")]
    mtu: Option<usize>,
    #[serde(deserialize_with = "daemon::range::number::<0, 246, _, _>")]
    bridge_pool: u8,
    #[serde(deserialize_with = "daemon::range::optional::<1, 3600000, _, _>")]
    answer_limit_ms: Option<u64>,
    answer_limit: Vec<TypeLimit>,
    #[serde(deserialize_with = "daemon::range::number::<1, 86400, _, _>")]
    learned_s: u64,
    mctpd_names: bool,
    route: Vec<RouteEntry>,
    owned: Owned,
    versions: Vec<TypeVersions>,
    vendor: Vec<VendorEntry>,
    limits: LimitsEntry,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            eid: 8,
            accept_assignment: true,
            role: RoleName::Endpoint,
            bridge: false,
            uuid: None,
            sockets: vec!["mctp-demux".to_owned()],
            bindings: Vec::new(),
            mtu: None,
            bridge_pool: 0,
            answer_limit_ms: None,
            answer_limit: Vec::new(),
            learned_s: RouteTable::LEARNED_LIFE.as_secs(),
            mctpd_names: false,
            route: Vec::new(),
            owned: Owned::default(),
            versions: Vec::new(),
            vendor: Vec::new(),
            limits: LimitsEntry::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RoleName {
    Endpoint,
    BusOwner,
}

/// How long answers of one message type may take.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TypeLimit {
    #[serde(rename = "type", deserialize_with = "daemon::range::number::<0, 127, _, _>")]
    kind: u8,
    #[serde(deserialize_with = "daemon::range::number::<1, 3600000, _, _>")]
    ms: u64,
}

/// A configured route: `binding` is the index in `bindings`, from 0.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RouteEntry {
    #[serde(deserialize_with = "daemon::range::number::<8, 254, _, _>")]
    eid: u8,
    #[serde(default, deserialize_with = "daemon::range::optional::<8, 254, _, _>")]
    last: Option<u8>,
    #[serde(deserialize_with = "daemon::range::number::<0, 31, _, _>")]
    binding: u8,
    #[serde(default, deserialize_with = "daemon::range::number::<0, 65535, _, _>")]
    address: u16,
}

/// What a bus owner assigns, and where it looks.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Owned {
    #[serde(deserialize_with = "daemon::range::number::<8, 254, _, _>")]
    first: u8,
    #[serde(deserialize_with = "daemon::range::number::<8, 254, _, _>")]
    last: u8,
    #[serde(deserialize_with = "daemon::range::number::<1, 60000, _, _>")]
    answer_ms: u64,
    #[serde(deserialize_with = "daemon::range::number::<1, 255, _, _>")]
    tries: u8,
    #[serde(deserialize_with = "daemon::range::number::<1, 86400, _, _>")]
    poll_s: u64,
    #[serde(deserialize_with = "daemon::range::number::<1, 86400, _, _>")]
    rescan_s: u64,
    place: Vec<PositionEntry>,
}

impl Default for Owned {
    fn default() -> Self {
        let timing = Timing::default();
        Self {
            first: 9,
            last: Eid::LAST_ASSIGNABLE.0,
            answer_ms: 500,
            tries: timing.tries,
            poll_s: timing.poll.as_secs(),
            rescan_s: timing.rescan.as_secs(),
            place: Vec::new(),
        }
    }
}

/// A position on a bus, and the id to assign there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PositionEntry {
    #[serde(deserialize_with = "daemon::range::number::<0, 31, _, _>")]
    binding: u8,
    #[serde(default, deserialize_with = "daemon::range::number::<0, 65535, _, _>")]
    address: u16,
    #[serde(default, deserialize_with = "daemon::range::optional::<8, 254, _, _>")]
    eid: Option<u8>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TypeVersions {
    #[serde(rename = "type")]
    #[serde(deserialize_with = "daemon::range::number::<0, 127, _, _>")]
    kind: u8,
    /// Each as four bytes: major, minor, update, alpha.
    versions: Vec<[u8; 4]>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct VendorEntry {
    #[serde(default, deserialize_with = "daemon::range::optional::<0, 65535, _, _>")]
    pci: Option<u16>,
    #[serde(default, deserialize_with = "daemon::range::optional::<0, 4294967295, _, _>")]
    iana: Option<u32>,
    #[serde(deserialize_with = "daemon::range::number::<0, 65535, _, _>")]
    command_set: u16,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct LimitsEntry {
    #[serde(deserialize_with = "daemon::range::number::<1, 65536, _, _>")]
    clients: usize,
    #[serde(deserialize_with = "daemon::range::number::<1, 67108864, _, _>")]
    client_queue_bytes: usize,
    #[serde(deserialize_with = "daemon::range::number::<1, 65536, _, _>")]
    client_queue_messages: usize,
    #[serde(deserialize_with = "daemon::range::number::<1, 65536, _, _>")]
    assemblies: usize,
    #[serde(deserialize_with = "daemon::range::number::<1, 67108864, _, _>")]
    assembly_bytes: usize,
    #[serde(deserialize_with = "daemon::range::number::<1, 65536, _, _>")]
    peer_assemblies: usize,
    #[serde(deserialize_with = "daemon::range::number::<1, 67108864, _, _>")]
    peer_assembly_bytes: usize,
}

impl Default for LimitsEntry {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            clients: 512,
            client_queue_bytes: 256 * 1024,
            client_queue_messages: 256,
            assemblies: limits.assemblies,
            assembly_bytes: limits.bytes,
            peer_assemblies: limits.peer_assemblies,
            peer_assembly_bytes: limits.peer_bytes,
        }
    }
}

impl VendorEntry {
    fn read(&self) -> Result<Vendor, String> {
        match (self.pci, self.iana) {
            (Some(id), None) => Ok(Vendor::Pci(id, self.command_set)),
            (None, Some(id)) => Ok(Vendor::Iana(id, self.command_set)),
            _ => Err("a vendor has either a `pci` or an `iana` number".to_owned()),
        }
    }
}

/// Reads a UUID: 32 hexadecimal digits, with or without hyphens.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    Uuid::try_parse(text.trim()).ok().map(Uuid::into_bytes)
}

#[cfg(test)]
mod tests;
