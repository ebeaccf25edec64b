//! Captures: packets of a pcap file (draft-ietf-opsawg-pcap), as tcpdump and `mctp-demuxd --capture` write them.
//!
//! Link types: Ethernet, with VLAN tags, raw IP, and Linux's cooked captures. Of IPv4 and IPv6 without extension headers and
//! fragments the UDP datagrams of the ports of IPMI, and MCTP.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::layer::Layer;
use super::{lan, mctp};
use crate::error::Error;
use crate::time;

/// The ports of RMCP and of secure RMCP (ASF v2.0 §3.2.2).
const PORTS: [u16; 2] = [623, 664];

const UDP: u8 = 17;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];
const MCTP: u16 = 0x00fa;

/// Decodes all packets that are IPMI over LAN, to or from `port` too, or MCTP. A packet that cannot be decoded says why.
pub(super) fn capture(bytes: &[u8], port: Option<u16>) -> Result<Vec<Layer>, Error> {
    let mut file = File::open(bytes)?;
    let mut layers = Vec::new();
    let mut number = 0;
    while let Some((seconds, nanoseconds, packet)) = file.next()? {
        number += 1;
        let head = Layer::new(format!("Packet {number}"), "pcap").with(
            "Time",
            format!("{}.{nanoseconds:09}Z", time::utc(seconds.into()).trim_end_matches('Z')),
        );
        let Some((protocol, payload)) = network(file.link, packet) else { continue };
        let (head, inner) = match protocol {
            MCTP => (head, mctp::packet(payload)),
            _ => {
                let Some(datagram) = Datagram::parse(payload) else { continue };
                if !datagram.has_port(port) {
                    continue;
                }
                let head = head.with("From", datagram.from()).with("To", datagram.to());
                (head, lan::datagram(datagram.data))
            }
        };
        match inner {
            Ok(inner) => layers.extend([vec![head], inner].concat()),
            Err(error) => layers.push(head.with("Error", error.to_string())),
        }
    }
    if layers.is_empty() {
        return Err(Error::failed(format_args!(
            "none of {number} packets is IPMI over LAN or MCTP"
        ))
        .remedy("--port, if the BMC listens on another port than 623"));
    }
    Ok(layers)
}

/// A packet with its time, seconds and nanoseconds.
type Packet<'a> = (u32, u32, &'a [u8]);

/// A capture file.
struct File<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
    /// Nanoseconds in the smaller unit of time stamps.
    unit: u32,
    link: u32,
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let no_pcap = || {
            Error::failed("the file is no pcap capture").remedy("editcap -F pcap FILE FILE.pcap")
        };
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or_else(no_pcap)?;
        let (is_big_endian, unit) = match u32::from_le_bytes(*magic) {
            0xa1b2_c3d4 => (false, 1000),
            0xa1b2_3c4d => (false, 1),
            0xd4c3_b2a1 => (true, 1000),
            0x4d3c_b2a1 => (true, 1),
            _ => return Err(no_pcap()),
        };
        let mut file = Self { bytes: rest, is_big_endian, unit, link: 0 };
        let fields: Option<Vec<u32>> = (0..5).map(|_| file.number()).collect();
        // The upper bits of the link type say how long a frame's check sequence is.
        file.link = fields.and_then(|fields| fields.last().copied()).ok_or_else(no_pcap)? & 0xffff;
        Ok(file)
    }

    fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.bytes.split_first_chunk::<4>()?;
        self.bytes = rest;
        Some(if self.is_big_endian {
            u32::from_be_bytes(*bytes)
        } else {
            u32::from_le_bytes(*bytes)
        })
    }

    /// The next packet.
    fn next(&mut self) -> Result<Option<Packet<'a>>, Error> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let cut = || Error::failed("the capture ends within a packet");
        let [seconds, fraction, length, _] =
            [self.number(), self.number(), self.number(), self.number()].map(|n| n.ok_or_else(cut));
        let length = usize::try_from(length?).unwrap_or(usize::MAX);
        let (packet, rest) = self.bytes.split_at_checked(length).ok_or_else(cut)?;
        self.bytes = rest;
        Ok(Some((seconds?, fraction?.saturating_mul(self.unit), packet)))
    }
}

