//! FRU inventory devices (IPMI v2.0 §34).

use std::sync::Arc;
use std::time::Duration;

use daemon::RateLimit;
use ipmi_proto::fru::FruImage;
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use tracing::warn;

use super::{Platform, StorageProvider};
use crate::model::events::Source;
use crate::model::fru::FruWriter;
use crate::model::sdr::OwnSource;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// Access is by bytes (bit 0 clear), not by words.
const BY_BYTES: u8 = 0x00;

/// Event data 1: hardware change detected, with an OEM code in event data 3: the FRU device.
const HARDWARE_CHANGED: u8 = 0x20;
/// Unspecified event data.
const UNSPECIFIED: u8 = 0xff;

/// How long a request for FRU data waits until new units have ids,
const UNITS: Duration = Duration::from_secs(2);
/// and one for records, which waits for the sensors as well.
const UNITS_OF_RECORDS: Duration = Duration::from_millis(1400);

/// Whoever asks for records or FRU data has the inventory read.
static UNREAD: RateLimit = RateLimit::new(1, Duration::from_secs(60));

impl<P: Platform> StorageProvider<P> {
    pub(super) fn register_fru(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::STORAGE, self);
        rows.add(0x10, User, "Get FRU Inventory Area Info", Self::get_fru_inventory_area_info);
        rows.add(0x11, User, "Read FRU Data", Self::read_fru_data);
        let mut rows = rows.changing(Resource::FRU);
        rows.add(0x12, Operator, "Write FRU Data", Self::write_fru_data);
    }

    /// Get FRU Inventory Area Info (IPMI v2.0 §34.1): size, and how it is accessed.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent device.
    async fn get_fru_inventory_area_info(
        self: Arc<Self>,
        _: Context,
        device: u8,
    ) -> Result<(u16, u8), CompletionCode> {
        let image = self.image(device).await?;
        Ok((u16::try_from(image.len()).unwrap_or(u16::MAX), BY_BYTES))
    }

    /// Read FRU Data (IPMI v2.0 §34.2): how many bytes there are, and the bytes; fewer than asked for at the
    /// end.
    ///
    /// # Errors
    ///
    /// - `CBh` for an absent device, `C9h` beyond its end and for no bytes: the count is from 1.
    /// - `CAh` when the bytes do not fit one message of the channel.
    async fn read_fru_data(
        self: Arc<Self>,
        context: Context,
        device: u8,
        offset: u16,
        count: u8,
    ) -> Result<(u8, Vec<u8>), CompletionCode> {
        let image = self.image(device).await?;
        let rest = image
            .get(usize::from(offset)..)
            .filter(|rest| !rest.is_empty() && count > 0)
            .ok_or(CompletionCode::PARAMETER_OUT_OF_RANGE)?;
        let bytes = rest.get(..usize::from(count)).unwrap_or(rest);
        if bytes.len() + size_of::<u8>() > context.max_data() {
            return Err(CompletionCode::CANNOT_RETURN_BYTES);
        }
        let length = u8::try_from(bytes.len()).map_err(|_| CompletionCode::CANNOT_RETURN_BYTES)?;
        Ok((length, bytes.to_vec()))
    }

    /// Write FRU Data (IPMI v2.0 §34.3): how many bytes were written, which is all of them. A device that
    /// can be written gets its image whenever that is sound as a whole.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent device, `C9h` beyond its end, `C7h` without data.
    async fn write_fru_data(
        self: Arc<Self>,
        _: Context,
        device: u8,
        offset: u16,
        data: Vec<u8>,
    ) -> HandlerResult<u8> {
        let length =
            u8::try_from(data.len()).map_err(|_| CompletionCode::REQUEST_LENGTH_INVALID)?;
        if data.is_empty() {
            return Err(CompletionCode::REQUEST_LENGTH_INVALID.into());
        }
        self.stores.fru.until_settled(UNITS).await;
        let writer = self.stores.fru.writer().await;
        self.read_frus(&writer).await;
        let (unit, image) = writer.write(device, usize::from(offset), &data).await?;
        if unit.writable && FruImage::parse(&image).is_ok() {
            let written = self.platform.write_fru(&unit.path, &image).await;
            self.stores.fru.report(written.is_err());
            written?;
            writer.settle(device, image).await?;
        }
        Ok(length)
    }

    async fn image(&self, device: u8) -> Result<Vec<u8>, CompletionCode> {
        self.stores.fru.until_settled(UNITS).await;
        self.refresh_now().await;
        self.stores.fru.image(device).ok_or(CompletionCode::NOT_PRESENT)
    }

    /// Reads the inventory, unless that was a moment ago; what was read before serves if it cannot be, and
    /// while somebody writes.
    pub(super) async fn refresh_frus(&self) {
        self.stores.fru.until_settled(UNITS_OF_RECORDS).await;
        self.refresh_now().await;
    }

    async fn refresh_now(&self) {
        let fru = &self.stores.fru;
        if fru.is_fresh() {
            return;
        }
        let writer = match fru.try_writer() {
            None if fru.was_read() => return,
            None => fru.writer().await,
            Some(writer) => writer,
        };
        self.read_frus(&writer).await;
    }

    async fn read_frus(&self, writer: &FruWriter<'_>) {
        if self.stores.fru.is_fresh() {
            return; // by who came before
        }
        let found = self.platform.frus().await;
        self.stores.fru.report(found.is_err());
        match found {
            Ok(found) => {
                if let Ok(dropped) = writer.set_devices(found).await {
                    let fru = &self.stores.fru;
                    self.stores.sdr.set_frus(&fru.devices(), fru.is_settled());
                    self.log_dropped_edits(&dropped).await;
                }
            }
            Err(error) => {
                if let Some(pass) = UNREAD.admit() {
                    warn!(%error, swallowed = pass.swallowed, "the inventory cannot be read");
                }
            }
        }
    }
}

