//! Requests of this endpoint, and their responses (DSP0236, "MCTP control commands").
//!
//! [`Request::emit`] gives the message; [`Response::parse`] reads what came back for it.

use alloc::vec::Vec;

use super::{Command, CompletionCode, ControlHeader};
use crate::route::Kind;
use crate::{Address, DropReason, Eid, MessageType};

/// A request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// Give the receiver an id; `true` even if it has one already.
    SetEndpointId(Eid, bool),
    /// Have the receiver return to its static id.
    ResetEndpointId,
    /// The receiver's id.
    GetEndpointId,
    /// The receiver's UUID.
    GetEndpointUuid,
    /// The versions of a type that it supports; of the base specification for `None`.
    GetVersionSupport(Option<MessageType>),
    /// The types that it supports.
    GetMessageTypeSupport,
    /// The vendors' messages that it supports. Selectors count from 0.
    GetVendorMessageSupport(u8),
    /// The bridge and the address that an id is behind.
    ResolveEndpointId(Eid),
    /// Ids for what is behind a bridge: the first, and how many; `true` even if it has some.
    AllocateEndpointIds(Eid, u8, bool),
    /// The ids that a bridge holds for what is behind it (Allocate Endpoint IDs, operation 2)
    GetAllocation,
    /// The position of a range of ids: what is there, the first and how many, and the address on the
    /// bus that the request goes out on.
    RoutingInformationUpdate(Kind, (Eid, u8), Address),
    /// The routes that it has. Handles count from 0.
    GetRoutingTableEntries(u8),
    /// The receiver is to forget that it was found.
    PrepareForEndpointDiscovery,
    /// The receiver is to answer if it has not been found.
    EndpointDiscovery,
    /// A new endpoint announces itself.
    DiscoveryNotify,
}

impl Request {
    /// Its command.
    #[must_use]
    pub const fn command(self) -> Command {
        match self {
            Self::SetEndpointId(..) | Self::ResetEndpointId => Command::SET_ENDPOINT_ID,
            Self::GetEndpointId => Command::GET_ENDPOINT_ID,
            Self::GetEndpointUuid => Command::GET_ENDPOINT_UUID,
            Self::GetVersionSupport(_) => Command::GET_VERSION_SUPPORT,
            Self::GetMessageTypeSupport => Command::GET_MESSAGE_TYPE_SUPPORT,
            Self::GetVendorMessageSupport(_) => Command::GET_VENDOR_MESSAGE_SUPPORT,
            Self::ResolveEndpointId(_) => Command::RESOLVE_ENDPOINT_ID,
            Self::AllocateEndpointIds(..) | Self::GetAllocation => Command::ALLOCATE_ENDPOINT_IDS,
            Self::RoutingInformationUpdate(..) => Command::ROUTING_INFORMATION_UPDATE,
            Self::GetRoutingTableEntries(_) => Command::GET_ROUTING_TABLE_ENTRIES,
            Self::PrepareForEndpointDiscovery => Command::PREPARE_FOR_ENDPOINT_DISCOVERY,
            Self::EndpointDiscovery => Command::ENDPOINT_DISCOVERY,
            Self::DiscoveryNotify => Command::DISCOVERY_NOTIFY,
        }
    }

    /// The whole message, type byte and all.
    #[must_use]
    pub fn emit(self, instance: u8) -> Vec<u8> {
        let header = ControlHeader::request(self.command(), instance);
        match self {
            Self::SetEndpointId(eid, force) => header.message(&[u8::from(force), eid.0]),
            Self::ResetEndpointId => header.message(&[2, 0]),
            Self::GetVersionSupport(kind) => {
                header.message(&[kind.map_or(0xff, MessageType::value)])
            }
            Self::GetVendorMessageSupport(selector) => header.message(&[selector]),
            Self::ResolveEndpointId(eid) => header.message(&[eid.0]),
            Self::AllocateEndpointIds(first, size, force) => {
                header.message(&[u8::from(force), size, first.0])
            }
            Self::GetAllocation => header.message(&[2, 0, 0]),
            Self::RoutingInformationUpdate(kind, (first, size), address) => {
                let mut update = Vec::from([1, kind.code(), size, first.0]);
                address.emit(&mut update);
                header.message(&update)
            }
            Self::GetRoutingTableEntries(handle) => header.message(&[handle]),
            _ => header.message(&[]),
        }
    }
}