/// The protocol of a packet, by its EtherType, and what follows the header of the link.
fn network(link: u32, packet: &[u8]) -> Option<(u16, &[u8])> {
    let at = |offset: usize| {
        let bytes = packet.get(offset..)?.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*bytes))
    };
    let (protocol, payload) = match link {
        // Ethernet, with up to two VLAN tags.
        1 => {
            let tags =
                (0..2).take_while(|tag| at(12 + 4 * tag).is_some_and(|kind| VLAN.contains(&kind)));
            let header = 12 + 4 * tags.count();
            (at(header)?, packet.get(header + 2..)?)
        }
        // Raw IP.
        101 | 228 | 229 => match packet.first()? >> 4 {
            4 => (IPV4, packet),
            6 => (IPV6, packet),
            _ => return None,
        },
        // LINUX_SLL and LINUX_SLL2.
        113 => (at(14)?, packet.get(16..)?),
        276 => (at(0)?, packet.get(20..)?),
        _ => return None,
    };
    [IPV4, IPV6, MCTP].contains(&protocol).then_some((protocol, payload))
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug)]
struct Datagram<'a> {
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    data: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Of an IPv4 or IPv6 packet; `None` for any other protocol, and for fragments.
    fn parse(packet: &'a [u8]) -> Option<Self> {
        let (source, destination, udp): (IpAddr, IpAddr, &[u8]) = if packet.first()? >> 4 == 4 {
            let header = packet.first_chunk::<20>()?;
            let length = usize::from(header[0] & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
            if header[9] != UDP || is_fragment {
                return None;
            }
            let [.., a, b, c, d, e, f, g, h] = *header;
            let (source, destination) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
            (source.into(), destination.into(), packet.get(length..total)?)
        } else {
            let (header, rest) = packet.split_first_chunk::<40>()?;
            if header[6] != UDP {
                return None;
            }
            let address = |from: usize| {
                let bytes = header.get(from..)?.first_chunk::<16>()?;
                Some(Ipv6Addr::from(*bytes))
            };
            (address(8)?.into(), address(24)?.into(), rest)
        };
        let (header, _) = udp.split_first_chunk::<8>()?;
        let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let data = udp.get(8..usize::from(number(4)))?;
        Some(Self { source: (source, number(0)), destination: (destination, number(2)), data })
    }

    fn has_port(&self, port: Option<u16>) -> bool {
        let is = |own: u16| PORTS.contains(&own) || port == Some(own);
        is(self.source.1) || is(self.destination.1)
    }

    fn from(&self) -> String {
        socket(self.source)
    }

    fn to(&self) -> String {
        socket(self.destination)
    }
}

fn socket((address, port): (impl Display, u16)) -> String {
    format!("{address} port {port}")
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const PING: [u8; 12] = hex!("06 00 ff 06 00 00 11 be 80 00 00 00");

    /// An IPv4 packet with a UDP datagram.
    fn ipv4(data: &[u8]) -> Vec<u8> {
        let length = u8::try_from(28 + data.len()).unwrap();
        let udp = u8::try_from(8 + data.len()).unwrap();
        let head = [0x45, 0, 0, length, 0, 1, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        [&head[..], &[0xc0, 0, 0x02, 0x6f, 0, udp, 0, 0], data].concat()
    }

    fn file(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
        let mut out = hex!("d4 c3 b2 a1 02 00 04 00 00 00 00 00 00 00 00 00 ff ff 00 00").to_vec();
        out.extend(link.to_le_bytes());
        for packet in packets {
            let length = u32::try_from(packet.len()).unwrap();
            for field in [1_700_000_000, 250_000, length, length] {
                out.extend(field.to_le_bytes());
            }
            out.extend(packet);
        }
        out
    }

    #[test]
    fn datagrams_are_found_behind_every_link_header() {
        let ip = ipv4(&PING);
        let ethernet = [&[0; 12][..], &[0x08, 0x00], &ip].concat();
        let tagged = [&[0; 12][..], &hex!("81 00 00 05 08 00"), &ip].concat();
        let cooked = [&[0; 14][..], &[0x08, 0x00], &ip].concat();
        for (link, packet) in [(1, ethernet), (1, tagged), (113, cooked), (101, ip)] {
            let layers = capture(&file(link, &[packet]), None).unwrap();
            let names: Vec<_> = layers.iter().map(|layer| layer.name.as_str()).collect();
            assert_eq!(names, ["Packet 1", "RMCP", "ASF presence ping"], "{link}");
            assert_eq!(layers[0].fields[0].value, "2023-11-14T22:13:20.250000000Z");
            assert_eq!(layers[0].fields[1].value, "192.0.2.1 port 49152");
        }
    }

    #[test]
    fn mctp_is_found_in_a_capture_of_mctp_demuxd() {
        let mut packet =
            hex!("00 fa 00 00 00 00 00 01 01 22 04 00 00 00 00 00 00 00 00 00").to_vec();
        packet.extend(hex!("01 08 09 c8 00 85 02"));
        let layers = capture(&file(276, &[packet]), None).unwrap();
        assert_eq!(layers.last().unwrap().name, "MCTP control");
    }

    #[test]
    fn other_packets_are_passed_over_and_bad_ones_say_why() {
        let tcp = [&ipv4(&PING)[..9], &[6], &ipv4(&PING)[10..]].concat();
        let bad = ipv4(&hex!("07 00 ff 06"));
        let layers = capture(&file(101, &[tcp.clone(), bad]), None).unwrap();
        assert_eq!((layers.len(), layers[0].name.as_str()), (1, "Packet 2"));
        assert_eq!(layers[0].fields.last().unwrap().name, "Error");
        assert!(capture(&file(101, &[tcp]), None).is_err());
    }

    #[test]
    fn capture_of_every_length_is_decoded_or_refused() {
        let whole = file(101, &[ipv4(&PING), ipv4(&PING)]);
        for length in 0..whole.len() {
            let _ = capture(&whole[..length], None);
        }
        for link in [0, 1, 101, 113, 276] {
            for packet in 0..60 {
                let _ = capture(&file(link, &[vec![0x45; packet]]), Some(0x4545));
            }
        }
    }
}
