//! The BMC's own sensor and device records as device SDRs (IPMI v2.0
//! §35.2-35.4). Records that clients added describe other devices and are not device SDRs.

use std::sync::Arc;

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::SensorProvider;
use crate::model::sdr::{Part, Repository};
use crate::platform::Sensors;
use crate::request::command::Registrar;
use crate::request::context::Context;

/// Bit 0 of the optional operation: count records, not sensors.
const COUNT_RECORDS: u8 = 0x01;
/// The number of sensors may change; the change indicator follows.
const DYNAMIC: u8 = 0x80;

impl<P: Sensors> SensorProvider<P> {
    pub(super) fn register_device_sdr(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::User;
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x20, User, "Get Device SDR Info", Self::get_device_sdr_info);
        rows.add(0x21, User, "Get Device SDR", Self::get_device_sdr);
        rows.add(0x22, User, "Reserve Device SDR Repository", Self::reserve_device_sdr_repository);
    }

    /// Get Device SDR Info (IPMI v2.0 §35.2): sensors on the request's LUN, or all records; LUNs with
    /// sensors in bits 3:0; number of changes of the records.
    async fn get_device_sdr_info(
        self: Arc<Self>,
        context: Context,
        operation: Option<u8>,
    ) -> Result<(u8, u8, u32), CompletionCode> {
        let sensors = self.platform.sensors().await;
        let places: Vec<u8> = sensors.with(|table| {
            let luns = table.iter().map(|sensor| sensor.listing.index.lun_and_number().0.value());
            luns.collect()
        });
        let luns = places.iter().fold(0, |luns, lun| luns | 1 << lun);
        let (records, changes) =
            self.repository(|repository| (repository.own_len(), repository.changes().own)).await;
        let count = if operation.unwrap_or_default() & COUNT_RECORDS == COUNT_RECORDS {
            records
        } else {
            places.iter().filter(|lun| **lun == context.lun.value()).count()
        };
        Ok((u8::try_from(count).unwrap_or(u8::MAX), DYNAMIC | luns, changes))
    }

    /// Get Device SDR (IPMI v2.0 §35.3): as Get SDR.
    ///
    /// # Errors
    ///
    /// Those of [`Repository::read_own`].
    async fn get_device_sdr(
        self: Arc<Self>,
        context: Context,
        reservation: u16,
        record: u16,
        offset: u8,
        count: u8,
    ) -> Result<(u16, Vec<u8>), CompletionCode> {
        let part = Part { reservation, record, offset, count, room: context.max_data() };
        Ok(self.repository(|repository| repository.read_own(part)).await?)
    }

    /// Reserve Device SDR Repository (IPMI v2.0 §35.4).
    async fn reserve_device_sdr_repository(
        self: Arc<Self>,
        _: Context,
    ) -> Result<u16, CompletionCode> {
        Ok(self.repository(Repository::reserve_own).await)
    }

    async fn repository<R>(&self, look: impl FnOnce(&mut Repository) -> R) -> R {
        let sensors = self.platform.sensors().await;
        self.stores.sdr.with(&sensors, self.stores.clock.now(), look)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::sensor::tests::{TestSensors, answer};

    #[tokio::test]
    async fn info_counts_sensors_or_records() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x20, &[]).await, answer(&hex!("02 81 01000000")));
        assert_eq!(commands.send(0x20, &[1]).await, answer(&hex!("07 81 01000000")));
    }

    #[tokio::test]
    async fn records_are_read_under_a_reservation() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x22, &[]).await, answer(&[1, 0]));
        let head = commands.send(0x21, &hex!("0100 0001 00 05")).await.unwrap();
        assert_eq!(head[..6], hex!("0101 0001 51 01"));
        let cancelled = Err(CompletionCode::RESERVATION_CANCELLED);
        assert_eq!(commands.send(0x21, &hex!("0200 0001 05 05")).await, cancelled);
    }

    #[tokio::test]
    async fn what_clients_added_is_of_other_devices() {
        let commands = TestSensors::new();
        let info = commands.send(0x20, &[1]).await;
        assert_eq!(commands.send(0x22, &[]).await, answer(&[1, 0]));
        // A locator of the controller at 24h.
        let locator = hex!("0000 51 12 0e 24 00 00 29 000000 0a 60 00 c3 534154");
        let sensors = commands.platform.sensors().await;
        let added = commands.sdr.add(&sensors, 1, &locator, None).await;
        assert_eq!(added, Ok(0x1000));
        let repository = |look: fn(&mut Repository) -> usize| commands.sdr.with(&sensors, 1, look);
        assert_eq!(repository(|all| all.len()), 8);
        assert_eq!(commands.send(0x20, &[1]).await, info, "neither record nor change");
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x21, &hex!("0000 0010 00 05")).await, absent);
        for record in ["0101", "ffff"] {
            let id = u16::from_str_radix(record, 16).unwrap().to_le_bytes();
            let request = [&hex!("0100")[..], &id, &[0, 5]].concat();
            let last = commands.send(0x21, &request).await.unwrap();
            assert_eq!(last[..4], hex!("ffff 0101"), "the last is a sensor's");
        }
        commands.remove_the_temperature().await;
        let last = commands.send(0x21, &hex!("0100 0101 00 05")).await.unwrap();
        assert_eq!(last[..4], hex!("ffff 0101"), "no id has moved");
        let cancelled = Err(CompletionCode::RESERVATION_CANCELLED);
        assert_eq!(commands.send(0x21, &hex!("0200 0101 00 05")).await, cancelled);
    }
}
