//! Platform Event Traps: an event as an SNMP v1 trap (IPMI Platform Event Trap Format v1.0 §3).

use crate::Iana;
use crate::sel::{Direction, Event, GeneratorId};

/// 1.3.6.1.4.1.3183.1.1, the enterprise of all PETs, and below it, 1.3.6.1.4.1.3183.1.1.1, the one variable of a
/// trap (Platform Event Trap Format v1.0 §3.2), by which receivers that have the PET MIB look it up.
const ENTERPRISE: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0x98, 0x6f, 0x01, 0x01];
/// SNMP: integer, octet string, object id, sequence, address, time ticks, trap.
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const ADDRESS: u8 = 0x40;
const TICKS: u8 = 0x43;
const TRAP: u8 = 0xa4;
/// SNMP v1; a trap of the enterprise's own.
const VERSION_1: u8 = 0;
const ENTERPRISE_SPECIFIC: u8 = 6;
/// Trap and event source: IPMI.
const IPMI: u8 = 0x20;
/// No language; that of texts (Platform Management FRU Information Storage Definition v1.0 §15).
const NO_LANGUAGE: u8 = 0xff;
const ENGLISH: u8 = 0x19;
/// The OEM custom fields (§3.3, Table 4, bytes 47 to 110): the type of a text, and the end of the fields. Together
/// they have at most 64 bytes.
const TEXT: u8 = 0xc0;
const END: u8 = 0xc1;
const MAX_TEXT: usize = 62;
/// 1998-01-01 in seconds since 1970, from which traps count.
const EPOCH: u32 = 883_612_800;

/// An event to be sent as a trap.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trap {
    /// The system's GUID.
    pub guid: [u8; 16],
    /// The same in every copy of one trap, and in its acknowledgement.
    pub sequence: u16,
    /// When it happened, seconds since 1970.
    pub timestamp: u32,
    /// Minutes that local time is ahead of UTC.
    pub utc_offset: i16,
    /// Severity, as the filter that matched has it; 0 is unspecified.
    pub severity: u8,
    /// Who generated the event.
    pub generator: GeneratorId,
    /// The event.
    pub event: Event,
    /// The manufacturer of the system.
    pub manufacturer: Iana,
    /// The manufacturer's product id.
    pub product: u16,
    /// The sender's IPv4 address.
    pub agent: [u8; 4],
    /// A text, sent as an OEM custom field: its first 62 bytes; no field if it is empty.
    pub text: Vec<u8>,
}

impl Trap {
    /// The datagram, with this community string.
    #[must_use]
    pub fn to_bytes(&self, community: &str) -> Vec<u8> {
        let variable_id = [&ENTERPRISE[..], &[0x01]].concat();
        let variable = sequence(&[value(OBJECT_ID, &variable_id), value(OCTETS, &self.fields())]);
        let pdu = [
            value(OBJECT_ID, &ENTERPRISE),
            value(ADDRESS, &self.agent),
            value(INTEGER, &[ENTERPRISE_SPECIFIC]),
            value(INTEGER, &self.specific()),
            value(TICKS, &[0]),
            sequence(&[variable]),
        ];
        sequence(&[
            value(INTEGER, &[VERSION_1]),
            value(OCTETS, community.as_bytes()),
            value(TRAP, &pdu.concat()),
        ])
    }

    /// The specific trap number: sensor type, event type, direction and offset.
    fn specific(&self) -> [u8; 4] {
        let direction = match self.event.direction {
            Direction::Assertion => 0,
            Direction::Deassertion => 0x80,
        };
        let offset = direction | self.event.offset();
        [0, self.event.sensor_type, self.event.event_type, offset]
    }

