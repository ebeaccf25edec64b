//! The `[mctp]` section of `causeway.toml`.

use std::time::Duration;

use daemon::{Invalid, Validate};
use mctp_proto::control::bus_owner::Timing;
use mctp_proto::control::responder::{Identity, Role, Vendor};
use mctp_proto::reassembly::Limits;
use mctp_proto::route::{Kind, Origin, Route};
use mctp_proto::{Address, Eid, LinkId, Medium, MessageType};
use serde::Deserialize;

use crate::args::Args;
use crate::demux::{LinkKind, Settings};
use crate::spec::Spec;

/// What this daemon reads of the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct View {
    mctp: Section,
}

impl Validate for View {
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

/// A configured route: `binding` is the place in `bindings`, from 0.
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

/// What a bus owner gives out, and where it looks.
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
    place: Vec<Place>,
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

/// A place on a bus, and the id to give there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Place {
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

/// A place that the bus owner looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// The link it is on.
    pub link: LinkId,
    /// Where on the link.
    pub address: Address,
    /// The id to give there.
    pub wanted: Option<Eid>,
}

/// Arguments and configuration, checked and put together.
#[derive(Debug)]
pub struct Plan {
    /// For the demultiplexer.
    pub settings: Settings,
    /// Names of abstract sockets.
    pub sockets: Vec<String>,
    /// Bindings, in the order of their links.
    pub bindings: Vec<Spec>,
    /// What each link carries.
    pub kinds: Vec<LinkKind>,
    /// What may wait for one client.
    pub queue: QueueLimits,
    /// As a bus owner: ids to give, patience, places.
    pub owned: Option<((Eid, Eid), Timing, Vec<Target>)>,
}

impl Plan {
    /// Puts arguments and configuration together; `machine_uuid` serves when none is configured.
    ///
    /// # Errors
    ///
    /// What is wrong, as one line.
    pub fn new(args: &Args, view: &View, machine_uuid: Option<[u8; 16]>) -> Result<Self, String> {
        let section = &view.mctp;
        let or = |args: &[String], config: &[String]| {
            if args.is_empty() { config.to_vec() } else { args.to_vec() }
        };
        let sockets = or(&args.sockets, &section.sockets);
        let bindings =
            if args.bindings.is_empty() { section.bindings.clone() } else { args.bindings.clone() };
        if bindings.is_empty() {
            return Err("no binding; name one, such as serial:/dev/ttyS1".to_owned());
        }
        if bindings.len() > 32 {
            return Err("more than 32 bindings".to_owned());
        }
        let mtu = args.mtu.or(section.mtu);
        let kinds: Vec<LinkKind> =
            bindings.iter().map(|spec| spec.link_kind(mtu)).collect::<Result<_, _>>()?;
        let limits = section.limits;
        let reassembly = Limits {
            assemblies: limits.assemblies,
            bytes: limits.assembly_bytes,
            peer_assemblies: limits.peer_assemblies,
            peer_bytes: limits.peer_assembly_bytes,
            ..Limits::default()
        };
        let identity = section.identity(args.eid, machine_uuid)?;
        let routes = section.routes(&kinds)?;
        let owned = section.targets(&kinds)?;
        let settings = Settings { identity, reassembly, clients: limits.clients, routes };
        let queue = QueueLimits {
            bytes: limits.client_queue_bytes,
            messages: limits.client_queue_messages,
        };
        Ok(Self { settings, sockets, bindings, kinds, queue, owned })
    }
}

impl Section {
    fn identity(&self, eid: Option<Eid>, machine: Option<[u8; 16]>) -> Result<Identity, String> {
        let eid = eid.unwrap_or(Eid(self.eid));
        let static_eid = match eid {
            Eid::NULL => None,
            eid if eid.is_assignable() => Some(eid),
            eid => return Err(format!("EID {eid} is none of 0 and 8 to 254")),
        };
        let role = match self.role {
            RoleName::Endpoint => Role::Endpoint,
            RoleName::BusOwner if static_eid.is_some() => Role::BusOwner,
            RoleName::BusOwner => return Err("a bus owner needs an EID of its own".to_owned()),
        };
        let uuid = match &self.uuid {
            Some(text) => Some(uuid(text).ok_or_else(|| format!("{text:?} is no UUID"))?),
            None => machine,
        };
        let versions = self.versions.iter();
        Ok(Identity {
            role,
            static_eid,
            assignable: self.accept_assignment,
            bridge: self.bridge,
            uuid,
            versions: versions
                .map(|entry| (MessageType::from_first_byte(entry.kind), entry.versions.clone()))
                .collect(),
            vendors: self.vendor.iter().map(VendorEntry::read).collect::<Result<_, _>>()?,
        })
    }

    fn routes(&self, kinds: &[LinkKind]) -> Result<Vec<Route>, String> {
        let read = |entry: &RouteEntry| {
            let (link, address) = place(kinds, entry.binding, entry.address)?;
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

    #[expect(clippy::type_complexity, reason = "taken apart at once by the one caller")]
    fn targets(
        &self,
        kinds: &[LinkKind],
    ) -> Result<Option<((Eid, Eid), Timing, Vec<Target>)>, String> {
        let owned = &self.owned;
        if matches!(self.role, RoleName::Endpoint) {
            return Ok(None);
        }
        let pool = (Eid(owned.first), Eid(owned.last));
        if !pool.0.is_assignable() || !pool.1.is_assignable() || pool.1 < pool.0 {
            return Err(format!("EIDs {} to {} cannot be given out", pool.0, pool.1));
        }
        let timing = Timing {
            answer: Duration::from_millis(owned.answer_ms),
            tries: owned.tries,
            poll: Duration::from_secs(owned.poll_s),
            rescan: Duration::from_secs(owned.rescan_s),
        };
        let read = |entry: &Place| {
            let (link, address) = place(kinds, entry.binding, entry.address)?;
            let wanted = entry.eid.map(Eid);
            if wanted.is_some_and(|eid| !eid.is_assignable()) {
                return Err("a place with an EID that cannot be given out".to_owned());
            }
            Ok(Target { link, address, wanted })
        };
        let targets = owned.place.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Some((pool, timing, targets)))
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
fn place(kinds: &[LinkKind], binding: u8, address: u16) -> Result<(LinkId, Address), String> {
    let kind = kinds.get(usize::from(binding)).ok_or_else(|| format!("no binding {binding}"))?;
    let address = match kind {
        LinkKind::Packets(Medium::Smbus, _) => {
            let address = u8::try_from(address).ok().filter(|address| *address < 0x80);
            Address::Smbus(address.ok_or_else(|| "an I2C address above 0x7f".to_owned())?)
        }
        LinkKind::Packets(Medium::PcieVdm, _) => Address::Pcie(address),
        _ => Address::None,
    };
    Ok((LinkId(binding), address))
}

/// Reads 32 hexadecimal digits, with or without hyphens.
pub fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text
        .trim()
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |all, digit| all << 4 | digit))
        .collect();
    if digits.len() == 32 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests;
