//! Arguments and configuration, checked against each other and put together.

use std::fmt;
use std::time::Duration;

use daemon::Invalid;
use mctp_proto::control::bus_owner::Timing;
use mctp_proto::control::responder::{Identity, Role};
use mctp_proto::reassembly::Limits;
use mctp_proto::route::{Kind, Origin, Route};
use mctp_proto::{Address, BusPath, Eid, LinkId, MessageType};

use super::{Config, RoleName, Section, VendorEntry, parse_uuid};
use crate::args::Args;
use crate::bindings::{Binding, Spec, link_kind};
use crate::demux::{AnswerLimits, LinkKind, Settings};

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

/// Why arguments and configuration make no plan.
#[derive(Clone, Debug)]
pub enum PlanError {
    /// An argument is wrong, or one is missing.
    Arguments(String),
    /// A value of the file is wrong.
    Config(Invalid),
}

impl From<Invalid> for PlanError {
    fn from(invalid: Invalid) -> Self {
        Self::Config(invalid)
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(text) => f.write_str(text),
            Self::Config(invalid) => invalid.fmt(f),
        }
    }
}

/// Where a list of values is from: the arguments, which replace the file's, or a key of the file.
struct Given<'a, T> {
    values: &'a [T],
    /// The key, if they are the file's.
    key: Option<&'static str>,
}

impl<'a, T> Given<'a, T> {
    fn new(arguments: &'a [T], file: &'a [T], key: &'static str) -> Self {
        match arguments {
            [] => Self { values: file, key: Some(key) },
            values => Self { values, key: None },
        }
    }

    /// The value of this index is wrong.
    fn invalid(&self, index: usize, text: String) -> PlanError {
        match self.key {
            Some(key) => Invalid::at(format!("{key}[{index}]"), text).or_at(key).into(),
            None => PlanError::Arguments(text),
        }
    }
}

/// The longest name of an abstract socket (`unix(7)`: `sun_path` without its first byte).
const MAX_SOCKET_NAME: usize = 107;
/// Links have five bits in the route table.
const MAX_BINDINGS: usize = 32;

impl Plan {
    /// Puts arguments and configuration together; `machine_uuid` serves when none is configured.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn new(
        args: &Args,
        config: &Config,
        machine_uuid: Option<[u8; 16]>,
    ) -> Result<Self, PlanError> {
        let section = &config.mctp;
        let sockets = Given::new(&args.sockets, &section.sockets, "mctp.sockets");
        let is_long = |name: &String| name.is_empty() || name.len() > MAX_SOCKET_NAME;
        if let Some(index) = sockets.values.iter().position(is_long) {
            let text = format!("a socket's name has 1 to {MAX_SOCKET_NAME} bytes");
            return Err(sockets.invalid(index, text));
        }
        let specs = Given::new(&args.bindings, &section.bindings, "mctp.bindings");
        let bindings = open(&specs)?;
        let mtu = args.mtu.or(section.mtu);
        let kind = |(index, (name, binding)): (usize, &Named)| {
            let kind = link_kind(&**binding, mtu);
            kind.map_err(|why| specs.invalid(index, format!("{name}: {why}")))
        };
        let kinds: Vec<LinkKind> =
            bindings.iter().enumerate().map(kind).collect::<Result<_, _>>()?;
        let limits = section.limits;
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
            answer_limits: section.answer_limits(),
            learned_life: Duration::from_secs(section.learned_s),
        };
        let queue = QueueLimits {
            bytes: limits.client_queue_bytes,
            messages: limits.client_queue_messages,
        };
        let (sockets, mctpd_names) = (sockets.values.to_vec(), section.mctpd_names);
        Ok(Self { settings, sockets, bindings, kinds, queue, owned, mctpd_names })
    }
}

/// A binding and its name.
type Named = (String, Box<dyn Binding>);

/// Checks the bindings, each by itself and against the others.
fn open(specs: &Given<'_, Spec>) -> Result<Vec<Named>, PlanError> {
    if specs.values.is_empty() {
        let text = "no binding; name one, such as serial:/dev/ttyS1";
        return Err(PlanError::Arguments(text.to_owned()));
    }
    if specs.values.len() > MAX_BINDINGS {
        return Err(specs.invalid(MAX_BINDINGS, format!("more than {MAX_BINDINGS} bindings")));
    }
    let mut bindings: Vec<Named> = Vec::new();
    let mut devices = Vec::new();
    for (index, spec) in specs.values.iter().enumerate() {
        let name = spec.to_string();
        let invalid = |why: String| specs.invalid(index, format!("{name}: {why}"));
        let binding = spec.open().map_err(invalid)?;
        binding.check().map_err(invalid)?;
        for device in binding.devices() {
            // Two names of one device are one device.
            let device = std::fs::canonicalize(&device).unwrap_or(device);
            if devices.contains(&device) {
                return Err(invalid(format!("another binding has {}", device.display())));
            }
            devices.push(device);
        }
        bindings.push((name, binding));
    }
    Ok(bindings)
}

