//! Answers what others ask of this endpoint (DSP0236, "MCTP control commands").
//!
//! Not answered at all: responses, datagrams, and broadcasts other than discovery. A command that
//! this endpoint does not know, or that is not for its role, gets
//! [`CompletionCode::UNSUPPORTED_COMMAND`].

use alloc::vec::Vec;

use super::{Command, CompletionCode, ControlHeader};
use crate::route::{Kind, Origin, Route, RouteTable};
use crate::{Address, BASELINE_MTU, Eid, LinkId, Medium, MessageType};

/// Versions of the base specification, 1.0 to 1.3.1, in the coding of DSP0236.
const BASE_VERSIONS: [[u8; 4]; 4] = [
    [0xf1, 0xf0, 0xff, 0x00],
    [0xf1, 0xf1, 0xff, 0x00],
    [0xf1, 0xf2, 0xff, 0x00],
    [0xf1, 0xf3, 0xf1, 0x00],
];

/// What Get MCTP Version Support answers for a type that is supported and has no configured versions:
/// 1.0. The handler of the type negotiates the version in the type's own messages.
pub const DEFAULT_VERSION: [u8; 4] = [0xf1, 0xf0, 0xff, 0x00];

/// Stands for the base specification in Get MCTP Version Support.
const BASE_SPECIFICATION: u8 = 0xff;

/// The last entry handle and the last vendor selector.
const NO_MORE: u8 = 0xff;

/// Type byte of a route that is not dynamic, in Get Routing Table Entries.
const STATIC_ENTRY: u8 = 0x20;

/// What this endpoint is on its buses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Role {
    /// Takes the id it is given.
    #[default]
    Endpoint,
    /// Gives ids to others, and takes none.
    BusOwner,
}

/// A vendor's messages that some handler takes (Get Vendor Defined Message Support).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Vendor {
    /// By PCI vendor id, with a command set.
    Pci(u16, u16),
    /// By IANA enterprise number, with a command set.
    Iana(u32, u16),
}

impl Vendor {
    fn emit(self, out: &mut Vec<u8>) {
        let set = match self {
            Self::Pci(id, set) => {
                out.push(0);
                out.extend(id.to_be_bytes());
                set
            }
            Self::Iana(id, set) => {
                out.push(1);
                out.extend(id.to_be_bytes());
                set
            }
        };
        out.extend(set.to_be_bytes());
    }
}

/// What this endpoint is, as far as it does not change while it runs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// What it is on its buses.
    pub role: Role,
    /// The id it has from the start, and returns to; `None` when it has to be given one.
    pub static_eid: Option<Eid>,
    /// Whether a bus owner may give it another id than its static one.
    pub assignable: bool,
    /// Whether it forwards between its links, and takes a pool of ids for what is behind it.
    pub bridge: bool,
    /// As a bridge: how many ids to ask the bus owner for; 0 for none.
    pub pool_size: u8,
    /// Get Endpoint UUID, most significant byte first.
    pub uuid: Option<[u8; 16]>,
    /// Versions of message types, for Get MCTP Version Support; others have [`DEFAULT_VERSION`].
    pub versions: Vec<(MessageType, Vec<[u8; 4]>)>,
    /// Get Vendor Defined Message Support.
    pub vendors: Vec<Vendor>,
}

/// A control message as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Incoming<'a> {
    /// The link it came on.
    pub link: LinkId,
    /// What that link is.
    pub medium: Medium,
    /// Where on the link its sender is.
    pub address: Address,
    /// To whom it was addressed: this endpoint, null or broadcast.
    pub destination: Eid,
    /// Type byte and all.
    pub message: &'a [u8],
}

/// What the answers depend on beside the responder itself.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The types some handler takes, without control.
    pub types: &'a [MessageType],
    /// Where endpoints are; Routing Information Update adds to it.
    pub routes: &'a mut RouteTable,
    /// What each link is, by its number.
    pub media: &'a [Medium],
}