    /// The trap's one variable (§3.3, Table 4): most significant bytes first.
    fn fields(&self) -> Vec<u8> {
        let [slave, _] = self.generator.0.to_le_bytes();
        let mut out = self.guid.to_vec();
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.timestamp.saturating_sub(EPOCH).to_be_bytes());
        out.extend(self.utc_offset.to_be_bytes());
        out.extend([IPMI, IPMI, self.severity, slave, self.event.sensor_number]);
        // Entity and instance are unspecified.
        out.extend([0, 0]);
        out.extend(self.event.data);
        out.extend([0; 5]);
        let text = self.custom_text();
        out.push(if text.is_empty() { NO_LANGUAGE } else { ENGLISH });
        out.extend(self.manufacturer.value().to_be_bytes());
        out.extend(self.product.to_be_bytes());
        out.extend(text);
        out.push(END);
        out
    }
}

impl Trap {
    /// The text as an OEM custom field.
    fn custom_text(&self) -> Vec<u8> {
        let mut text: Vec<u8> = self.text.iter().copied().take(MAX_TEXT).collect();
        if text.len() == 1 {
            // A length of one is the end.
            text.push(b' ');
        }
        match u8::try_from(text.len()) {
            Ok(length @ 1..) => {
                text.insert(0, TEXT | length);
                text
            }
            _ => Vec::new(),
        }
    }
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    value(SEQUENCE, &parts.concat())
}

/// A tag, a length in its shortest form, and the bytes.
fn value(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(bytes.len()) {
        Ok(short @ 0..=0x7f) => out.push(short),
        Ok(long) => out.extend([0x81, long]),
        Err(_) => {
            let [low, high, ..] = bytes.len().to_le_bytes();
            out.extend([0x82, high, low]);
        }
    }
    out.extend(bytes);
    out
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// A trap without a text.
    fn trap() -> Trap {
        Trap {
            guid: hex!("00112233445566778899aabbccddeeff"),
            sequence: 0x0102,
            timestamp: EPOCH + 0x0a0b_0c0d,
            utc_offset: -60,
            severity: 0x10,
            generator: GeneratorId::BMC,
            event: Event {
                revision: Event::REVISION,
                sensor_type: 0x01,
                sensor_number: 0x30,
                direction: Direction::Deassertion,
                event_type: 0x01,
                data: [0x59, 0x66, 0x64],
            },
            manufacturer: Iana::OPENBMC,
            product: 0x1234,
            agent: [192, 0, 2, 1],
            text: Vec::new(),
        }
    }

    #[test]
    fn trap_matches_golden_bytes() {
        // Encoded by hand after the format's Table 4 and the rules of BER.
        let bytes = hex!(
            "306b02010004067075626c6963a45e06092b06010401986f01014004c00002010201060204000101"
            "89430100303f303d060a2b06010401986f010101042f00112233445566778899aabbccddeeff0102"
            "0a0b0c0dffc4202010203000005966640000000000ff0000c2cf1234c1"
        );
        assert_eq!(trap().to_bytes("public"), bytes);
    }

    #[test]
    fn text_is_a_field_of_its_own() {
        let fields = |text: &[u8]| {
            let text = text.to_vec();
            Trap { text, ..trap() }.fields()
        };
        let without = trap().fields();
        let with = fields(b"Call hall 3");
        assert_eq!(with[..39], without[..39]);
        assert_eq!(with[39..], hex!("19 0000c2cf 1234 cb 43616c6c2068616c6c2033 c1"));
        assert_eq!(fields(b"3")[46..], hex!("c2 3320 c1"));
        let cut = fields(&[b'x'; 70]);
        assert_eq!((cut.len(), cut[46]), (110, 0xfe));
        assert_eq!(cut[108..], [b'x', END]);
    }

    #[test]
    fn long_values_have_long_lengths() {
        assert_eq!(value(OCTETS, &[7; 0x7f])[..2], [OCTETS, 0x7f]);
        assert_eq!(value(OCTETS, &[7; 0x80])[..3], [OCTETS, 0x81, 0x80]);
        assert_eq!(value(OCTETS, &[7; 0x100])[..4], [OCTETS, 0x82, 0x01, 0x00]);
    }
}
