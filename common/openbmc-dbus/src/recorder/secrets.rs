//! Which bytes of a request or response are a password, key or community string: no recorder, trace or log has them.
//!
//! A vendor's commands are not known here; their data stay as they are.

use std::ops::Range;

use ipmi_proto::NetFn;

/// Replaces a secret byte.
pub const MASK: u8 = b'*';

/// The parameter "Community String" of the LAN configuration (IPMI v2.0 Table 23-4).
const COMMUNITY_STRING: u8 = 16;

/// The defining body of Redfish's host interface, whose command 02h responds with credentials (DSP0270 §9.2).
const REDFISH: u8 = 0x52;

/// Bytes before the command of a frame, and before its data.
const FRAME_COMMAND: usize = 5;

const NONE: Range<usize> = 0..0;

/// Where the secrets of a response are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Hide {
    /// There are none.
    #[default]
    Nothing,
    /// In its data from this byte on.
    From(usize),
    /// Maybe in the message inside it, as Get Message's.
    Message,
}

/// Where the secret bytes are in a request's data.
#[must_use]
pub fn of_request(netfn: u8, command: u8, data: &[u8]) -> Range<usize> {
    match (netfn, command) {
        // Set User Password (IPMI v2.0 §22.30), Activate Session (§22.17).
        (0x06, 0x47 | 0x3a) => rest(data, 2),
        // Set Channel Security Keys (§22.25).
        (0x06, 0x56) => rest(data, 3),
        // Send Message (§22.7): to an IPMB, or with a session's handle to a LAN.
        (0x06, 0x34) => within(data, &[1, 2, 3]),
        // Set LAN Configuration Parameters (§23.1).
        (0x0c, 0x01) if data.get(1) == Some(&COMMUNITY_STRING) => rest(data, 2),
        // Set Serial/Modem Configuration (§25.1): passwords of PPP and of pagers.
        (0x0c, 0x10) => rest(data, 2),
        _ => NONE,
    }
}

/// Where the secret bytes are in the response to a request.
pub(super) fn of_response(netfn: u8, command: u8, request: &[u8]) -> Hide {
    match (netfn, command) {
        // Get Session Challenge (§22.16).
        (0x06, 0x39) => Hide::From(4),
        // Get Message (§22.6).
        (0x06, 0x33) => Hide::Message,
        // Set Channel Security Keys, which also reads them.
        (0x06, 0x56) => Hide::From(1),
        (0x0c, 0x02) if request.get(1) == Some(&COMMUNITY_STRING) => Hide::From(1),
        (0x0c, 0x11) => Hide::From(1),
        (0x2c, 0x02) if request.first() == Some(&REDFISH) => Hide::From(1),
        _ => Hide::Nothing,
    }
}

impl Hide {
    /// Where they are in these data.
    pub(super) fn range(self, data: &[u8]) -> Range<usize> {
        match self {
            Self::Nothing => NONE,
            Self::From(first) => rest(data, first),
            // The channel; then a frame without its first address.
            Self::Message => within(data, &[0, 1]),
        }
    }
}

fn rest(data: &[u8], first: usize) -> Range<usize> {
    first.min(data.len())..data.len()
}

/// The secrets of a frame that is inside `data` and begins at one of these bytes: address, network function and LUN,
/// checksum, address, sequence and LUN, command, data, checksum. To the end, the checksum of the secret too.
fn within(data: &[u8], starts: &[usize]) -> Range<usize> {
    let secrets = starts.iter().filter_map(|start| {
        let frame = data.get(*start..)?;
        let (netfn, _) = NetFn::split(*frame.get(1)?);
        let command = *frame.get(FRAME_COMMAND)?;
        let inner = frame.get(FRAME_COMMAND + 1..).unwrap_or_default();
        let secret = match netfn.is_request() {
            true => of_request(netfn.value(), command, inner),
            // What was asked for is not known; the completion code comes first.
            false => of_any_response(netfn.value() & !1, command, inner),
        };
        (!secret.is_empty()).then(|| start + FRAME_COMMAND + 1 + secret.start)
    });
    secrets.min().map_or(NONE, |first| first..data.len())
}

/// The secrets of a response whose request is not known: completion code and data.
fn of_any_response(netfn: u8, command: u8, data: &[u8]) -> Range<usize> {
    let any = [0, COMMUNITY_STRING];
    let body = data.get(1..).unwrap_or_default();
    let secret = match netfn {
        0x2c if body.first() == Some(&REDFISH) => of_response(netfn, command, body),
        _ => of_response(netfn, command, &any),
    };
    let range = secret.range(body);
    if range.is_empty() { NONE } else { range.start + 1..range.end + 1 }
}