/// Something that happened beside the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A bus owner has given this endpoint an id.
    EidChanged(Eid),
    /// This bridge has been given ids for what is behind it: the first, and how many.
    PoolAllocated(Eid, u8),
    /// A new endpoint asks this bus owner to be found.
    DiscoveryNotify(LinkId, Address),
}

/// The answer, if there is to be one, and what else has happened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// Type byte and all.
    pub answer: Option<Vec<u8>>,
    /// At most one.
    pub event: Option<Event>,
}

type ResponseData = Result<Vec<u8>, CompletionCode>;

/// This endpoint's side of the control protocol.
#[derive(Clone, Debug)]
pub struct Responder {
    identity: Identity,
    eid: Eid,
    /// For Endpoint Discovery: whether this endpoint has been found since it was last prepared.
    discovered: bool,
    pool: Option<(Eid, u8)>,
    /// The link of the bus owner that assigned the id.
    assigned_from: Option<LinkId>,
}

impl Responder {
    /// With its static id, or none.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let eid = identity.static_eid.unwrap_or(Eid::NULL);
        Self { identity, eid, discovered: false, pool: None, assigned_from: None }
    }

    /// The id in force; null while none has been given.
    #[must_use]
    pub const fn eid(&self) -> Eid {
        self.eid
    }

    /// What this endpoint is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Sets what it reports of message types and vendors, and whether it accepts an id; what else `identity` has stays
    /// as it is.
    pub fn reconfigure(&mut self, identity: Identity) {
        let Identity { assignable, versions, vendors, .. } = identity;
        self.identity.assignable = assignable;
        self.identity.versions = versions;
        self.identity.vendors = vendors;
    }

    /// Takes a message of type 0 whose sender owns its tag.
    pub fn respond(&mut self, incoming: &Incoming<'_>, around: &mut Surroundings<'_>) -> Outcome {
        let Ok((header, data)) = ControlHeader::parse(incoming.message) else {
            return Outcome::default();
        };
        if !header.request {
            return Outcome::default();
        }
        let command = header.command;
        let discovery = matches!(
            command,
            Command::PREPARE_FOR_ENDPOINT_DISCOVERY | Command::ENDPOINT_DISCOVERY
        );
        let already_found = command == Command::ENDPOINT_DISCOVERY && self.discovered;
        if incoming.destination == Eid::BROADCAST && !discovery {
            return Outcome::default();
        }
        let mut event = None;
        let mut body = Vec::from([CompletionCode::SUCCESS.0]);
        match self.carry_out(command, data, incoming, around, &mut event) {
            Ok(data) => body.extend(data),
            Err(code) => body = Vec::from([code.0]),
        }
        let silent = header.datagram || (discovery && already_found);
        let answer = (!silent).then(|| header.response().message(&body));
        Outcome { answer, event }
    }

    fn carry_out(
        &mut self,
        command: Command,
        data: &[u8],
        incoming: &Incoming<'_>,
        around: &mut Surroundings<'_>,
        event: &mut Option<Event>,
    ) -> ResponseData {
        match command {
            Command::SET_ENDPOINT_ID => self.set_endpoint_id(data, incoming, event),
            Command::GET_ENDPOINT_ID => none(data).map(|()| self.endpoint_id()),
            Command::GET_ENDPOINT_UUID => none(data).and_then(|()| self.uuid()),
            Command::GET_VERSION_SUPPORT => self.version_support(data, around),
            Command::GET_MESSAGE_TYPE_SUPPORT => none(data).and_then(|()| type_support(around)),
            Command::GET_VENDOR_MESSAGE_SUPPORT => self.vendor_support(data),
            Command::RESOLVE_ENDPOINT_ID if self.keeps_routes() => resolve(data, around),
            Command::ALLOCATE_ENDPOINT_IDS if self.takes_pools() => self.allocate(data, event),
            Command::ROUTING_INFORMATION_UPDATE if self.takes_pools() => {
                update_routes(data, incoming, around)
            }
            Command::GET_ROUTING_TABLE_ENTRIES if self.keeps_routes() => routes(data, around),
            Command::PREPARE_FOR_ENDPOINT_DISCOVERY | Command::ENDPOINT_DISCOVERY
                if incoming.medium == Medium::PcieVdm && self.identity.role == Role::Endpoint =>
            {
                none(data)?;
                self.discovered &= command != Command::PREPARE_FOR_ENDPOINT_DISCOVERY;
                Ok(Vec::new())
            }
            Command::DISCOVERY_NOTIFY if self.identity.role == Role::BusOwner => {
                none(data)?;
                *event = Some(Event::DiscoveryNotify(incoming.link, incoming.address));
                Ok(Vec::new())
            }
            _ => Err(CompletionCode::UNSUPPORTED_COMMAND),
        }
    }

    fn keeps_routes(&self) -> bool {
        self.identity.bridge || self.identity.role == Role::BusOwner
    }

    fn takes_pools(&self) -> bool {
        self.identity.bridge && self.identity.role == Role::Endpoint
    }

    /// Set Endpoint ID. Response: assignment status, id in force, pool size wanted.
    ///
    /// An endpoint that is on several buses has the id of the bus owner that assigned one first:
    /// that of another bus owner is rejected unless it is forced (DSP0236, "Set Endpoint ID", operation 0).
    fn set_endpoint_id(
        &mut self,
        data: &[u8],
        incoming: &Incoming<'_>,
        event: &mut Option<Event>,
    ) -> ResponseData {
        const REJECTED: u8 = 0x10;
        const FORCE: u8 = 1;
        if self.identity.role == Role::BusOwner {
            return Err(CompletionCode::UNSUPPORTED_COMMAND);
        }
        let &[operation, eid] = data else {
            return Err(CompletionCode::INVALID_LENGTH);
        };
        let operation = operation & 0x03;
        let wanted = match operation {
            0 | FORCE if !Eid(eid).is_assignable() => return Err(CompletionCode::INVALID_DATA),
            0 | FORCE => Some(Eid(eid)),
            2 => Some(self.identity.static_eid.ok_or(CompletionCode::INVALID_DATA)?),
            _ if incoming.medium != Medium::PcieVdm => return Err(CompletionCode::INVALID_DATA),
            _ => None,
        };
        let mut status = 0;
        if let Some(wanted) = wanted {
            let fixed = self.identity.static_eid.is_some_and(|eid| eid != wanted);
            let other_owner = self.assigned_from.is_some_and(|link| link != incoming.link);
            if (fixed && !self.identity.assignable) || (other_owner && operation != FORCE) {
                status = REJECTED;
            } else {
                self.assigned_from = (operation != 2).then_some(incoming.link);
                if wanted != self.eid {
                    self.eid = wanted;
                    *event = Some(Event::EidChanged(wanted));
                }
            }
        }
        self.discovered = true;
        let (pool_status, pool_size) = self.pool_wish();
        Ok(Vec::from([status | pool_status, self.eid.0, pool_size]))
    }

    /// Allocation status and pool size in the answer to Set Endpoint ID.
    fn pool_wish(&self) -> (u8, u8) {
        const POOL_WANTED: u8 = 0x01;
        const POOL_HELD: u8 = 0x02;
        match self.pool {
            Some((_, size)) => (POOL_HELD, size),
            None if self.takes_pools() && self.identity.pool_size > 0 => {
                (POOL_WANTED, self.identity.pool_size)
            }
            None => (0, 0),
        }
    }

    /// Get Endpoint ID. Response: id, endpoint and id type, medium specific.
    fn endpoint_id(&self) -> Vec<u8> {
        const BUS_OWNER_OR_BRIDGE: u8 = 0x10;
        let id_type = match self.identity.static_eid {
            None => 0,
            Some(eid) if eid == self.eid => 1,
            Some(_) => 3,
        };
        let kind = if self.keeps_routes() { BUS_OWNER_OR_BRIDGE } else { 0 };
        Vec::from([self.eid.0, kind | id_type, 0])
    }

    fn uuid(&self) -> ResponseData {
        let uuid = self.identity.uuid.ok_or(CompletionCode::UNSUPPORTED_COMMAND)?;
        Ok(uuid.to_vec())
    }

    /// Get MCTP Version Support: the base specification for type FFh and 0; for others what is
    /// configured, or [`DEFAULT_VERSION`] for each type that Get Message Type Support lists.
    fn version_support(&self, data: &[u8], around: &Surroundings<'_>) -> ResponseData {
        let &[kind] = data else {
            return Err(CompletionCode::INVALID_LENGTH);
        };
        let configured = self.identity.versions.iter().find(|(known, _)| known.value() == kind);
        let supported = around.types.iter().any(|supported| supported.value() == kind);
        let versions = match (kind, configured) {
            (BASE_SPECIFICATION | 0, _) => &BASE_VERSIONS[..],
            (_, Some((_, versions))) => versions,
            _ if supported => &[DEFAULT_VERSION],
            _ => return Err(CompletionCode::TYPE_NOT_SUPPORTED),
        };
        let count = u8::try_from(versions.len()).map_err(|_| CompletionCode::ERROR)?;
        Ok([&[count][..], &versions.concat()].concat())
    }

    /// Get Vendor Defined Message Support: the vendor at a selector, and the next selector.
    fn vendor_support(&self, data: &[u8]) -> ResponseData {
        let &[selector] = data else {
            return Err(CompletionCode::INVALID_LENGTH);
        };
        let vendors = &self.identity.vendors;
        let vendor = vendors.get(usize::from(selector)).ok_or(CompletionCode::INVALID_DATA)?;
        let last = usize::from(selector) + 1 == vendors.len() || selector == NO_MORE - 1;
        let mut out = Vec::from([if last { NO_MORE } else { selector + 1 }]);
        vendor.emit(&mut out);
        Ok(out)
    }

    /// Allocate Endpoint IDs: takes the first pool offered, or another one when forced.
    fn allocate(&mut self, data: &[u8], event: &mut Option<Event>) -> ResponseData {
        const REJECTED: u8 = 0x01;
        let &[operation, size, first] = data else {
            return Err(CompletionCode::INVALID_LENGTH);
        };
        let last = first.checked_add(size.saturating_sub(1)).map(Eid);
        let fits = Eid(first).is_assignable() && last.is_some_and(Eid::is_assignable) && size > 0;
        let mut status = 0;
        match operation & 0x03 {
            0 | 1 if !fits => return Err(CompletionCode::INVALID_DATA),
            0 if self.pool.is_some_and(|pool| pool != (Eid(first), size)) => status = REJECTED,
            0 | 1 => {
                self.pool = Some((Eid(first), size));
                *event = Some(Event::PoolAllocated(Eid(first), size));
            }
            2 => {}
            _ => return Err(CompletionCode::INVALID_DATA),
        }
        let (first, size) = self.pool.unwrap_or((Eid::NULL, 0));
        Ok(Vec::from([status, size, first.0]))
    }
}

