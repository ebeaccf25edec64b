//! The ACPI power states that the host reports: `Control.Power.ACPIPowerState`.

use std::future::Future;

pub use openbmc_dbus::control::acpi_power_state::Acpi as AcpiState;

use super::PlatformResult;

/// Stores the ACPI states that the host reports.
pub trait Acpi: Send + Sync + 'static {
    /// System and device state.
    fn acpi_states(&self) -> impl Future<Output = PlatformResult<(AcpiState, AcpiState)>> + Send;

    /// Changes the states that are `Some`.
    fn set_acpi_states(
        &self,
        system: Option<AcpiState>,
        device: Option<AcpiState>,
    ) -> impl Future<Output = PlatformResult<()>> + Send;
}
