//! The SDR repository (IPMI v2.0 §33.9-33.12, §33.21), and the same records as device SDRs.

use std::sync::Arc;

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::sel::or_unspecified;
use super::{Platform, StorageProvider};
use crate::model::at_most_fffeh;
use crate::model::sdr::{MAX_LENGTH, Part, Repository};
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// The version that the repository's commands are of.
const VERSION: u8 = 0x51;
/// Operation support: updates within update mode and without (bits 6:5), delete, partial add, reserve,
/// allocation info; bit 7 is the overflow.
const SUPPORT: u8 = 0x6f;
/// Initialization is complete.
const INITIALIZED: u8 = 0x01;

impl<P: Platform> StorageProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_sdr(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::STORAGE, self);
        rows.add(0x20, User, "Get SDR Repository Info", Self::get_sdr_repository_info);
        rows.add(0x21, User, "Get SDR Repository Allocation Info", Self::get_sdr_repository_allocation_info);
        rows.add(0x23, User, "Get SDR", Self::get_sdr);
        rows.add(0x2c, Operator, "Run Initialization Agent", Self::run_initialization_agent);
        let mut rows = rows.changing(Resource::SDR);
        rows.add(0x22, User, "Reserve SDR Repository", Self::reserve_sdr_repository);
    }

    /// Get SDR Repository Info (IPMI v2.0 §33.9): version, records, free bytes, times of the last addition
    /// and erasure, operation support.
    async fn get_sdr_repository_info(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(u8, u16, u16, u32, u32, u8), CompletionCode> {
        self.refresh_frus().await;
        let (count, changes) =
            self.repository(|repository| (repository.len(), repository.changes())).await;
        self.stores.sdr.save_history().await;
        let room = self.stores.sdr.room(count);
        Ok((
            VERSION,
            at_most_fffeh(room.records),
            at_most_fffeh(room.free * MAX_LENGTH),
            or_unspecified(changes.added),
            or_unspecified(changes.erased),
            SUPPORT | u8::from(room.overflow) << 7,
        ))
    }

    /// Get SDR Repository Allocation Info (IPMI v2.0 §33.10): units in all, bytes of one, free units, the
    /// most that are free in a row, units of the largest record. A unit holds any record.
    async fn get_sdr_repository_allocation_info(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(u16, u16, u16, u16, u8), CompletionCode> {
        let count = self.repository(|repository| repository.len()).await;
        let room = self.stores.sdr.room(count);
        let free = at_most_fffeh(room.free);
        Ok((at_most_fffeh(room.records + room.free), at_most_fffeh(MAX_LENGTH), free, free, 1))
    }

    /// Reserve SDR Repository (IPMI v2.0 §33.11).
    async fn reserve_sdr_repository(self: Arc<Self>, _: Context) -> Result<u16, CompletionCode> {
        self.refresh_frus().await;
        Ok(self.repository(Repository::reserve).await)
    }

    /// Get SDR (IPMI v2.0 §33.12): id of the next record, and the bytes asked for (count FFh: all).
    ///
    /// # Errors
    ///
    /// - `C5h` when records have changed since the reservation, or for a part that is not the first
    ///   without one.
    /// - `CAh` when the bytes do not fit one message of the channel.
    /// - `CBh` when there is no such record.
    async fn get_sdr(
        self: Arc<Self>,
        context: Context,
        reservation: u16,
        record: u16,
        offset: u8,
        count: u8,
    ) -> Result<(u16, Vec<u8>), CompletionCode> {
        let part = Part { reservation, record, offset, count, room: context.max_data() };
        Ok(self.repository(|repository| repository.read(part)).await?)
    }

    /// Run Initialization Agent (IPMI v2.0 §33.21): sensors are initialized by their own services.
    async fn run_initialization_agent(
        self: Arc<Self>,
        _: Context,
        _operation: u8,
    ) -> Result<u8, CompletionCode> {
        Ok(INITIALIZED)
    }

    pub(super) async fn repository<R>(&self, look: impl FnOnce(&mut Repository) -> R) -> R {
        let sensors = self.platform.sensors().await;
        self.stores.sdr.with(&sensors, self.stores.clock.now(), look)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::storage::tests::{TestStorage, answer};

    #[tokio::test]
    async fn list_has_as_many_records_as_the_info_says() {
        let commands = TestStorage::new();
        let info = commands.send(0x20, &[]).await.unwrap();
        assert_eq!(info[..5], hex!("51 0800 0040"));
        assert_eq!(info[13], 0x6f);
        assert_eq!(commands.send(0x21, &[]).await, answer(&hex!("0801 4000 0001 0001 01")));
        let reservation = commands.send(0x22, &[]).await.unwrap();
        let mut record = [0, 0];
        let mut kinds = Vec::new();
        while record != [0xff, 0xff] {
            let request = [&reservation[..], &record, &[0, 0xff]].concat();
            let got = commands.send(0x23, &request).await.unwrap();
            kinds.push(got[5]);
            record = [got[0], got[1]];
        }
        assert_eq!(kinds, [0x12, 0x03, 0x03, 0x03, 0x03, 0x11, 0x01, 0x01]);
    }

    #[tokio::test]
    async fn initialization_is_complete() {
        let commands = TestStorage::new();
        for operation in [0, 1] {
            assert_eq!(commands.send(0x2c, &[operation]).await, answer(&[0x01]));
        }
    }

    #[tokio::test]
    async fn parts_are_slices_of_the_record() {
        let commands = TestStorage::new();
        let whole = commands.send(0x23, &hex!("0000 0001 00 ff")).await.unwrap();
        commands.send(0x22, &[]).await.unwrap();
        let head = commands.send(0x23, &hex!("0100 0001 00 05")).await.unwrap();
        let rest = commands.send(0x23, &hex!("0100 0001 05 80")).await.unwrap();
        assert_eq!([&head[..], &rest[2..]].concat(), whole);
        assert_eq!(usize::from(head[6]), rest.len() - 2);
    }

    #[tokio::test]
    async fn stale_reservations_and_absent_records_are_refused() {
        let commands = TestStorage::new();
        let cancelled = Err(CompletionCode::RESERVATION_CANCELLED);
        assert_eq!(commands.send(0x23, &hex!("0000 0000 05 ff")).await, cancelled);
        assert_eq!(commands.send(0x23, &hex!("0900 0000 00 ff")).await, cancelled);
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x23, &hex!("0000 7777 00 ff")).await, absent);
        commands.send(0x22, &[]).await.unwrap();
        commands.remove_sensor().await;
        assert!(commands.send(0x23, &hex!("0100 0000 00 ff")).await.is_ok(), "no id has moved");
        assert_eq!(commands.send(0x27, &hex!("0100 434c52 aa")).await, answer(&[1]));
        assert_eq!(commands.send(0x23, &hex!("0100 0000 00 ff")).await, cancelled);
    }

    #[tokio::test]
    async fn reply_that_does_not_fit_an_ipmb_frame_is_refused() {
        let commands = TestStorage::new();
        let context = Context { medium: ipmi_proto::Medium::Ipmb, ..Context::system_interface() };
        let whole = commands.send_as(context, 0x23, &hex!("0000 0001 00 ff")).await;
        assert_eq!(whole, Err(CompletionCode::CANNOT_RETURN_BYTES));
        assert!(commands.send_as(context, 0x23, &hex!("0000 0001 00 16")).await.is_ok());
    }
}