fn none(data: &[u8]) -> Result<(), CompletionCode> {
    if data.is_empty() { Ok(()) } else { Err(CompletionCode::INVALID_LENGTH) }
}

/// Get Message Type Support: control itself, then what handlers have registered for.
fn type_support(around: &Surroundings<'_>) -> ResponseData {
    let others = around.types.iter().filter(|&&kind| kind != MessageType::CONTROL);
    let mut types = Vec::from([0]);
    types.extend(others.map(|kind| kind.value()));
    types.sort_unstable();
    types.dedup();
    let count = u8::try_from(types.len()).map_err(|_| CompletionCode::ERROR)?;
    Ok([&[count][..], &types].concat())
}

/// Resolve Endpoint ID: the bridge that an endpoint is behind, or the endpoint itself, and the
/// physical address.
fn resolve(data: &[u8], around: &Surroundings<'_>) -> ResponseData {
    let &[eid] = data else {
        return Err(CompletionCode::INVALID_LENGTH);
    };
    let routes = around.routes.entries();
    let covering = routes.iter().filter(|route| route.covers(Eid(eid)));
    let route = covering.min_by_key(|route| route.last.0 - route.first.0);
    let route = route.ok_or(CompletionCode::INVALID_DATA)?;
    let is_bridge = |other: &&Route| {
        matches!(other.kind, Kind::Bridge | Kind::BridgeAndEndpoints)
            && (other.link, other.address) == (route.link, route.address)
    };
    let bridge = routes.iter().find(is_bridge).map_or(Eid(eid), |bridge| bridge.first);
    let mut out = Vec::from([bridge.0]);
    route.address.emit(&mut out);
    Ok(out)
}

