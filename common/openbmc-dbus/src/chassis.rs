//! `xyz.openbmc_project.Chassis`: the front panel's buttons and chassis intrusion.

/// `xyz.openbmc_project.Chassis.Buttons`: the buttons, and pressing them without a finger.
pub mod buttons {
    /// The service that watches the buttons.
    pub const SERVICE: &str = "xyz.openbmc_project.Chassis.Buttons";

    /// `xyz.openbmc_project.Chassis.Buttons.Power`.
    pub mod power {
        use crate::interface::interface;

        /// The power button of the first chassis.
        pub const PATH: &str = "/xyz/openbmc_project/Chassis/Buttons/Power0";

        interface! {
            "xyz.openbmc_project.Chassis.Buttons.Power";
            properties {
                /// Whether pressing it has an effect.
                ReadWrite ENABLED: bool = "Enabled";
            };
            methods {
                /// As if the button had been pressed.
                SIM_PRESS = "simPress" ("") -> ("");
                /// As if the button had been held.
                SIM_LONG_PRESS = "simLongPress" ("") -> ("");
            };
            signals {
                /// The button went down.
                PRESSED = "Pressed" ("");
                /// The button came up after so many microseconds.
                RELEASED = "Released" ("t");
                /// The button was held.
                PRESSED_LONG = "PressedLong" ("");
            }
        }
    }

    macro_rules! plain_button {
        ($(#[$doc:meta])* $module:ident, $interface:literal, $path:literal) => {
            $(#[$doc])*
            pub mod $module {
                use crate::interface::interface;

                /// The first such button.
                pub const PATH: &str = $path;

                interface! {
                    $interface;
                    properties {
                        /// Whether pressing it has an effect.
                        ReadWrite ENABLED: bool = "Enabled";
                    };
                    methods {
                        /// As if the button had been pressed.
                        SIM_PRESS = "simPress" ("") -> ("");
                    };
                    signals {
                        /// The button went down.
                        PRESSED = "Pressed" ("");
                        /// The button came up.
                        RELEASED = "Released" ("");
                    }
                }
            }
        };
    }

    plain_button! {
        /// `xyz.openbmc_project.Chassis.Buttons.Reset`.
        reset, "xyz.openbmc_project.Chassis.Buttons.Reset",
        "/xyz/openbmc_project/Chassis/Buttons/Reset0"
    }
    plain_button! {
        /// `xyz.openbmc_project.Chassis.Buttons.ID`.
        id, "xyz.openbmc_project.Chassis.Buttons.ID",
        "/xyz/openbmc_project/Chassis/Buttons/ID0"
    }
    plain_button! {
        /// `xyz.openbmc_project.Chassis.Buttons.NMI`.
        nmi, "xyz.openbmc_project.Chassis.Buttons.NMI",
        "/xyz/openbmc_project/Chassis/Buttons/NMI0"
    }
}

/// `xyz.openbmc_project.Chassis.Intrusion`: whether the chassis was opened.
pub mod intrusion {
    use crate::interface::{enumeration, interface};

    /// The service that has the intrusion sensor.
    pub const SERVICE: &str = "xyz.openbmc_project.IntrusionSensor";
    /// The chassis' object.
    pub const PATH: &str = "/xyz/openbmc_project/Chassis/Intrusion";

    enumeration! {
        /// The state of the intrusion sensor.
        Status = "xyz.openbmc_project.Chassis.Intrusion.Status" {
            Normal, HardwareIntrusion, TamperingDetected,
        }
    }

    enumeration! {
        /// How the state returns to normal.
        RearmMode = "xyz.openbmc_project.Chassis.Intrusion.RearmMode" { Automatic, Manual }
    }

    interface! {
        "xyz.openbmc_project.Chassis.Intrusion";
        properties {
            /// The state of the intrusion sensor.
            ReadWrite STATUS: Status = "Status";
            /// How the state returns to normal.
            ReadWrite REARM: RearmMode = "Rearm";
        }
    }
}
