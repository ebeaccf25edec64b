//! `xyz.openbmc_project.Control.Power.ACPIPowerState`: the power states the host reported.

use crate::interface::{enumeration, interface};

enumeration! {
    /// A system or device power state of ACPI.
    Acpi = "xyz.openbmc_project.Control.Power.ACPIPowerState.ACPI" {
        S0_G0_D0, S1_D1, S2_D2, S3_D3, S4, S5_G2, S4_S5, G3, SLEEP, G1_SLEEP, OVERRIDE, LEGACY_ON,
        LEGACY_OFF, Unknown,
    }
}

interface! {
    "xyz.openbmc_project.Control.Power.ACPIPowerState";
    properties {
        /// The system's state.
        ReadWrite SYS_ACPI_STATUS: Acpi = "SysACPIStatus";
        /// The device's state.
        ReadWrite DEV_ACPI_STATUS: Acpi = "DevACPIStatus";
    }
}