/// One range of a routing table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoutingEntry {
    /// The first id, and how many.
    pub range: (Eid, u8),
    /// What is there.
    pub kind: Kind,
    /// Whether it is configured.
    pub fixed: bool,
    /// Binding and medium ids of DSP0239.
    pub medium: (u8, u8),
    /// The physical address, in the medium's form.
    pub address: Vec<u8>,
}

/// What a successful response says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Response {
    /// To Set Endpoint ID: whether it was accepted, the id in force, how many ids are wanted for what
    /// is behind the endpoint.
    EndpointIdSet(bool, Eid, u8),
    /// To Get Endpoint ID: the id, and whether it is a bridge or bus owner.
    EndpointId(Eid, bool),
    /// To Get Endpoint UUID.
    Uuid([u8; 16]),
    /// To Get MCTP Version Support.
    Versions(Vec<[u8; 4]>),
    /// To Get Message Type Support.
    Types(Vec<MessageType>),
    /// To Get Vendor Defined Message Support: the next selector, and format, id and command set as
    /// they came.
    Vendor(Option<u8>, Vec<u8>),
    /// To Resolve Endpoint ID: the bridge, and its physical address.
    Resolved(Eid, Vec<u8>),
    /// To Allocate Endpoint IDs: whether it was accepted, the first id, and how many.
    Allocated(bool, Eid, u8),
    /// To Get Routing Table Entries: the next handle, and entries.
    Routes(Option<u8>, Vec<RoutingEntry>),
    /// To Routing Information Update and the discovery commands, which say nothing more.
    Done,
}

/// Why there is no [`Response`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResponseError {
    /// The message is no response to this request.
    Unrelated,
    /// The request was refused.
    Refused(CompletionCode),
    /// The response is shorter than its command has it.
    Malformed(DropReason),
}

const TRUNCATED: ResponseError = ResponseError::Malformed(DropReason::Truncated);
const LAST: u8 = 0xff;

impl Response {
    /// Reads the response to `request`, which was sent with `instance`.
    ///
    /// # Errors
    ///
    /// [`ResponseError`], for each kind of wrong response.
    pub fn parse(request: Request, instance: u8, message: &[u8]) -> Result<Self, ResponseError> {
        let (header, data) = ControlHeader::parse(message).map_err(ResponseError::Malformed)?;
        let expected = ControlHeader::request(request.command(), instance).response();
        if header != expected {
            return Err(ResponseError::Unrelated);
        }
        let (&code, data) = data.split_first().ok_or(TRUNCATED)?;
        if code != CompletionCode::SUCCESS.0 {
            return Err(ResponseError::Refused(CompletionCode(code)));
        }
        Self::parse_data(request.command(), data).ok_or(TRUNCATED)
    }

