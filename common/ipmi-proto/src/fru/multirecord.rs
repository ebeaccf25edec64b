//! The multirecord area (FRU v1.3 §16): records with a header each, the last one marked.

use crate::record::{Reader, RecordError, zero_checksum};
use crate::type_length::low_byte;

const END_OF_LIST: u8 = 0x80;
const RECORD_FORMAT: u8 = 0x02;
const UNIT: usize = 8;

/// One record of the area, such as power supply information (00h) or an OEM's (C0h-FFh).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MultiRecord {
    /// The record type.
    pub kind: u8,
    /// Its content; what is beyond 255 bytes is cut.
    pub data: Vec<u8>,
}

/// The records from the area's start to the one marked last.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<MultiRecord>, RecordError> {
    let mut reader = Reader::new("FRU multirecord area", bytes);
    let mut records = Vec::new();
    loop {
        let header: [u8; 5] = reader.array()?;
        let [kind, flags, length, checksum, _] = header;
        if zero_checksum(&header) != 0 {
            return Err(RecordError::Checksum { what: "FRU multirecord header" });
        }
        if flags & 0x0f != RECORD_FORMAT {
            return Err(RecordError::Reserved { what: "FRU multirecord format", value: flags });
        }
        let data = reader.take(usize::from(length))?;
        if zero_checksum(data) != checksum {
            return Err(RecordError::Checksum { what: "FRU multirecord" });
        }
        records.push(MultiRecord { kind, data: data.to_vec() });
        if flags & END_OF_LIST != 0 {
            return Ok(records);
        }
    }
}

/// The area of these records, padded to whole units.
pub(super) fn to_bytes(records: &[MultiRecord]) -> Vec<u8> {
    let mut area = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let last = if index + 1 == records.len() { END_OF_LIST } else { 0 };
        let data = record.data.get(..usize::from(u8::MAX)).unwrap_or(&record.data);
        let header = [record.kind, last | RECORD_FORMAT, low_byte(data.len()), zero_checksum(data)];
        area.extend(header);
        area.push(zero_checksum(&header));
        area.extend(data);
    }
    area.resize(area.len().next_multiple_of(UNIT), 0);
    area
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn records_match_golden_bytes() {
        let records = [
            MultiRecord { kind: 0xc0, data: vec![1, 2, 3] },
            MultiRecord { kind: 0xc1, data: vec![] },
        ];
        let bytes = hex!("c0 02 03 fa 41 01 02 03 c1 82 00 00 bd 00 00 00");
        assert_eq!(to_bytes(&records), bytes);
        assert_eq!(parse(&bytes).unwrap(), records);
        for cut in 0..13 {
            assert!(parse(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn wrong_checksums_are_refused() {
        for at in [3, 4, 6] {
            let mut bytes = hex!("c0 82 03 fa c1 01 02 03");
            assert!(parse(&bytes).is_ok());
            bytes[at] ^= 1;
            assert!(matches!(parse(&bytes), Err(RecordError::Checksum { .. })), "{at}");
        }
    }
}
