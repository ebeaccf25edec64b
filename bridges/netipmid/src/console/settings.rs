//! The SOL settings of one channel.

use ipmi_proto::Privilege;
use openbmc_dbus::client::{CallError, Properties};
use openbmc_dbus::ipmi::sol;
use rmcp_proto::sol::Parameters;

/// The SOL configuration parameters of one channel (IPMI v2.0 §26, Table 26-5), as the settings
/// object has them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Parameter 1: whether SOL may be activated.
    pub enable: bool,
    /// Parameter 2, bit 7.
    pub force_encryption: bool,
    /// Parameter 2, bit 6.
    pub force_authentication: bool,
    /// Parameter 2, bits 3:0: the least privilege that may activate SOL.
    pub privilege: Privilege,
    /// Parameters 3 and 4.
    pub parameters: Parameters,
}

impl Default for Settings {
    /// Those of OpenBMC's settings service.
    fn default() -> Self {
        Self {
            enable: true,
            force_encryption: true,
            force_authentication: true,
            privilege: Privilege::Administrator,
            parameters: Parameters::default(),
        }
    }
}

impl Settings {
    /// From all properties of `xyz.openbmc_project.Ipmi.SOL`. An invalid privilege means Administrator.
    ///
    /// # Errors
    ///
    /// [`CallError`] for a property that is missing or has another type.
    pub fn from_properties(properties: &Properties) -> Result<Self, CallError> {
        Ok(Self {
            enable: properties.get(sol::ENABLE)?,
            force_encryption: properties.get(sol::FORCE_ENCRYPTION)?,
            force_authentication: properties.get(sol::FORCE_AUTHENTICATION)?,
            privilege: Privilege::new(properties.get(sol::PRIVILEGE)?)
                .unwrap_or(Privilege::Administrator),
            parameters: Parameters::from_wire(
                properties.get(sol::ACCUMULATE_INTERVAL_MS)?,
                properties.get(sol::THRESHOLD)?,
                properties.get(sol::RETRY_COUNT)?,
                properties.get(sol::RETRY_INTERVAL_MS)?,
            ),
        })
    }
}