/// Masks a range of bytes, as far as they are there.
pub(super) fn mask(bytes: &mut [u8], range: Range<usize>) {
    let end = range.end.min(bytes.len());
    if let Some(secret) = bytes.get_mut(range.start.min(end)..end) {
        secret.fill(MASK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"Xq7Zw2KdVn5Rt8Lp";

    /// A frame with a message's data (IPMB v1.0 §2.11.1), as Send Message has it.
    fn frame(netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
        [&[0x20, netfn << 2, 0, 0x81, 0x04, command][..], data, &[0]].concat()
    }

    fn head(bytes: &[u8]) -> Vec<u8> {
        [bytes, SECRET].concat()
    }

    /// Every request with a secret: network function, command, data.
    fn requests() -> Vec<(u8, u8, Vec<u8>)> {
        let mut all = vec![
            (0x06, 0x47, head(&[2, 2])),
            (0x06, 0x47, head(&[2, 3])),
            (0x06, 0x56, head(&[1, 1, 1])),
            (0x06, 0x3a, head(&[4, 4])),
            (0x0c, 0x01, head(&[1, 16])),
            (0x0c, 0x10, head(&[1, 40])),
        ];
        for (netfn, command, data) in all.clone() {
            let inner = frame(netfn, command, &data);
            for prefix in [&[0x00][..], &[0x01, 0x05], &[0x40, 0x00]] {
                let sent = [prefix, &inner].concat();
                all.push((0x06, 0x34, sent.clone()));
                all.push((0x06, 0x34, [&[0x00][..], &frame(0x06, 0x34, &sent)].concat()));
            }
        }
        all
    }

    /// Every response with a secret, and its request: network function, command, request, response.
    fn responses() -> Vec<(u8, u8, Vec<u8>, Vec<u8>)> {
        let mut all = vec![
            (0x06, 0x39, vec![2], head(&[1, 0, 0, 0])),
            (0x06, 0x56, vec![1, 0, 1], head(&[2])),
            (0x0c, 0x02, vec![1, 16, 0, 0], head(&[0x11])),
            (0x0c, 0x11, vec![1, 40, 0, 0], head(&[0x11])),
            (0x2c, 0x02, vec![REDFISH, 0xa5], head(&[REDFISH])),
        ];
        for (netfn, command, _, data) in all.clone() {
            let inner = frame(netfn | 1, command, &[&[0x00][..], &data].concat());
            all.push((0x06, 0x33, vec![], [&[0x00][..], &inner[1..]].concat()));
        }
        for (netfn, command, data) in requests() {
            let inner = frame(netfn, command, &data);
            all.push((0x06, 0x33, vec![], [&[0x00][..], &inner[1..]].concat()));
        }
        all
    }

    fn has_secret(bytes: &[u8]) -> bool {
        SECRET.windows(4).any(|part| bytes.windows(4).any(|window| window == part))
    }

    #[test]
    fn no_secret_of_any_command_is_left() {
        for (netfn, command, mut data) in requests() {
            assert!(has_secret(&data));
            let range = of_request(netfn, command, &data);
            mask(&mut data, range);
            assert!(!has_secret(&data), "{netfn:02x} {command:02x} {data:02x?}");
        }
        for (netfn, command, request, mut data) in responses() {
            assert!(has_secret(&data));
            let range = of_response(netfn, command, &request).range(&data);
            mask(&mut data, range);
            assert!(!has_secret(&data), "{netfn:02x} {command:02x} {data:02x?}");
        }
    }

    #[test]
    fn other_data_stay() {
        for (netfn, command, data) in [
            (0x06, 0x01, &[][..]),
            (0x06, 0x46, SECRET),
            (0x0c, 0x01, &[1, 3, 192, 0, 2, 1]),
            (0x0a, 0x11, &[0, 0, 0, 0xff]),
            (0x2e, 0x47, SECRET),
            (0x06, 0x34, &[0, 0x20, 0x18, 0xc8, 0x81, 4, 1, 0x7a]),
        ] {
            assert!(of_request(netfn, command, data).is_empty(), "{netfn:02x} {command:02x}");
            let response = of_response(netfn, command, data).range(data);
            assert!(response.is_empty(), "{netfn:02x} {command:02x}");
        }
    }

    #[test]
    fn data_of_every_length_have_a_range_within() {
        let bytes = [0x47; 40];
        for command in 0..=u8::MAX {
            for netfn in [0x04, 0x06, 0x0a, 0x0c, 0x2c, 0x2e] {
                for length in 0..bytes.len() {
                    let data = &bytes[..length];
                    assert!(of_request(netfn, command, data).end <= length);
                    assert!(of_response(netfn, command, data).range(data).end <= length);
                }
            }
        }
    }
}