impl<P: Platform> StorageProvider<P> {
    /// Logs that what clients wrote over these devices is dropped, because their parts were replaced: a hardware change in
    /// the event log, with the FRU device in event data 3 (Table 42-3, sensor type 2Bh).
    pub(super) async fn log_dropped_edits(&self, devices: &[u8]) {
        for id in devices {
            warn!(
                device = id,
                "a FRU device has another serial number; what clients wrote over it is dropped"
            );
            let (generator, event) = OwnSource::Version.event([HARDWARE_CHANGED, UNSPECIFIED, *id]);
            let logged = self.stores.events.handle(Source::Other, generator, event).await;
            if let Err(error) = logged {
                warn!(%error, device = id, "a replaced part is not logged: the SEL cannot be written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use ipmi_proto::Medium;

    use super::*;
    use crate::commands::storage::tests::{TestStorage, answer};

    #[tokio::test]
    async fn image_is_read_by_parts() {
        let commands = TestStorage::new();
        assert_eq!(commands.send(0x10, &[0]).await, answer(&hex!("0001 00")));
        let head = commands.send(0x11, &hex!("00 0000 08")).await;
        assert_eq!(head, answer(&hex!("08 01 00 01 00 00 00 00 fe")));
        let end = commands.send(0x11, &hex!("00 fe00 10")).await;
        assert_eq!(end, answer(&hex!("02 00 00")));
        let beyond = Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        assert_eq!(commands.send(0x11, &hex!("00 0001 01")).await, beyond);
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x10, &[1]).await, absent);
        let nothing = Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        assert_eq!(commands.send(0x11, &hex!("00 0000 00")).await, nothing);
    }

    #[tokio::test]
    async fn long_reads_fit_a_lan_and_the_host_and_not_an_ipmb() {
        let commands = TestStorage::new();
        for (medium, longest) in [(Medium::Lan, 0xfe), (Medium::System, 0xf9), (Medium::Ipmb, 0x17)]
        {
            let context = Context { medium, ..Context::system_interface() };
            let read = async |count: u8| commands.send_as(context, 0x11, &[0, 0, 0, count]).await;
            let whole = read(longest).await.unwrap();
            assert_eq!(whole.len(), usize::from(longest) + 1);
            let long = read(longest + 1).await;
            assert_eq!(long, Err(CompletionCode::CANNOT_RETURN_BYTES), "{medium:?}");
        }
    }

    #[tokio::test]
    async fn replaced_part_is_logged_with_its_device() {
        let commands = TestStorage::new();
        commands.log_dropped_edits(&[7]).await;
        let entry = commands.send(0x43, &hex!("0000 0000 00 ff")).await.unwrap();
        // Sensor 00h of type 2Bh, sensor-specific offset 0, and the device.
        assert_eq!(entry[9..], hex!("2000 04 2b 00 6f 20 ff 07"));
    }

    #[tokio::test]
    async fn device_gets_an_image_that_is_sound_and_no_other() {
        let commands = TestStorage::new();
        let header = hex!("01 00 00 00 00 00 00 ff");
        let first = [&[0, 0, 0][..], &header[..4]].concat();
        assert_eq!(commands.send(0x12, &first).await, answer(&[4]));
        assert_eq!(commands.platform.state().written_fru, None);
        let second = [&[0, 4, 0][..], &header[4..]].concat();
        assert_eq!(commands.send(0x12, &second).await, answer(&[4]));
        let written = commands.platform.state().written_fru.clone().unwrap();
        assert_eq!(written[..8], header);
        assert_eq!(commands.send(0x11, &hex!("00 0700 01")).await, answer(&[1, 0xff]));
        let length = Err(CompletionCode::REQUEST_LENGTH_INVALID);
        assert_eq!(commands.send(0x12, &[0, 0, 0]).await, length);
    }
}
