//! Writing the SDR repository: adding, deleting, erasing, update mode (IPMI v2.0 §33.13-33.20).

use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::{ChannelNumber, CompletionCode, NetFn, Privilege};
use tokio::time::Instant;

use super::{Platform, StorageProvider};
use crate::model::persistent::lock;
use crate::model::sdr::MAX_LENGTH;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// What Clear SDR Repository has to say to be believed.
const CLEAR_WORD: [u8; 3] = *b"CLR";
/// Clear SDR Repository: begin erasing, or tell how far it is.
const INITIATE_ERASE: u8 = 0xaa;
const ERASURE_STATUS: u8 = 0x00;
/// Erasure completed.
const COMPLETED: u8 = 0x01;
/// Partial Add SDR, progress: more parts follow, or this is the last.
const IN_PROGRESS: u8 = 0x00;
const LAST_PART: u8 = 0x01;
/// How long update mode lasts without a write.
const MODE_ENDS_AFTER: Duration = Duration::from_secs(60);

/// Who writes: a channel, and the session on it.
type Writer = (ChannelNumber, Option<u32>);

/// What goes on between requests.
#[derive(Debug, Default)]
pub(super) struct Writing {
    /// Who is in update mode, and until when.
    mode: Option<(Writer, Instant)>,
    partial: Option<PartialRecord>,
}

/// A record that is being added in parts.
#[derive(Debug)]
struct PartialRecord {
    reservation: u16,
    id: u16,
    bytes: Vec<u8>,
}

fn writer(context: &Context) -> Writer {
    let session = context.session.map(|session| session.id);
    (context.channel, session)
}

impl Writing {
    /// Lets `who` write, which nobody else may while one is in update mode.
    fn claim(&mut self, who: Writer) -> Result<(), CompletionCode> {
        let now = Instant::now();
        self.mode = self.mode.filter(|(_, until)| *until > now);
        match &mut self.mode {
            Some((by, until)) if *by == who => {
                *until = now + MODE_ENDS_AFTER;
                Ok(())
            }
            Some(_) => Err(CompletionCode::SDR_UPDATE_MODE),
            None => Ok(()),
        }
    }

    /// Takes one part; gives the record and its id when it was the last.
    fn take_part(
        &mut self,
        (reservation, id, offset): (u16, u16, u8),
        progress: u8,
        bytes: &[u8],
    ) -> Result<Option<(u16, Vec<u8>)>, CompletionCode> {
        let parts = self
            .partial
            .as_mut()
            .filter(|parts| parts.reservation == reservation)
            .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        if parts.id != id {
            return Err(CompletionCode::NOT_PRESENT);
        }
        if parts.bytes.len() != usize::from(offset) {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        if parts.bytes.len() + bytes.len() > MAX_LENGTH {
            return Err(CompletionCode::REQUEST_LENGTH_EXCEEDED);
        }
        parts.bytes.extend(bytes);
        match progress {
            LAST_PART => Ok(self.partial.take().map(|parts| (parts.id, parts.bytes))),
            _ => Ok(None),
        }
    }
}

impl<P: Platform> StorageProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_sdr_write(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::Operator;
        let mut rows = table.rows(NetFn::STORAGE, self).changing(Resource::SDR);
        rows.add(0x24, Operator, "Add SDR", Self::add_sdr);
        rows.add(0x25, Operator, "Partial Add SDR", Self::partial_add_sdr);
        rows.add(0x26, Operator, "Delete SDR", Self::delete_sdr);
        rows.add(0x27, Operator, "Clear SDR Repository", Self::clear_sdr_repository);
        rows.add(0x2a, Operator, "Enter SDR Repository Update Mode", Self::enter_sdr_repository_update_mode);
        rows.add(0x2b, Operator, "Exit SDR Repository Update Mode", Self::exit_sdr_repository_update_mode);
    }