/// Routing Information Update: a count, then kind, range size, first id and address of each; all
/// of them are taken, or none.
fn update_routes(
    data: &[u8],
    incoming: &Incoming<'_>,
    around: &mut Surroundings<'_>,
) -> ResponseData {
    let (&count, mut rest) = data.split_first().ok_or(CompletionCode::INVALID_LENGTH)?;
    let mut routes = Vec::new();
    for _ in 0..count {
        let (&[kind, size, first], tail) =
            rest.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
        let len = incoming.medium.address_len();
        let (address, tail) = tail.split_at_checked(len).ok_or(CompletionCode::INVALID_LENGTH)?;
        let address =
            Address::parse(incoming.medium, address).ok_or(CompletionCode::INVALID_DATA)?;
        let last = first.checked_add(size.saturating_sub(1)).ok_or(CompletionCode::INVALID_DATA)?;
        if size == 0 || !Eid(first).is_assignable() || !Eid(last).is_assignable() {
            return Err(CompletionCode::INVALID_DATA);
        }
        routes.push(Route {
            first: Eid(first),
            last: Eid(last),
            link: incoming.link,
            address,
            kind: Kind::from_code(kind & 0x0f).ok_or(CompletionCode::INVALID_DATA)?,
            origin: Origin::Assigned,
        });
        rest = tail;
    }
    none(rest)?;
    for route in routes {
        around.routes.add(route);
    }
    Ok(Vec::new())
}

