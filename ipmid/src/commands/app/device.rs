//! Device ID, self test and GUIDs.

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Zero};
use ipmi_proto::{CompletionCode, Iana, NetFn, Privilege};
use serde::Deserialize;

use super::{AppProvider, Platform};
use crate::platform::PlatformError;
use crate::request::command::{HandlerResult, Registrar};
use crate::request::context::Context;

/// IPMI 2.0, as BCD, least significant digit first (IPMI v2.0 §20.1, byte 6).
const IPMI_VERSION: u8 = 0x02;

/// Configured fields of Get Device ID: section `[device]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceConfig {
    /// Device id, 0 for unspecified.
    #[serde(deserialize_with = "daemon::range::number::<0, 255, _, _>")]
    pub id: u8,
    /// Device revision, 0 to 15.
    #[serde(deserialize_with = "daemon::range::number::<0, 15, _, _>")]
    pub revision: u8,
    /// Whether the device has SDRs of its own.
    pub provides_sdrs: bool,
    /// Additional device support, bit by bit as in the reply.
    #[serde(deserialize_with = "daemon::range::number::<0, 255, _, _>")]
    pub support: u8,
    /// IANA enterprise number of the manufacturer, 24 bits.
    #[serde(deserialize_with = "daemon::range::number::<0, 16777215, _, _>")]
    pub manufacturer: u32,
    /// The manufacturer's product id.
    #[serde(deserialize_with = "daemon::range::number::<0, 65535, _, _>")]
    pub product: u16,
    /// Auxiliary firmware revision; four bytes, the most significant first.
    pub auxiliary: [u8; 4],
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self {
            id: 0x20,
            revision: 1,
            provides_sdrs: true,
            // Chassis, IPMB event generator and receiver, FRU, SEL, SDR repository, sensors.
            support: 0xbf,
            manufacturer: Iana::OPENBMC.value(),
            product: 1,
            auxiliary: [0; 4],
        }
    }
}

impl DeviceConfig {
    /// The manufacturer.
    #[must_use]
    pub fn manufacturer(&self) -> Iana {
        Iana::new(self.manufacturer).unwrap_or(Iana::OPENBMC)
    }
}

/// Major and minor number at the head of a version text such as `v2.14.0-rc1`; 7 bits and two
/// decimal digits fit in the reply (IPMI v2.0 §20.1, bytes 4 and 5).
fn firmware_revision(version: &str) -> (u8, u8) {
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut numbers = digits.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut next = |limit: u32| {
        let number = numbers.next().and_then(Result::ok).unwrap_or(0);
        u8::try_from(number.min(limit)).unwrap_or(u8::MAX)
    };
    let (major, minor) = (next(0x7f), next(99));
    (major, ((minor / 10) << 4) | (minor % 10))
}

/// Device id, revision with the SDR flag, firmware with the flag "not yet ready".
type Identity = (u8, (Bits<4>, Zero<3>, bool), (Bits<7>, bool), u8);
/// Version, additional support, manufacturer, product, auxiliary revision.
type Origin = (u8, u8, Iana, u16, [u8; 4]);

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_device(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Callback, User};
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x01, User, "Get Device ID", Self::get_device_id);
        rows.add(0x04, User, "Get Self Test Results", Self::get_self_test_results);
        rows.add(0x08, User, "Get Device GUID", Self::get_guid);
        rows.add(0x37, Callback, "Get System GUID", Self::get_guid);
    }

    /// Get Device ID (IPMI v2.0 §20.1), 15 bytes. Firmware numbers are 0.00 and the device "not
    /// ready" until the version and state services have answered; the command never fails.
    async fn get_device_id(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(Identity, Origin), CompletionCode> {
        let device = self.deps.device;
        let version = self.platform.firmware_version().await.unwrap_or_default();
        let (major, minor) = firmware_revision(&version);
        let is_ready = match self.platform.is_ready().await {
            Ok(is_ready) => is_ready,
            Err(PlatformError::Absent(_)) => true, // without a state manager no one reports "not ready"
            Err(_) => false,
        };
        let manufacturer = device.manufacturer();
        Ok((
            (
                device.id,
                (Bits::low(device.revision), Zero, device.provides_sdrs),
                (Bits::low(major), !is_ready),
                minor,
            ),
            (IPMI_VERSION, device.support, manufacturer, device.product, device.auxiliary),
        ))
    }

    /// Get Self Test Results (IPMI v2.0 §20.4): 55h without a fault, else 57h and the fault bits.
    async fn get_self_test_results(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(u8, u8), CompletionCode> {
        Ok(match self.deps.health.faults() {
            0 => (0x55, 0x00),
            faults => (0x57, faults),
        })
    }

    /// Get Device GUID and Get System GUID (IPMI v2.0 §20.8, §22.14): the system's UUID, last byte
    /// first, as phosphor-host-ipmid sends it for both.
    async fn get_guid(self: Arc<Self>, _: Context) -> HandlerResult<[u8; 16]> {
        let mut guid = self.platform.system_uuid().await?;
        guid.reverse();
        Ok(guid)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::app::tests::{answer, commands};
    use crate::model::health::Fault;

    #[tokio::test]
    async fn device_id_matches_golden_bytes() {
        let (commands, ..) = commands();
        let golden = answer(&hex!("20 81 02 14 02 bf cf c2 00 01 00 00 00 00 00"));
        assert_eq!(commands.send(0x01, &[]).await, golden);
        commands.platform.state().ready = false;
        let golden = answer(&hex!("20 81 82 14 02 bf cf c2 00 01 00 00 00 00 00"));
        assert_eq!(commands.send(0x01, &[]).await, golden);
    }

    #[tokio::test]
    async fn device_id_is_answered_without_a_platform() {
        let (commands, ..) = commands();
        commands.platform.state().error = Some(PlatformError::timeout(&"no reply"));
        let golden = answer(&hex!("20 81 80 00 02 bf cf c2 00 01 00 00 00 00 00"));
        assert_eq!(commands.send(0x01, &[]).await, golden);
    }

    #[test]
    fn firmware_revision_is_the_first_two_numbers() {
        for (version, revision) in [
            ("2.14.0-dev-12-gabc", (2, 0x14)),
            ("v2.8", (2, 0x08)),
            ("openbmc-1.99.3", (1, 0x99)),
            ("300.120", (0x7f, 0x99)),
            ("7", (7, 0)),
            ("", (0, 0)),
            ("no numbers", (0, 0)),
            ("99999999999999999999.1", (0, 1)),
        ] {
            assert_eq!(firmware_revision(version), revision, "{version}");
        }
    }

    #[tokio::test]
    async fn self_test_reports_the_present_faults() {
        let (commands, health, _) = commands();
        assert_eq!(commands.send(0x04, &[]).await, answer(&hex!("55 00")));
        health.report(Fault::Sel, true);
        health.report(Fault::Ipmb, true);
        assert_eq!(commands.send(0x04, &[]).await, answer(&hex!("57 90")));
        health.report(Fault::Sel, false);
        assert_eq!(commands.send(0x04, &[]).await, answer(&hex!("57 10")));
    }

    #[tokio::test]
    async fn guids_are_the_uuid_last_byte_first() {
        let (commands, ..) = commands();
        let golden = answer(&hex!("0f 0e 0d 0c 0b 0a 09 08 07 06 05 04 03 02 01 00"));
        assert_eq!(commands.send(0x08, &[]).await, golden);
        assert_eq!(commands.send(0x37, &[]).await, golden);
    }
}
