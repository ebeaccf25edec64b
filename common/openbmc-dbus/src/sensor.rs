//! `xyz.openbmc_project.Sensor`: readings and their limits.
//!
//! A sensor's object is `/xyz/openbmc_project/sensors/KIND/NAME`.

/// What all sensors are under.
pub const ROOT: &str = "/xyz/openbmc_project/sensors";

/// `xyz.openbmc_project.Sensor.Value`.
pub mod value {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// What a value is measured in.
        Unit = "xyz.openbmc_project.Sensor.Value.Unit" {
            Amperes, CFM, DegreesC, Hertz, Joules, LPM, AmpereHours, Meters, Percent, PercentRH,
            Pascals, Radians, RPMS, Volts, Watts,
        }
    }

    interface! {
        "xyz.openbmc_project.Sensor.Value";
        properties {
            /// The value; NaN while it is unknown.
            ReadWrite VALUE: f64 = "Value";
            /// The greatest value that can be measured.
            ReadWrite MAX_VALUE: f64 = "MaxValue";
            /// The least value that can be measured.
            ReadWrite MIN_VALUE: f64 = "MinValue";
            /// What the values are measured in.
            Read UNIT: Unit = "Unit";
        }
    }
}

macro_rules! threshold {
    (
        $(#[$doc:meta])* $module:ident, $interface:literal,
        $high:literal, $low:literal, $alarm_high:literal, $alarm_low:literal,
        $high_asserted:literal, $high_deasserted:literal, $low_asserted:literal,
        $low_deasserted:literal
    ) => {
        $(#[$doc])*
        pub mod $module {
            use crate::interface::interface;

            interface! {
                $interface;
                properties {
                    /// The upper limit; not a number for none.
                    ReadWrite HIGH: f64 = $high;
                    /// The lower limit; not a number for none.
                    ReadWrite LOW: f64 = $low;
                    /// Whether the value is at the upper limit or above.
                    ReadWrite ALARM_HIGH: bool = $alarm_high;
                    /// Whether the value is at the lower limit or below.
                    ReadWrite ALARM_LOW: bool = $alarm_low;
                };
                signals {
                    /// The upper alarm was raised, at this value.
                    HIGH_ASSERTED = $high_asserted ("d");
                    /// The upper alarm ended, at this value.
                    HIGH_DEASSERTED = $high_deasserted ("d");
                    /// The lower alarm was raised, at this value.
                    LOW_ASSERTED = $low_asserted ("d");
                    /// The lower alarm ended, at this value.
                    LOW_DEASSERTED = $low_deasserted ("d");
                }
            }
        }
    };
}

threshold! {
    /// `xyz.openbmc_project.Sensor.Threshold.Warning`: IPMI's non-critical limits.
    warning, "xyz.openbmc_project.Sensor.Threshold.Warning",
    "WarningHigh", "WarningLow", "WarningAlarmHigh", "WarningAlarmLow",
    "WarningHighAlarmAsserted", "WarningHighAlarmDeasserted",
    "WarningLowAlarmAsserted", "WarningLowAlarmDeasserted"
}

threshold! {
    /// `xyz.openbmc_project.Sensor.Threshold.Critical`: IPMI's critical limits.
    critical, "xyz.openbmc_project.Sensor.Threshold.Critical",
    "CriticalHigh", "CriticalLow", "CriticalAlarmHigh", "CriticalAlarmLow",
    "CriticalHighAlarmAsserted", "CriticalHighAlarmDeasserted",
    "CriticalLowAlarmAsserted", "CriticalLowAlarmDeasserted"
}

threshold! {
    /// `xyz.openbmc_project.Sensor.Threshold.SoftShutdown`: limits at which the host is shut down gracefully.
    soft_shutdown, "xyz.openbmc_project.Sensor.Threshold.SoftShutdown",
    "SoftShutdownHigh", "SoftShutdownLow", "SoftShutdownAlarmHigh", "SoftShutdownAlarmLow",
    "SoftShutdownHighAlarmAsserted", "SoftShutdownHighAlarmDeasserted",
    "SoftShutdownLowAlarmAsserted", "SoftShutdownLowAlarmDeasserted"
}

threshold! {
    /// `xyz.openbmc_project.Sensor.Threshold.HardShutdown`: limits at which power is cut: IPMI's non-recoverable limits.
    hard_shutdown, "xyz.openbmc_project.Sensor.Threshold.HardShutdown",
    "HardShutdownHigh", "HardShutdownLow", "HardShutdownAlarmHigh", "HardShutdownAlarmLow",
    "HardShutdownHighAlarmAsserted", "HardShutdownHighAlarmDeasserted",
    "HardShutdownLowAlarmAsserted", "HardShutdownLowAlarmDeasserted"
}

/// `xyz.openbmc_project.Sensor.ValueMutability`.
pub mod value_mutability {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Sensor.ValueMutability";
        properties {
            /// Whether clients may set the value.
            Read MUTABLE: bool = "Mutable";
        }
    }
}

/// `xyz.openbmc_project.Control.FanPwm`.
pub mod fan_pwm {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Control.FanPwm";
        properties {
            /// The requested duty cycle, 0 to 255.
            ReadWrite TARGET: u64 = "Target";
        }
    }
}
