//! The `[mctp]` section of `causeway.toml`.

use std::time::Duration;

use daemon::{Invalid, Validate};
use mctp_proto::control::bus_owner::Timing;
use mctp_proto::control::responder::{Identity, Role, Vendor};
use mctp_proto::reassembly::Limits;
use mctp_proto::route::{Kind, Origin, Route, RouteTable};
use mctp_proto::{Address, BusPath, Eid, LinkId, Medium, MessageType};
use serde::Deserialize;
use uuid::Uuid;

use crate::args::Args;
use crate::bindings::{Binding, Spec, link_kind};
use crate::demux::{AnswerLimits, LinkKind, Settings};

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

/// What may wait for one client.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Bytes; a single message may be longer.
    pub bytes: usize,
    /// Messages.
    pub messages: usize,
}

/// A position at which the bus owner looks for an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// Link and physical address.
    pub path: BusPath,
    /// The id to assign.
    pub wanted: Option<Eid>,
}

/// What a bus owner does.
#[derive(Clone, Debug)]
pub struct OwnedBuses {
    /// The first and the last id to assign.
    pub pool: (Eid, Eid),
    /// How long to wait, and how often to repeat.
    pub timing: Timing,
    /// Where to look for endpoints.
    pub positions: Vec<Position>,
}

/// Arguments and configuration, checked and put together.
#[derive(Debug)]
pub struct Plan {
    /// For the demultiplexer.
    pub settings: Settings,
    /// Names of abstract sockets.
    pub sockets: Vec<String>,
    /// Bindings with their names, in the order of their links.
    pub(crate) bindings: Vec<Named>,
    /// What each link carries.
    pub kinds: Vec<LinkKind>,
    /// What may wait for one client.
    pub queue: QueueLimits,
    /// As a bus owner.
    pub owned: Option<OwnedBuses>,
    /// Whether to use the bus name and the paths of `mctpd`.
    pub mctpd_names: bool,
}

/// The longest name of an abstract socket (`unix(7)`: `sun_path` without its first byte).
const MAX_SOCKET_NAME: usize = 107;

impl Plan {
    /// Puts arguments and configuration together; `machine_uuid` serves when none is configured.
    ///
    /// # Errors
    ///
    /// What is wrong, as one line.
    pub fn new(
        args: &Args,
        config: &Config,
        machine_uuid: Option<[u8; 16]>,
    ) -> Result<Self, String> {
        let section = &config.mctp;
        let sockets =
            if args.sockets.is_empty() { section.sockets.clone() } else { args.sockets.clone() };
        if sockets.iter().any(|name| name.is_empty() || name.len() > MAX_SOCKET_NAME) {
            return Err(format!("a socket's name has 1 to {MAX_SOCKET_NAME} bytes"));
        }
        let specs = if args.bindings.is_empty() { &section.bindings } else { &args.bindings };
        let bindings = open(specs)?;
        let mtu = args.mtu.or(section.mtu);
        let kind = |(name, binding): &Named| {
            link_kind(&**binding, mtu).map_err(|why| format!("{name}: {why}"))
        };
        let kinds: Vec<LinkKind> = bindings.iter().map(kind).collect::<Result<_, _>>()?;
        let limits = section.limits;
        if limits.clients == 0 {
            return Err("mctp.limits.clients = 0 would leave no client to serve".to_owned());
        }
        let reassembly = Limits {
            assemblies: limits.assemblies,
            bytes: limits.assembly_bytes,
            peer_assemblies: limits.peer_assemblies,
            peer_bytes: limits.peer_assembly_bytes,
            ..Limits::default()
        };
        let identity = section.identity(args.eid, machine_uuid)?;
        let owned = section.owned_buses(&kinds, identity.static_eid)?;
        let settings = Settings {
            identity,
            reassembly,
            clients: limits.clients,
            routes: section.routes(&kinds)?,
            answer_limits: section.answer_limits()?,
            learned_life: Duration::from_secs(section.learned_s),
        };
        let queue = QueueLimits {
            bytes: limits.client_queue_bytes,
            messages: limits.client_queue_messages,
        };
        let mctpd_names = section.mctpd_names;
        Ok(Self { settings, sockets, bindings, kinds, queue, owned, mctpd_names })
    }
}

/// A binding and its name.
type Named = (String, Box<dyn Binding>);

/// Checks the bindings, each by itself and against the others.
fn open(specs: &[Spec]) -> Result<Vec<Named>, String> {
    if specs.is_empty() {
        return Err("no binding; name one, such as serial:/dev/ttyS1".to_owned());
    }
    if specs.len() > 32 {
        return Err("more than 32 bindings".to_owned());
    }
    let mut bindings: Vec<Named> = Vec::new();
    let mut devices = Vec::new();
    for spec in specs {
        let name = spec.to_string();
        let binding = spec.open().map_err(|why| format!("{name}: {why}"))?;
        binding.check().map_err(|why| format!("{name}: {why}"))?;
        for device in binding.devices() {
            // Two names of one device are one device.
            let device = std::fs::canonicalize(&device).unwrap_or(device);
            if devices.contains(&device) {
                return Err(format!("{name}: another binding has {}", device.display()));
            }
            devices.push(device);
        }
        bindings.push((name, binding));
    }
    Ok(bindings)
}