    /// Reads what follows the completion code of a successful response.
    pub(super) fn parse_data(command: Command, data: &[u8]) -> Option<Self> {
        const ASSIGNMENT_MASK: u8 = 0x30;
        const ENDPOINT_KIND_MASK: u8 = 0x30;
        const ALLOCATION_MASK: u8 = 0x03;
        let more = |next: u8| (next != LAST).then_some(next);
        Some(match (command, data) {
            (Command::SET_ENDPOINT_ID, &[status, eid, pool, ..]) => {
                Self::EndpointIdSet(status & ASSIGNMENT_MASK == 0, Eid(eid), pool)
            }
            (Command::GET_ENDPOINT_ID, &[eid, kind, ..]) => {
                Self::EndpointId(Eid(eid), kind & ENDPOINT_KIND_MASK != 0)
            }
            (Command::GET_ENDPOINT_UUID, data) => Self::Uuid(*data.first_chunk()?),
            (Command::GET_VERSION_SUPPORT, &[count, ref versions @ ..]) => {
                let versions = versions.get(..4 * usize::from(count))?;
                Self::Versions(versions.as_chunks().0.to_vec())
            }
            (Command::GET_MESSAGE_TYPE_SUPPORT, &[count, ref types @ ..]) => {
                let types = types.get(..usize::from(count))?;
                Self::Types(types.iter().map(|&t| MessageType::from_first_byte(t)).collect())
            }
            (Command::GET_VENDOR_MESSAGE_SUPPORT, &[next, ref vendor @ ..]) => {
                Self::Vendor(more(next), vendor.to_vec())
            }
            (Command::RESOLVE_ENDPOINT_ID, &[bridge, ref address @ ..]) => {
                Self::Resolved(Eid(bridge), address.to_vec())
            }
            (Command::ALLOCATE_ENDPOINT_IDS, &[status, size, first, ..]) => {
                Self::Allocated(status & ALLOCATION_MASK == 0, Eid(first), size)
            }
            (Command::GET_ROUTING_TABLE_ENTRIES, &[next, count, ref entries @ ..]) => {
                Self::Routes(more(next), routing_entries(count, entries)?)
            }

            (
                Command::ROUTING_INFORMATION_UPDATE
                | Command::PREPARE_FOR_ENDPOINT_DISCOVERY
                | Command::ENDPOINT_DISCOVERY
                | Command::DISCOVERY_NOTIFY,
                _,
            ) => Self::Done,
            _ => return None,
        })
    }
}

