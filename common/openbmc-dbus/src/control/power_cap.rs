//! `xyz.openbmc_project.Control.Power.Cap`: a limit on the power that the system draws.

use crate::interface::{enumeration, interface};

enumeration! {
    /// The action when the limit is exceeded.
    ExceptionAction = "xyz.openbmc_project.Control.Power.Cap.ExceptionActions" {
        NoAction, HardPowerOff, LogEventOnly, Oem,
    }
}

interface! {
    "xyz.openbmc_project.Control.Power.Cap";
    properties {
        /// The limit, in watts.
        ReadWrite POWER_CAP: u32 = "PowerCap";
        /// Whether the limit is active.
        ReadWrite POWER_CAP_ENABLE: bool = "PowerCapEnable";
        /// The least limit that can be set, in watts.
        ReadWrite MIN_POWER_CAP_VALUE: u32 = "MinPowerCapValue";
        /// The greatest limit that can be set, in watts.
        ReadWrite MAX_POWER_CAP_VALUE: u32 = "MaxPowerCapValue";
        /// The least limit that the platform guarantees, in watts.
        ReadWrite MIN_SOFT_POWER_CAP_VALUE: u32 = "MinSoftPowerCapValue";
        /// The limit when none was set, in watts.
        Read DEFAULT_POWER_CAP: u32 = "DefaultPowerCap";
        /// The action when the limit is exceeded.
        ReadWrite EXCEPTION_ACTION: ExceptionAction = "ExceptionAction";
        /// How long the limit may be exceeded, in microseconds.
        ReadWrite CORRECTION_TIME: u64 = "CorrectionTime";
        /// How often the power is measured, in microseconds.
        ReadWrite SAMPLING_PERIOD: u64 = "SamplingPeriod";
    }
}
