//! Records of the log: get, add, add in parts, delete (IPMI v2.0 §31.5-31.8).

use std::sync::{Arc, Mutex};

use ipmi_proto::codec::{Bits, Ignored};
use ipmi_proto::sel::SelRecord;
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{Platform, StorageProvider};
use crate::model::part;
use crate::model::persistent::lock;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// The next record id after the last record.
const END: u16 = 0xffff;

/// A record that is being added in parts.
#[derive(Debug, Default)]
pub(super) struct PartialEntry(Mutex<Option<PartialRecord>>);

#[derive(Debug)]
struct PartialRecord {
    reservation: u16,
    bytes: Vec<u8>,
}

impl<P: Platform> StorageProvider<P> {
    pub(super) fn register_sel_entry(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::STORAGE, self);
        rows.add(0x43, User, "Get SEL Entry", Self::get_sel_entry);
        rows.add(0x44, Operator, "Add SEL Entry", Self::add_sel_entry);
        let mut rows = rows.changing(Resource::EVENT_LOG);
        rows.add(0x45, Operator, "Partial Add SEL Entry", Self::partial_add_sel_entry);
        rows.add(0x46, Operator, "Delete SEL Entry", Self::delete_sel_entry);
    }

    /// Get SEL Entry (IPMI v2.0 §31.5): id of the next record, and the bytes asked for.
    ///
    /// # Errors
    ///
    /// - `C5h` for a part that is not the first, without a reservation that holds.
    /// - `CBh` when there is no such record.
    async fn get_sel_entry(
        self: Arc<Self>,
        _: Context,
        reservation: u16,
        record: u16,
        offset: u8,
        count: u8,
    ) -> Result<(u16, Vec<u8>), CompletionCode> {
        if offset > 0 && !self.stores.sel.holds(reservation) {
            return Err(CompletionCode::RESERVATION_CANCELLED);
        }
        let (record, next) = self.stores.sel.get(record).ok_or(CompletionCode::NOT_PRESENT)?;
        let bytes = part(&record.to_bytes(), offset, count)?.to_vec();
        Ok((next.unwrap_or(END), bytes))
    }

    /// Add SEL Entry (IPMI v2.0 §31.6): the log gives id and time.
    ///
    /// # Errors
    ///
    /// `CCh` for a record type that §32 reserves.
    async fn add_sel_entry(
        self: Arc<Self>,
        _: Context,
        record: [u8; SelRecord::LENGTH],
    ) -> Result<u16, CompletionCode> {
        self.add_record(SelRecord::from_bytes(record)).await
    }

    /// Partial Add SEL Entry (IPMI v2.0 §31.7): reservation, record id (0000h in the first part),
    /// offset, whether this is the last part, bytes.
    ///
    /// # Errors
    ///
    /// - `C5h` without a reservation that holds.
    /// - `CCh` for a part out of order or progress or a record type that is reserved, `C7h` when the parts are no whole record.
    async fn partial_add_sel_entry(
        self: Arc<Self>,
        _: Context,
        place: (u16, u16, u8),
        (progress, _): (Bits<4>, Ignored<4>),
        bytes: Vec<u8>,
    ) -> Result<u16, CompletionCode> {
        let (reservation, _, offset) = place;
        if !self.stores.sel.holds(reservation) {
            return Err(CompletionCode::RESERVATION_CANCELLED);
        }
        let last = match progress.value() {
            0 => false,
            1 => true,
            _ => return Err(CompletionCode::INVALID_DATA_FIELD),
        };
        let whole = self.partial.add_part(reservation, offset, &bytes, last)?;
        match whole {
            Some(record) => self.add_record(SelRecord::from_bytes(record)).await,
            None => Ok(0),
        }
    }

    /// Delete SEL Entry (IPMI v2.0 §31.8): returns the id of the deleted record.
    ///
    /// # Errors
    ///
    /// - `C5h` without the latest reservation; for the first (0000h) and the last record (FFFFh) also when records
    ///   were added, or deleted by others, since it was given.
    /// - `CBh` when there is no such record.
    async fn delete_sel_entry(
        self: Arc<Self>,
        _: Context,
        reservation: u16,
        record: u16,
    ) -> Result<u16, CompletionCode> {
        let now = self.stores.clock.now();
        let deleted = self.stores.sel.delete(record, now, Some(reservation)).await?;
        Ok(deleted.value())
    }

    async fn add_record(&self, record: SelRecord) -> Result<u16, CompletionCode> {
        if record.is_reserved() {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        let now = self.stores.clock.now();
        Ok(self.stores.sel.add(record.stamped(now), now).await?.value())
    }
}

