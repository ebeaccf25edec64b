//! The log as a whole: info, allocation, reservation, erasing (IPMI v2.0 §31.2-31.4, §31.9).

use std::sync::Arc;

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{Platform, StorageProvider};
use crate::model::at_most_fffeh;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// The version that SEL and SDR commands are of: 1.5, least significant digit first.
const VERSION: u8 = 0x51;
/// A time that is not known.
const UNSPECIFIED_TIME: u32 = 0xffff_ffff;
/// The letters that Clear SEL must contain.
const CLEAR_WORD: [u8; 3] = *b"CLR";
/// Clear SEL: initiate erase, get erasure status.
const INITIATE_ERASE: u8 = 0xaa;
const ERASURE_STATUS: u8 = 0x00;
/// Erasure completed.
const COMPLETED: u8 = 0x01;

/// A time in Get SEL Info and Get SDR Repository Info; 0 becomes "unspecified".
pub(super) const fn or_unspecified(time: u32) -> u32 {
    if time == 0 { UNSPECIFIED_TIME } else { time }
}

impl<P: Platform> StorageProvider<P> {
    pub(super) fn register_sel(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::STORAGE, self);
        rows.add(0x40, User, "Get SEL Info", Self::get_sel_info);
        rows.add(0x41, User, "Get SEL Allocation Info", Self::get_sel_allocation_info);
        let mut rows = rows.changing(Resource::EVENT_LOG);
        rows.add(0x42, User, "Reserve SEL", Self::reserve_sel);
        rows.add(0x47, Operator, "Clear SEL", Self::clear_sel);
    }

    /// Get SEL Info (IPMI v2.0 §31.2): version, records, free bytes (FFFEh for more than that), times of
    /// the last addition and erasure, operation support with the overflow in bit 7.
    async fn get_sel_info(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(u8, u16, u16, u32, u32, u8), CompletionCode> {
        let info = self.stores.sel.info();
        Ok((
            VERSION,
            at_most_fffeh(info.entries),
            info.free_bytes(),
            or_unspecified(info.last_add),
            or_unspecified(info.last_erase),
            info.support(),
        ))
    }

    /// Get SEL Allocation Info (IPMI v2.0 §31.3): units in all, bytes of one, free units, the most that are
    /// free in a row, units of the largest record.
    async fn get_sel_allocation_info(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(u16, u16, u16, u16, u8), CompletionCode> {
        let units = at_most_fffeh(self.stores.sel.capacity());
        let free = at_most_fffeh(self.stores.sel.info().free);
        Ok((units, 16, free, free, 1))
    }

    /// Reserve SEL (IPMI v2.0 §31.4).
    async fn reserve_sel(self: Arc<Self>, _: Context) -> Result<u16, CompletionCode> {
        Ok(self.stores.sel.reserve())
    }

    /// Clear SEL (IPMI v2.0 §31.9). Erasing ends before the response, so the status is always "completed".
    ///
    /// # Errors
    ///
    /// - `C5h` without the latest reservation, or when a record was added since it was given.
    /// - `CCh` without the letters CLR, or for another operation.
    async fn clear_sel(
        self: Arc<Self>,
        _: Context,
        reservation: u16,
        word: [u8; 3],
        operation: u8,
    ) -> Result<u8, CompletionCode> {
        if word != CLEAR_WORD {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        match operation {
            INITIATE_ERASE => {
                self.stores.sel.clear(self.stores.clock.now(), Some(reservation)).await?;
            }
            ERASURE_STATUS => {}
            _ => return Err(CompletionCode::INVALID_DATA_FIELD),
        }
        Ok(COMPLETED)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::storage::tests::{TestStorage, answer};

    #[tokio::test]
    async fn empty_log_has_all_its_space_and_no_times() {
        let commands = TestStorage::new();
        let info = hex!("51 0000 4006 ffffffff ffffffff 0f");
        assert_eq!(commands.send(0x40, &[]).await, answer(&info));
        assert_eq!(commands.send(0x41, &[]).await, answer(&hex!("6400 1000 6400 6400 01")));
    }

    #[tokio::test]
    async fn erasing_needs_the_letters_and_the_latest_reservation() {
        let commands = TestStorage::new();
        commands.add_event().await;
        assert_eq!(commands.send(0x42, &[]).await, answer(&[1, 0]));
        let cancelled = Err(CompletionCode::RESERVATION_CANCELLED);
        assert_eq!(commands.send(0x47, &hex!("0000 434c52 aa")).await, cancelled);
        assert_eq!(
            commands.send(0x47, &hex!("0100 434c53 aa")).await,
            Err(CompletionCode::INVALID_DATA_FIELD)
        );
        assert_eq!(commands.send(0x47, &hex!("0100 434c52 00")).await, answer(&[1]));
        assert_eq!(commands.send(0x40, &[]).await.unwrap()[1], 1);
        assert_eq!(commands.send(0x47, &hex!("0100 434c52 aa")).await, answer(&[1]));
        assert_eq!(commands.send(0x40, &[]).await.unwrap()[1], 0);
        assert_eq!(commands.send(0x47, &hex!("0100 434c52 aa")).await, cancelled);
    }
}