    /// Add SDR (IPMI v2.0 §33.13): a whole record, whose id is given here. A record of what the BMC describes
    /// itself is the one that is there.
    ///
    /// # Errors
    ///
    /// - `D0h` while another is in update mode.
    /// - `80h`, `C8h`, `CCh` for bytes that are no record; `C4h` when there is no room.
    async fn add_sdr(
        self: Arc<Self>,
        context: Context,
        record: Vec<u8>,
    ) -> Result<u16, CompletionCode> {
        lock(&self.writing).claim(writer(&context))?;
        self.add_data_record(&record, None).await
    }

    /// Partial Add SDR (IPMI v2.0 §33.14): reservation, record id (0000h in the first part, then the one that
    /// was answered), offset, progress, bytes.
    ///
    /// # Errors
    ///
    /// - `D0h` while another is in update mode, `C5h` without the latest reservation.
    /// - `CBh` for another record id, `CCh` for a part out of order or another progress.
    /// - In the last part, those of Add SDR.
    async fn partial_add_sdr(
        self: Arc<Self>,
        context: Context,
        place: (u16, u16, u8),
        progress: u8,
        bytes: Vec<u8>,
    ) -> Result<u16, CompletionCode> {
        lock(&self.writing).claim(writer(&context))?;
        let (reservation, id, offset) = place;
        self.check_reservation(reservation).await?;
        let progress = progress & 0x0f;
        if progress != IN_PROGRESS && progress != LAST_PART {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        let id = if offset == 0 {
            let id = self.stores.sdr.next_id()?;
            let bytes = Vec::new();
            lock(&self.writing).partial = Some(PartialRecord { reservation, id, bytes });
            id
        } else {
            id
        };
        let place = (reservation, id, offset);
        let whole = lock(&self.writing).take_part(place, progress, &bytes)?;
        match whole {
            Some((id, record)) => self.add_data_record(&record, Some(id)).await,
            None => Ok(id),
        }
    }

    /// Delete SDR (IPMI v2.0 §33.15): gives the id of the record that is gone.
    ///
    /// # Errors
    ///
    /// - `D0h` while another is in update mode, `C5h` without the latest reservation.
    /// - `CBh` when there is no such record, `CDh` for one that the BMC makes itself.
    async fn delete_sdr(
        self: Arc<Self>,
        context: Context,
        reservation: u16,
        record: u16,
    ) -> Result<u16, CompletionCode> {
        lock(&self.writing).claim(writer(&context))?;
        self.check_reservation(reservation).await?;
        let sensors = self.platform.sensors().await;
        let now = self.stores.clock.now();
        self.stores.sdr.delete(&sensors, now, record).await?;
        Ok(record)
    }

    /// Clear SDR Repository (IPMI v2.0 §33.16): what clients added goes, what the BMC makes itself stays.
    /// Erasing ends before the answer, so the status is always "completed".
    ///
    /// # Errors
    ///
    /// - `D0h` while another is in update mode, `C5h` without the latest reservation, or when a record was added
    ///   since it was given.
    /// - `CCh` without the letters CLR, or for another operation.
    async fn clear_sdr_repository(
        self: Arc<Self>,
        context: Context,
        reservation: u16,
        word: [u8; 3],
        operation: u8,
    ) -> Result<u8, CompletionCode> {
        if word != CLEAR_WORD {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        match operation {
            INITIATE_ERASE => {
                lock(&self.writing).claim(writer(&context))?;
                let seen = self.repository(|repository| repository.may_clear(reservation)).await;
                if !seen {
                    return Err(CompletionCode::RESERVATION_CANCELLED);
                }
                let sensors = self.platform.sensors().await;
                let now = self.stores.clock.now();
                self.stores.sdr.clear(&sensors, now).await?;
            }
            ERASURE_STATUS => {}
            _ => return Err(CompletionCode::INVALID_DATA_FIELD),
        }
        Ok(COMPLETED)
    }

    /// Enter SDR Repository Update Mode (IPMI v2.0 §33.19): nobody else may write until it is left, or the one
    /// who entered has not written for a minute. Reading goes on.
    ///
    /// # Errors
    ///
    /// `D0h` while another is in it.
    async fn enter_sdr_repository_update_mode(
        self: Arc<Self>,
        context: Context,
    ) -> Result<(), CompletionCode> {
        let mut writing = lock(&self.writing);
        let who = writer(&context);
        writing.claim(who)?;
        writing.mode = Some((who, Instant::now() + MODE_ENDS_AFTER));
        Ok(())
    }

    /// Exit SDR Repository Update Mode (IPMI v2.0 §33.20).
    ///
    /// # Errors
    ///
    /// `D0h` while another is in it.
    async fn exit_sdr_repository_update_mode(
        self: Arc<Self>,
        context: Context,
    ) -> Result<(), CompletionCode> {
        let mut writing = lock(&self.writing);
        writing.claim(writer(&context))?;
        writing.mode = None;
        Ok(())
    }

    async fn add_data_record(
        &self,
        record: &[u8],
        wanted: Option<u16>,
    ) -> Result<u16, CompletionCode> {
        self.refresh_frus().await;
        let sensors = self.platform.sensors().await;
        let now = self.stores.clock.now();
        Ok(self.stores.sdr.add(&sensors, now, record, wanted).await?)
    }

    async fn check_reservation(&self, reservation: u16) -> Result<(), CompletionCode> {
        let holds = self.repository(|repository| repository.may_write(reservation)).await;
        if holds { Ok(()) } else { Err(CompletionCode::RESERVATION_CANCELLED) }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::storage::tests::{TestStorage, answer};
    use crate::request::context::Session;

    /// A locator of the controller at 24h, and of the BMC itself.
    const SATELLITE: [u8; 19] = hex!("0700 51 12 0e 24 00 00 29 000000 0a 60 00 c3 534154");
    const OWN: [u8; 19] = hex!("0700 51 12 0e 20 00 00 29 000000 0a 60 00 c3 424d43");

    const CANCELLED: Result<Vec<u8>, CompletionCode> = Err(CompletionCode::RESERVATION_CANCELLED);

    #[tokio::test]
    async fn added_record_is_read_and_deleted_and_the_bmcs_own_stay() {
        let commands = TestStorage::new();
        assert_eq!(commands.send(0x24, &SATELLITE).await, answer(&hex!("0010")));
        assert_eq!(commands.send(0x20, &[]).await.unwrap()[1], 9);
        let got = commands.send(0x23, &hex!("0000 ffff 00 ff")).await.unwrap();
        assert_eq!(got[..4], hex!("ffff 0010"));
        assert_eq!(got[4..], SATELLITE[2..]);
        assert_eq!(commands.send(0x24, &OWN).await, answer(&hex!("0100")));
        assert_eq!(commands.send(0x26, &hex!("0000 0010")).await, CANCELLED);
        assert_eq!(commands.send(0x22, &[]).await, answer(&[1, 0]));
        let own = Err(CompletionCode::ILLEGAL_FOR_SENSOR);
        assert_eq!(commands.send(0x26, &hex!("0100 0100")).await, own);
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x26, &hex!("0100 7777")).await, absent);
        assert_eq!(commands.send(0x26, &hex!("0100 0010")).await, answer(&hex!("0010")));
        assert_eq!(commands.send(0x20, &[]).await.unwrap()[1], 8);
        assert_eq!(commands.send(0x26, &hex!("0100 7777")).await, absent, "the reservation holds");
    }

    #[tokio::test]
    async fn record_is_added_in_parts_as_ipmitool_sends_them() {
        let commands = TestStorage::new();
        let part = |reservation: u8, id: u16, offset: u8, last: u8, bytes: &[u8]| {
            let [low, high] = id.to_le_bytes();
            [&[reservation, 0, low, high, offset, last], bytes].concat()
        };
        let head = part(1, 0, 0, 0, &SATELLITE[..5]);
        assert_eq!(commands.send(0x25, &head).await, CANCELLED);
        commands.send(0x22, &[]).await.unwrap();
        assert_eq!(commands.send(0x25, &head).await, answer(&hex!("0010")));
        let order = Err(CompletionCode::INVALID_DATA_FIELD);
        let gap = part(1, 0x1000, 6, 1, &SATELLITE[6..]);
        assert_eq!(commands.send(0x25, &gap).await, order);
        let other = part(1, 0x1001, 5, 1, &SATELLITE[5..]);
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x25, &other).await, absent);
        let rest = part(1, 0x1000, 5, 1, &SATELLITE[5..]);
        assert_eq!(commands.send(0x25, &rest).await, answer(&hex!("0010")));
        assert_eq!(commands.send(0x20, &[]).await.unwrap()[1], 9);
        commands.send(0x22, &[]).await.unwrap();
        let short = part(2, 0, 0, 1, &SATELLITE[..18]);
        let mismatch = Err(CompletionCode(0x80));
        assert_eq!(commands.send(0x25, &short).await, mismatch);
        let progress = part(2, 0, 0, 2, &SATELLITE);
        assert_eq!(commands.send(0x25, &progress).await, order);
        commands.send(0x22, &[]).await.unwrap();
        assert_eq!(commands.send(0x25, &short).await, CANCELLED);
    }

    #[tokio::test]
    async fn erasing_removes_added_records_and_sets_the_erase_time() {
        let commands = TestStorage::new();
        commands.send(0x24, &SATELLITE).await.unwrap();
        commands.send(0x22, &[]).await.unwrap();
        let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
        let letters = commands.send(0x27, &hex!("0100 434c53 aa")).await;
        assert_eq!(letters, invalid);
        assert_eq!(commands.send(0x27, &hex!("0000 434c52 aa")).await, CANCELLED);
        let status = hex!("0000 434c52 00");
        assert_eq!(commands.send(0x27, &status).await, answer(&[1]));
        assert_eq!(commands.send(0x20, &[]).await.unwrap()[1], 9);
        let clear = hex!("0100 434c52 aa");
        assert_eq!(commands.send(0x27, &clear).await, answer(&[1]));
        let info = commands.send(0x20, &[]).await.unwrap();
        assert_eq!(info[1], 8);
        assert_ne!(info[9..13], [0xff; 4]);
        assert_eq!(commands.send(0x27, &clear).await, CANCELLED);
    }

    #[tokio::test]
    async fn full_repository_refuses_records() {
        let commands = TestStorage::new();
        for number in 0..=255 {
            let mut record = SATELLITE;
            record[6] = number & 0x0f;
            record[5] = 0x24 + (number >> 4);
            commands.send(0x24, &record).await.unwrap();
        }
        let full = Err(CompletionCode::OUT_OF_SPACE);
        assert_eq!(commands.send(0x24, &SATELLITE).await, full);
        let info = commands.send(0x20, &[]).await.unwrap();
        assert_eq!((&info[3..5], info[13]), (&[0, 0][..], 0xef));
        let allocation = commands.send(0x21, &[]).await.unwrap();
        assert_eq!(allocation, hex!("0801 4000 0000 0000 01"));
    }

    #[tokio::test(start_paused = true)]
    async fn update_mode_excludes_other_writers_until_it_ends() {
        let commands = TestStorage::new();
        let console =
            Context { session: Some(Session { user_id: 2, id: 7 }), ..Context::system_interface() };
        assert_eq!(commands.send(0x2a, &[]).await, answer(&[]));
        let busy = Err(CompletionCode::SDR_UPDATE_MODE);
        for (code, data) in [
            (0x24, &SATELLITE[..]),
            (0x26, &hex!("0100 0010")),
            (0x27, &hex!("0100 434c52 aa")),
            (0x2a, &[]),
            (0x2b, &[]),
        ] {
            assert_eq!(commands.send_as(console, code, data).await, busy, "{code:02x}");
        }
        assert!(commands.send_as(console, 0x20, &[]).await.is_ok());
        assert!(commands.send(0x24, &SATELLITE).await.is_ok());
        assert_eq!(commands.send(0x2b, &[]).await, answer(&[]));
        assert!(commands.send_as(console, 0x24, &SATELLITE).await.is_ok());
        assert_eq!(commands.send(0x2a, &[]).await, answer(&[]));
        tokio::time::advance(MODE_ENDS_AFTER).await;
        assert_eq!(commands.send_as(console, 0x2a, &[]).await, answer(&[]));
    }
}