/// Get Routing Table Entries: as many from the handle on as fit a packet of the baseline unit.
fn routes(data: &[u8], around: &Surroundings<'_>) -> ResponseData {
    /// Control header, completion code, next handle and count.
    const BEFORE_ENTRIES: usize = 6;
    let &[handle] = data else {
        return Err(CompletionCode::INVALID_LENGTH);
    };
    let routes = around.routes.entries();
    if usize::from(handle) >= routes.len().max(1) {
        return Err(CompletionCode::INVALID_DATA);
    }
    let (mut entries, mut count, mut next) = (Vec::new(), 0_u8, NO_MORE);
    for (index, route) in routes.iter().enumerate().skip(usize::from(handle)) {
        let medium =
            around.media.get(usize::from(route.link.0)).copied().unwrap_or(Medium::Unspecified);
        let mut entry = Vec::from([route.last.0 - route.first.0 + 1, route.first.0]);
        let fixed = if route.origin == Origin::Static { STATIC_ENTRY } else { 0 };
        entry.push(route.kind.code() << 6 | fixed | (route.link.0 & 0x1f));
        let address_len = u8::try_from(medium.address_len()).map_err(|_| CompletionCode::ERROR)?;
        entry.extend([medium.binding_id(), medium.medium_id(), address_len]);
        route.address.emit(&mut entry);
        if BEFORE_ENTRIES + entries.len() + entry.len() > BASELINE_MTU {
            next = u8::try_from(index).unwrap_or(NO_MORE);
            break;
        }
        entries.extend(entry);
        count += 1;
    }
    Ok([&[next, count][..], &entries].concat())
}

#[cfg(test)]
mod tests;
