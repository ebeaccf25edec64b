//! The DCMI capabilities of this machine (DCMI 1.5 §6.1.1).

use std::sync::Arc;

use ipmi_proto::codec::Remaining;
use ipmi_proto::{CompletionCode, GroupBody, Privilege};

use super::sensors::ENTITIES;
use super::{DcmiProvider, Platform};
use crate::platform::{PlatformError, PlatformResult};
use crate::request::command::Registrar;
use crate::request::context::Context;

/// Conformance to DCMI 1.5, revision 2 of the parameters.
pub(super) const VERSION: [u8; 3] = [1, 5, 2];

/// Supported: identification, event log, chassis power, temperatures. DCMI 1.5 takes them for granted and reserves the
/// byte; clients of earlier revisions read it.
const MANDATORY: u8 = 0x0f;
/// Optional: power management.
const POWER_MANAGEMENT: u8 = 0x01;
/// Access: by the system interface; by the primary LAN, with SOL and VLANs.
const IN_BAND: u8 = 0x01;
const LAN: u8 = 0x08 | 0x10 | 0x20;
/// Identification attributes, which DCMI 1.5 reserves too: GUID, host name in DHCP, asset tag.
const GUID: u8 = 0x01;
const HOST_NAME: u8 = 0x02;
const ASSET_TAG: u8 = 0x04;
/// No such channel, device or address.
const NONE: u8 = 0xff;
/// The log drops its oldest record when it is full.
const SEL_ROLLS_OVER: u16 = 0x8000;
/// Sampling interval of temperatures, in seconds.
const TEMPERATURE_SAMPLING: u8 = 1;
/// The BMC's own slave address.
const BMC_ADDRESS: u8 = 0x20;

impl<P: Platform> DcmiProvider<P> {
    pub(super) fn register_capabilities(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::Callback;
        let mut rows = table.rows(GroupBody::DCMI, self).for_anyone();
        rows.add(0x01, Callback, "Get DCMI Capabilities Info", Self::get_dcmi_capabilities_info);
    }

    /// Get DCMI Capabilities Info (DCMI 1.5 §6.1.1): conformance, revision, one parameter.
    ///
    /// # Errors
    ///
    /// `CCh` for an unknown parameter.
    async fn get_dcmi_capabilities_info(
        self: Arc<Self>,
        _: Context,
        parameter: u8,
    ) -> Result<([u8; 3], Remaining), CompletionCode> {
        let data = match parameter {
            1 => self.supported().await,
            2 => {
                let log = SEL_ROLLS_OVER | self.sel_capacity.min(0x0fff);
                let [low, high] = log.to_le_bytes();
                let identification = self.identification().await;
                vec![low, high, identification, self.monitored().await?, TEMPERATURE_SAMPLING]
            }
            3 => vec![BMC_ADDRESS, 0],
            4 => vec![self.lan_channel.unwrap_or(NONE), NONE, NONE],
            // No rolling averages.
            5 => vec![0],
            _ => return Err(CompletionCode::INVALID_DATA_FIELD),
        };
        Ok((VERSION, data.into()))
    }

    /// Supported DCMI capabilities: mandatory, optional, access.
    async fn supported(&self) -> Vec<u8> {
        let has_limit = is_present(&self.platform.power_limit().await);
        let optional = if has_limit { POWER_MANAGEMENT } else { 0 };
        let access = if self.lan_channel.is_some() { IN_BAND | LAN } else { IN_BAND };
        vec![MANDATORY, optional, access]
    }

    /// Identification attributes.
    async fn identification(&self) -> u8 {
        let (tag, name) = tokio::join!(self.platform.asset_tag(), self.platform.host_name());
        let has = |present, bit| if present { bit } else { 0 };
        GUID | has(is_present(&name), HOST_NAME) | has(is_present(&tag), ASSET_TAG)
    }

    /// Temperature monitoring attributes: bit n for the nth of DCMI's entities, if it has a sensor.
    async fn monitored(&self) -> Result<u8, CompletionCode> {
        let mut monitored = 0;
        for (bit, (entity, _)) in ENTITIES.into_iter().enumerate() {
            monitored |= u8::from(!self.temperatures(entity).await?.is_empty()) << bit;
        }
        Ok(monitored)
    }
}

/// Whether some service has what was read.
fn is_present<T>(result: &PlatformResult<T>) -> bool {
    !matches!(result, Err(PlatformError::Absent(_)))
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::dcmi::tests::{answer, commands};

    #[tokio::test]
    async fn each_parameter_has_its_length() {
        let commands = commands();
        for (parameter, reply) in [
            (1, &hex!("01 05 02 0f 01 39")[..]),
            (2, &hex!("01 05 02 ff 8f 07 02 01")),
            (3, &hex!("01 05 02 20 00")),
            (4, &hex!("01 05 02 01 ff ff")),
            (5, &hex!("01 05 02 00")),
        ] {
            assert_eq!(commands.send(0x01, &[parameter]).await, answer(reply), "{parameter}");
        }
        assert_eq!(commands.send(0x01, &[6]).await, Err(CompletionCode::INVALID_DATA_FIELD));
    }
}
