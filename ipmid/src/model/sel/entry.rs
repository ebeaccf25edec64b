//! How a change to the log looks in the journal: a tag byte, then fixed fields, little-endian.
//!
//! | tag | change | fields |
//! |---|---|---|
//! | 01h | add | record 16, time 4 |
//! | 02h | delete | id 2, time 4 |
//! | 03h | clear | time 4 |
//! | 04h | head | last id 2, overflow 1, last addition 4, last erasure 4 |

use ipmi_proto::sel::{SelRecord, SelRecordId};

use super::log::{Change, Head};

const ADD: u8 = 0x01;
const DELETE: u8 = 0x02;
const CLEAR: u8 = 0x03;
const HEAD: u8 = 0x04;

/// The longest entry.
pub(super) const MAX_LENGTH: u16 = 21;

/// The entry for `change`.
pub(super) fn encode(change: &Change) -> Vec<u8> {
    let mut out = Vec::with_capacity(usize::from(MAX_LENGTH));
    match change {
        Change::Add { record, at } => {
            out.push(ADD);
            out.extend(record.to_bytes());
            out.extend(at.to_le_bytes());
        }
        Change::Delete { id, at } => {
            out.push(DELETE);
            out.extend(id.value().to_le_bytes());
            out.extend(at.to_le_bytes());
        }
        Change::Clear { at } => {
            out.push(CLEAR);
            out.extend(at.to_le_bytes());
        }
        Change::Head(head) => {
            out.push(HEAD);
            out.extend(head.last_id.to_le_bytes());
            out.push(u8::from(head.overflow));
            out.extend(head.last_add.to_le_bytes());
            out.extend(head.last_erase.to_le_bytes());
        }
    }
    out
}

/// The change of an entry; `None` for what an entry cannot be.
pub(super) fn decode(entry: &[u8]) -> Option<Change> {
    let (tag, mut rest) = entry.split_first()?;
    let change = match *tag {
        ADD => Change::Add {
            record: SelRecord::from_bytes(take(&mut rest)?),
            at: u32::from_le_bytes(take(&mut rest)?),
        },
        DELETE => Change::Delete {
            id: SelRecordId::new(u16::from_le_bytes(take(&mut rest)?))?,
            at: u32::from_le_bytes(take(&mut rest)?),
        },
        CLEAR => Change::Clear { at: u32::from_le_bytes(take(&mut rest)?) },
        HEAD => Change::Head(Head {
            last_id: u16::from_le_bytes(take(&mut rest)?),
            overflow: take::<1>(&mut rest)? != [0],
            last_add: u32::from_le_bytes(take(&mut rest)?),
            last_erase: u32::from_le_bytes(take(&mut rest)?),
        }),
        _ => return None,
    };
    rest.is_empty().then_some(change)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_match_golden_bytes() {
        let record = hex!("01 00 e0 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d");
        let head = Head { last_id: 7, overflow: true, last_add: 0x10, last_erase: 0x20 };
        let id = SelRecordId::new(0x102).unwrap();
        let cases: [(Change, &[u8]); 4] = [
            (
                Change::Add { record: SelRecord::from_bytes(record), at: 0x0403_0201 },
                &hex!("01 0100e00102030405060708090a0b0c0d 01020304"),
            ),
            (Change::Delete { id, at: 9 }, &hex!("02 0201 09000000")),
            (Change::Clear { at: 9 }, &hex!("03 09000000")),
            (Change::Head(head), &hex!("04 0700 01 10000000 20000000")),
        ];
        for (change, bytes) in cases {
            assert_eq!(encode(&change), bytes);
            assert_eq!(decode(bytes), Some(change));
            assert!(bytes.len() <= usize::from(MAX_LENGTH));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_not(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let _ = decode(&bytes);
        }
    }
}