fn routing_entries(count: u8, mut bytes: &[u8]) -> Option<Vec<RoutingEntry>> {
    const FIXED: u8 = 0x20;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (&[size, first, kind, binding, medium, len], rest) = bytes.split_first_chunk()?;
        let (address, rest) = rest.split_at_checked(usize::from(len))?;
        entries.push(RoutingEntry {
            range: (Eid(first), size),
            kind: Kind::from_code(kind >> 6)?,
            fixed: kind & FIXED != 0,
            medium: (binding, medium),
            address: address.to_vec(),
        });
        bytes = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use hex_literal::hex;

    use super::*;

    /// The request's bytes, and the response from its completion code on.
    fn both_ways(request: Request, bytes: &[u8], answer: &[u8], response: Response) {
        assert_eq!(request.emit(3), [&[0, 0x83], bytes].concat(), "{request:?}");
        let answer = [&[0, 3, request.command().0], answer].concat();
        assert_eq!(Response::parse(request, 3, &answer), Ok(response), "{request:?}");
        for len in 0..4 {
            assert!(Response::parse(request, 3, &answer[..len]).is_err(), "{request:?} {len}");
        }
    }

    #[test]
    fn assignments_match_golden_bytes() {
        for (request, bytes, answer, response) in [
            (
                Request::SetEndpointId(Eid(9), false),
                hex!("01 00 09"),
                hex!("00 00 09 00"),
                Response::EndpointIdSet(true, Eid(9), 0),
            ),
            (
                Request::SetEndpointId(Eid(9), true),
                hex!("01 01 09"),
                hex!("00 11 08 04"),
                Response::EndpointIdSet(false, Eid(8), 4),
            ),
            (
                Request::ResetEndpointId,
                hex!("01 02 00"),
                hex!("00 00 08 00"),
                Response::EndpointIdSet(true, Eid(8), 0),
            ),
        ] {
            both_ways(request, &bytes, &answer, response);
        }
        let allocate = Request::AllocateEndpointIds(Eid(20), 4, false);
        let allocated = Response::Allocated(true, Eid(20), 4);
        both_ways(allocate, &hex!("08 00 04 14"), &hex!("00 00 04 14"), allocated);
        let held = Response::Allocated(true, Eid(20), 4);
        both_ways(Request::GetAllocation, &hex!("08 02 00 00"), &hex!("00 00 04 14"), held);
    }

    #[test]
    fn questions_match_golden_bytes() {
        let bytes = hex!("000102030405060708090a0b0c0d0e0f");
        let answer = [&[0], &bytes[..]].concat();
        both_ways(Request::GetEndpointUuid, &hex!("03"), &answer, Response::Uuid(bytes));
        let id = Response::EndpointId(Eid(8), true);
        both_ways(Request::GetEndpointId, &hex!("02"), &hex!("00 08 11 00"), id);
        let versions = Response::Versions(vec![hex!("f1f0ff00"), hex!("f1f3f100")]);
        let answer = hex!("00 02 f1f0ff00 f1f3f100");
        both_ways(Request::GetVersionSupport(None), &hex!("04 ff"), &answer, versions);
        let of_spdm = Request::GetVersionSupport(Some(MessageType::SPDM));
        both_ways(of_spdm, &hex!("04 05"), &hex!("00 00"), Response::Versions(vec![]));
        let types = Response::Types(vec![MessageType::CONTROL, MessageType::SPDM]);
        both_ways(Request::GetMessageTypeSupport, &hex!("05"), &hex!("00 02 00 05"), types);
        let vendor = Response::Vendor(None, hex!("00 1ab4 0001").to_vec());
        let answer = hex!("00 ff 00 1ab4 0001");
        both_ways(Request::GetVendorMessageSupport(0), &hex!("06 00"), &answer, vendor);
        let resolved = Response::Resolved(Eid(10), vec![0x3c]);
        let resolve = Request::ResolveEndpointId(Eid(12));
        both_ways(resolve, &hex!("07 0c"), &hex!("00 0a 3c"), resolved);
    }

    #[test]
    fn routes_and_discovery_match_golden_bytes() {
        let behind_bus = RoutingEntry {
            range: (Eid(9), 1),
            kind: Kind::Endpoint,
            fixed: false,
            medium: (1, 2),
            address: vec![0x3a],
        };
        let behind_line = RoutingEntry {
            range: (Eid(10), 11),
            kind: Kind::BridgeAndEndpoints,
            fixed: true,
            medium: (5, 0x30),
            address: vec![],
        };
        let routes = Response::Routes(None, vec![behind_bus, behind_line]);
        let answer = hex!("00 ff 02 01 09 00 01 02 01 3a 0b 0a 60 05 30 00");
        both_ways(Request::GetRoutingTableEntries(0), &hex!("0a 00"), &answer, routes);
        let known = Request::RoutingInformationUpdate(
            Kind::BridgeAndEndpoints,
            (Eid(10), 11),
            Address::Smbus(0x1e),
        );
        both_ways(known, &hex!("09 01 01 0b 0a 3c"), &hex!("00"), Response::Done);
        for (request, command) in [
            (Request::PrepareForEndpointDiscovery, 0x0b),
            (Request::EndpointDiscovery, 0x0c),
            (Request::DiscoveryNotify, 0x0d),
        ] {
            both_ways(request, &[command], &[0], Response::Done);
        }
    }

    #[test]
    fn refusals_and_other_messages_are_distinguished() {
        let parse = |bytes: &[u8]| Response::parse(Request::GetEndpointId, 3, bytes);
        let refused = ResponseError::Refused(CompletionCode::NOT_READY);
        assert_eq!(parse(&hex!("00 03 02 04")), Err(refused));
        for other in [&hex!("00 04 02 00 08 00 00")[..], &hex!("00 03 03 00"), &hex!("00 83 02")] {
            assert_eq!(parse(other), Err(ResponseError::Unrelated), "{other:02x?}");
        }
    }
}
