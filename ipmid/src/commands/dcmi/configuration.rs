//! DCMI configuration parameters: how the BMC finds its address (DCMI 1.5 §6.1.2, §6.1.3).

use std::sync::Arc;

use ipmi_proto::codec::{self, Remaining, Zero};
use ipmi_proto::{CompletionCode, GroupBody, Privilege};
use serde::{Deserialize, Serialize};

use super::capabilities::VERSION;
use super::{DcmiProvider, Platform};
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// `80h`: parameter not supported.
const PARAMETER_NOT_SUPPORTED: CompletionCode = CompletionCode(0x80);

const PARAM_ACTIVATE_DHCP: u8 = 1;
const PARAM_DISCOVERY: u8 = 2;
const PARAM_INITIAL_TIMEOUT: u8 = 3;
const PARAM_CONTACT_TIMEOUT: u8 = 4;
const PARAM_RETRY_INTERVAL: u8 = 5;

/// The parameters; the times in seconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Parameters {
    /// Bit 7 random back-off, 1 option 60 with 43, 0 option 12.
    discovery: u8,
    initial_timeout: u8,
    contact_timeout: u16,
    retry_interval: u16,
}

impl Default for Parameters {
    /// The defaults of DCMI 1.5 §6.1.3.
    fn default() -> Self {
        Self { discovery: 0x01, initial_timeout: 4, contact_timeout: 120, retry_interval: 64 }
    }
}

impl Parameters {
    fn set(&mut self, parameter: u8, data: &Remaining) -> Result<(), CompletionCode> {
        match parameter {
            PARAM_DISCOVERY => self.discovery = data.decode()?,
            PARAM_INITIAL_TIMEOUT => self.initial_timeout = data.decode()?,
            PARAM_CONTACT_TIMEOUT => self.contact_timeout = data.decode()?,
            PARAM_RETRY_INTERVAL => self.retry_interval = data.decode()?,
            _ => return Err(PARAMETER_NOT_SUPPORTED),
        }
        Ok(())
    }
}

impl<P: Platform> DcmiProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_configuration(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, User};
        let mut rows = table.rows(GroupBody::DCMI, self);
        rows.add(0x13, User, "Get DCMI Configuration Parameters", Self::get_dcmi_configuration_parameters);
        let mut rows = rows.changing(Resource::NETWORK);
        rows.add(0x12, Administrator, "Set DCMI Configuration Parameters", Self::set_dcmi_configuration_parameters);
    }

    /// Set DCMI Configuration Parameters (DCMI 1.5 §6.1.2).
    ///
    /// # Errors
    ///
    /// `80h` for an unknown parameter; `D5h` if no network interface can renew its lease.
    async fn set_dcmi_configuration_parameters(
        self: Arc<Self>,
        _: Context,
        parameter: u8,
        _set_selector: u8,
        data: Remaining,
    ) -> HandlerResult<()> {
        if parameter == PARAM_ACTIVATE_DHCP {
            let (activate, _): (bool, Zero<7>) = data.decode()?;
            if activate {
                self.platform.renew_dhcp().await?;
            }
            return Ok(());
        }
        Ok(self.state.try_update(|state| state.configuration.set(parameter, &data)).await?)
    }

    /// Get DCMI Configuration Parameters (DCMI 1.5 §6.1.3): conformance, revision, one parameter.
    ///
    /// # Errors
    ///
    /// `80h` for an unknown parameter or one that cannot be read.
    async fn get_dcmi_configuration_parameters(
        self: Arc<Self>,
        _: Context,
        parameter: u8,
        _set_selector: u8,
    ) -> Result<([u8; 3], Remaining), CompletionCode> {
        let stored = self.state.get().configuration;
        let data = match parameter {
            PARAM_DISCOVERY => vec![stored.discovery],
            PARAM_INITIAL_TIMEOUT => vec![stored.initial_timeout],
            PARAM_CONTACT_TIMEOUT => codec::encode(&stored.contact_timeout),
            PARAM_RETRY_INTERVAL => codec::encode(&stored.retry_interval),
            _ => return Err(PARAMETER_NOT_SUPPORTED),
        };
        Ok((VERSION, data.into()))
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::dcmi::tests::{answer, commands};

    #[tokio::test]
    async fn parameters_are_set_and_read() {
        let commands = commands();
        assert_eq!(commands.send(0x13, &hex!("04 00")).await, answer(&hex!("01 05 02 78 00")));
        assert_eq!(commands.send(0x12, &hex!("04 00 2c 01")).await, answer(&[]));
        assert_eq!(commands.send(0x13, &hex!("04 00")).await, answer(&hex!("01 05 02 2c 01")));
        assert_eq!(commands.send(0x12, &hex!("01 00 01")).await, answer(&[]));
        assert_eq!(commands.platform.state().dhcp_renewals, 1);
        assert_eq!(commands.send(0x13, &hex!("01 00")).await, Err(PARAMETER_NOT_SUPPORTED));
        assert_eq!(commands.send(0x12, &hex!("06 00 01")).await, Err(PARAMETER_NOT_SUPPORTED));
    }
}