impl Section {
    fn identity(&self, eid: Option<Eid>, machine: Option<[u8; 16]>) -> Result<Identity, PlanError> {
        let (wanted, is_argument) = (eid.unwrap_or(Eid(self.eid)), eid.is_some());
        let static_eid = match wanted {
            Eid::NULL => None,
            eid if eid.is_assignable() => Some(eid),
            eid => {
                let text = format!("EID {eid} is neither 0 nor from 8 to 254");
                return Err(if is_argument {
                    PlanError::Arguments(text)
                } else {
                    Invalid::at("mctp.eid", text).into()
                });
            }
        };
        let role = match self.role {
            RoleName::Endpoint => Role::Endpoint,
            RoleName::BusOwner if static_eid.is_some() => Role::BusOwner,
            RoleName::BusOwner => {
                return Err(Invalid::at("mctp.role", "a bus owner needs an EID of its own").into());
            }
        };
        let uuid = match &self.uuid {
            Some(text) => Some(
                parse_uuid(text)
                    .ok_or_else(|| Invalid::at("mctp.uuid", format!("{text:?} is not a UUID")))?,
            ),
            None => machine,
        };
        let versions = self.versions.iter();
        let vendor = |(index, entry): (usize, &VendorEntry)| {
            entry.read().map_err(|text| Invalid::at(format!("mctp.vendor[{index}]"), text))
        };
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
            vendors: self.vendor.iter().enumerate().map(vendor).collect::<Result<_, _>>()?,
        })
    }

    fn routes(&self, kinds: &[LinkKind]) -> Result<Vec<Route>, Invalid> {
        let mut routes = Vec::new();
        for (index, entry) in self.route.iter().enumerate() {
            let at = format!("mctp.route[{index}]");
            let BusPath { link, address } = path(kinds, &at, entry.binding, entry.address)?;
            let last = entry.last.unwrap_or(entry.eid);
            let kind = if last == entry.eid { Kind::Endpoint } else { Kind::Endpoints };
            let route = Route::to(Eid(entry.eid), link, address, Origin::Static);
            routes.push(Route { last: Eid(last), kind, ..route });
        }
        Ok(routes)
    }

    fn answer_limits(&self) -> AnswerLimits {
        let by_type = self.answer_limit.iter();
        AnswerLimits {
            all: self.answer_limit_ms.map(Duration::from_millis),
            by_type: by_type
                .map(|entry| {
                    let kind = MessageType::from_first_byte(entry.kind);
                    (kind, Duration::from_millis(entry.ms))
                })
                .collect(),
        }
    }

    fn owned_buses(
        &self,
        kinds: &[LinkKind],
        own: Option<Eid>,
    ) -> Result<Option<OwnedBuses>, Invalid> {
        let owned = &self.owned;
        if matches!(self.role, RoleName::Endpoint) {
            return match owned.place.first() {
                Some(_) => Err(Invalid::at("mctp.owned.place[0]", "needs role = \"bus-owner\"")),
                None => Ok(None),
            };
        }
        let timing = Timing {
            answer: Duration::from_millis(owned.answer_ms),
            tries: owned.tries,
            poll: Duration::from_secs(owned.poll_s),
            rescan: Duration::from_secs(owned.rescan_s),
        };
        let mut positions: Vec<Position> = Vec::new();
        for index in 0..owned.place.len() {
            let position = self.position(index, kinds, own, &positions)?;
            positions.push(position);
        }
        let pool = (Eid(owned.first), Eid(owned.last));
        Ok(Some(OwnedBuses { pool, timing, positions }))
    }

    /// The position of `mctp.owned.place[index]`, which comes after `others`.
    fn position(
        &self,
        index: usize,
        kinds: &[LinkKind],
        own: Option<Eid>,
        others: &[Position],
    ) -> Result<Position, Invalid> {
        let entry = &self.owned.place[index];
        let at = format!("mctp.owned.place[{index}]");
        let path = path(kinds, &at, entry.binding, entry.address)?;
        let (binding, address) = (entry.binding, path.address);
        if kinds.get(usize::from(binding)) == Some(&LinkKind::Kernel) {
            let why = format!("binding {binding} is the kernel's, whose bus owner is mctpd");
            return Err(Invalid::at(format!("{at}.binding"), why));
        }
        let wanted = entry.eid.map(Eid);
        if let Some(eid) = wanted.filter(|_| wanted == own) {
            let text = format!("{eid} is this endpoint's own EID");
            return Err(Invalid::at(format!("{at}.eid"), text));
        }
        for other in others {
            if other.path == path {
                let text = format!("two places at address {address} of binding {binding}");
                return Err(Invalid::at(format!("{at}.address"), text).or_at(at));
            }
            if let Some(eid) = wanted.filter(|_| other.wanted == wanted) {
                let text = format!("two places with EID {eid}");
                return Err(Invalid::at(format!("{at}.eid"), text));
            }
        }
        Ok(Position { path, wanted })
    }
}

/// The link that a number in the configuration names, and a physical address on it; `at` is the key of the table
/// that has both.
fn path(kinds: &[LinkKind], at: &str, binding: u8, address: u16) -> Result<BusPath, Invalid> {
    let kind = kinds.get(usize::from(binding)).ok_or_else(|| {
        Invalid::at(format!("{at}.binding"), format!("there is no binding {binding}"))
    })?;
    let address = match *kind {
        LinkKind::Packets(medium, _) => Address::of_number(medium, address).ok_or_else(|| {
            // The media with larger addresses use all 16 bits.
            Invalid::at(format!("{at}.address"), "an I2C address is at most 0x7f")
        })?,
        LinkKind::Kernel => Address::None,
    };
    Ok(BusPath::new(LinkId(binding), address))
}