impl PartialEntry {
    /// Adds one part; returns the record if it was the last part.
    fn add_part(
        &self,
        reservation: u16,
        offset: u8,
        bytes: &[u8],
        last: bool,
    ) -> Result<Option<[u8; SelRecord::LENGTH]>, CompletionCode> {
        let mut place = lock(&self.0);
        if offset == 0 {
            *place = Some(PartialRecord { reservation, bytes: Vec::new() });
        }
        let parts = place
            .as_mut()
            .filter(|parts| parts.reservation == reservation)
            .filter(|parts| parts.bytes.len() == usize::from(offset))
            .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        if parts.bytes.len() + bytes.len() > SelRecord::LENGTH {
            return Err(CompletionCode::REQUEST_LENGTH_INVALID);
        }
        parts.bytes.extend(bytes);
        if !last {
            return Ok(None);
        }
        let whole = place.take().map(|parts| parts.bytes).unwrap_or_default();
        whole.try_into().map(Some).map_err(|_| CompletionCode::REQUEST_LENGTH_INVALID)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::storage::tests::{TestStorage, answer};

    /// As `ipmitool sel add` sends it, with a time that the log replaces.
    const RECORD: [u8; 16] = hex!("0000 02 00000000 2000 04 01 30 01 59 66 64");

    #[tokio::test]
    async fn records_are_added_got_and_deleted() {
        let commands = TestStorage::new();
        assert_eq!(commands.send(0x44, &RECORD).await, answer(&[1, 0]));
        assert_eq!(commands.send(0x44, &RECORD).await, answer(&[2, 0]));
        let got = commands.send(0x43, &hex!("0000 0000 00 ff")).await.unwrap();
        assert_eq!(got[..5], hex!("0200 0100 02"));
        assert_ne!(got[5..9], [0; 4]);
        assert_eq!(got[9..], RECORD[7..]);
        let last = commands.send(0x43, &hex!("0000 ffff 00 ff")).await.unwrap();
        assert_eq!(last[..4], hex!("ffff 0200"));
        assert_eq!(commands.send(0x42, &[]).await, answer(&[1, 0]));
        assert_eq!(commands.send(0x43, &hex!("0100 0200 0a 02")).await, answer(&hex!("ffff 0130")));
        assert_eq!(commands.send(0x46, &hex!("0100 0100")).await, answer(&[1, 0]));
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x43, &hex!("0000 0100 00 ff")).await, absent);
    }

    #[tokio::test]
    async fn record_types_that_are_reserved_are_refused() {
        let commands = TestStorage::new();
        commands.send(0x42, &[]).await.unwrap();
        for kind in 0..=u8::MAX {
            let mut record = RECORD;
            record[2] = kind;
            let part = [&hex!("0100 0000 00 01")[..], &record].concat();
            for (command, data) in [(0x44, &record[..]), (0x45, &part)] {
                let accepted = commands.send(command, data).await;
                match kind {
                    0x02 | 0xc0..=0xff => assert!(accepted.is_ok(), "{kind:02x}"),
                    _ => {
                        assert_eq!(accepted, Err(CompletionCode::INVALID_DATA_FIELD), "{kind:02x}")
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn parts_need_a_reservation_and_deleting_the_latest() {
        let commands = TestStorage::new();
        commands.send(0x44, &RECORD).await.unwrap();
        let cancelled = Err(CompletionCode::RESERVATION_CANCELLED);
        assert_eq!(commands.send(0x43, &hex!("0000 0000 01 ff")).await, cancelled);
        assert_eq!(commands.send(0x46, &hex!("0000 0100")).await, cancelled);
        let beyond = Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        commands.send(0x42, &[]).await.unwrap();
        assert_eq!(commands.send(0x43, &hex!("0100 0000 11 01")).await, beyond);
    }

    #[tokio::test]
    async fn record_is_added_in_parts_that_follow_one_another() {
        let commands = TestStorage::new();
        commands.send(0x42, &[]).await.unwrap();
        let part =
            |offset: u8, last: u8, bytes: &[u8]| [&[1, 0, 0, 0, offset, last], bytes].concat();
        assert_eq!(commands.send(0x45, &part(0, 0, &RECORD[..10])).await, answer(&[0, 0]));
        let order = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x45, &part(10, 2, &RECORD[10..])).await, order);
        assert_eq!(commands.send(0x45, &part(12, 1, &RECORD[12..])).await, order);
        assert_eq!(commands.send(0x45, &part(10, 1, &RECORD[10..])).await, answer(&[1, 0]));
        let got = commands.send(0x43, &hex!("0000 0100 00 ff")).await.unwrap();
        assert_eq!(got[9..], RECORD[7..]);
        let length = Err(CompletionCode::REQUEST_LENGTH_INVALID);
        assert_eq!(commands.send(0x45, &part(0, 1, &RECORD[..10])).await, length);
    }
}