impl Section {
    fn identity(&self, eid: Option<Eid>, machine: Option<[u8; 16]>) -> Result<Identity, String> {
        let eid = eid.unwrap_or(Eid(self.eid));
        let static_eid = match eid {
            Eid::NULL => None,
            eid if eid.is_assignable() => Some(eid),
            eid => return Err(format!("EID {eid} is neither 0 nor from 8 to 254")),
        };
        let role = match self.role {
            RoleName::Endpoint => Role::Endpoint,
            RoleName::BusOwner if static_eid.is_some() => Role::BusOwner,
            RoleName::BusOwner => return Err("a bus owner needs an EID of its own".to_owned()),
        };
        let uuid = match &self.uuid {
            Some(text) => Some(parse_uuid(text).ok_or_else(|| format!("{text:?} is no UUID"))?),
            None => machine,
        };
        let versions = self.versions.iter();
        Ok(Identity {
            role,
            static_eid,
            assignable: self.accept_assignment,
            bridge: self.bridge,
            pool_size: self.bridge_pool,
            uuid,
            versions: versions
                .map(|entry| (MessageType::from_first_byte(entry.kind), entry.versions.clone()))
                .collect(),
            vendors: self.vendor.iter().map(VendorEntry::read).collect::<Result<_, _>>()?,
        })
    }

    fn routes(&self, kinds: &[LinkKind]) -> Result<Vec<Route>, String> {
        let read = |entry: &RouteEntry| {
            let BusPath { link, address } = path(kinds, entry.binding, entry.address)?;
            let last = entry.last.unwrap_or(entry.eid);
            if !Eid(entry.eid).is_assignable() || !Eid(last).is_assignable() || last < entry.eid {
                return Err(format!("route to EIDs {} to {last}", entry.eid));
            }
            let kind = if last == entry.eid { Kind::Endpoint } else { Kind::Endpoints };
            let route = Route::to(Eid(entry.eid), link, address, Origin::Static);
            Ok(Route { last: Eid(last), kind, ..route })
        };
        self.route.iter().map(read).collect()
    }

    fn answer_limits(&self) -> Result<AnswerLimits, String> {
        let limit = |ms: u64| match ms {
            0 => Err("an answer limit of 0 ms leaves no time for an answer".to_owned()),
            ms => Ok(Duration::from_millis(ms)),
        };
        let by_type = self.answer_limit.iter();
        Ok(AnswerLimits {
            all: self.answer_limit_ms.map(limit).transpose()?,
            by_type: by_type
                .map(|entry| Ok((MessageType::from_first_byte(entry.kind), limit(entry.ms)?)))
                .collect::<Result<_, String>>()?,
        })
    }

    fn owned_buses(
        &self,
        kinds: &[LinkKind],
        own: Option<Eid>,
    ) -> Result<Option<OwnedBuses>, String> {
        let owned = &self.owned;
        if matches!(self.role, RoleName::Endpoint) {
            return match owned.place.first() {
                Some(_) => Err("mctp.owned.place needs role = \"bus-owner\"".to_owned()),
                None => Ok(None),
            };
        }
        let pool = (Eid(owned.first), Eid(owned.last));
        if !pool.0.is_assignable() || !pool.1.is_assignable() || pool.1 < pool.0 {
            return Err(format!("EIDs {} to {} cannot be assigned", pool.0, pool.1));
        }
        let timing = Timing {
            answer: Duration::from_millis(owned.answer_ms),
            tries: owned.tries,
            poll: Duration::from_secs(owned.poll_s),
            rescan: Duration::from_secs(owned.rescan_s),
        };
        let mut positions: Vec<Position> = Vec::new();
        for entry in &owned.place {
            let position = entry.read(kinds, own)?;
            for other in &positions {
                if other.path == position.path {
                    let (binding, address) = (entry.binding, position.path.address);
                    return Err(format!("two places at address {address} of binding {binding}"));
                }
                if let Some(eid) = position.wanted.filter(|_| other.wanted == position.wanted) {
                    return Err(format!("two places with EID {eid}"));
                }
            }
            positions.push(position);
        }
        Ok(Some(OwnedBuses { pool, timing, positions }))
    }
}

impl PositionEntry {
    fn read(&self, kinds: &[LinkKind], own: Option<Eid>) -> Result<Position, String> {
        let path = path(kinds, self.binding, self.address)?;
        if kinds.get(usize::from(self.binding)) == Some(&LinkKind::Kernel) {
            let why = "is the kernel's, whose bus owner is mctpd";
            return Err(format!("a place on binding {}, which {why}", self.binding));
        }
        let wanted = self.eid.map(Eid);
        match wanted {
            Some(eid) if !eid.is_assignable() => {
                Err(format!("a place with EID {eid}, which cannot be assigned"))
            }
            Some(eid) if Some(eid) == own => {
                Err(format!("a place with EID {eid}, which is this endpoint's own"))
            }
            _ => Ok(Position { path, wanted }),
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

/// The link that a number in the configuration names, and a physical address on it.
fn path(kinds: &[LinkKind], binding: u8, address: u16) -> Result<BusPath, String> {
    let kind = kinds.get(usize::from(binding)).ok_or_else(|| format!("no binding {binding}"))?;
    let address = match kind {
        LinkKind::Packets(Medium::Smbus, _) => {
            let address = u8::try_from(address).ok().filter(|address| *address < 0x80);
            Address::Smbus(address.ok_or_else(|| "an I2C address above 0x7f".to_owned())?)
        }
        LinkKind::Packets(Medium::PcieVdm, _) => Address::Pcie(address),
        _ => Address::None,
    };
    Ok(BusPath::new(LinkId(binding), address))
}

/// Reads a UUID: 32 hexadecimal digits, with or without hyphens.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    Uuid::try_parse(text.trim()).ok().map(Uuid::into_bytes)
}

#[cfg(test)]
mod tests;
