//! `xyz.openbmc_project.Led`: LEDs in groups, by what they indicate.

/// `xyz.openbmc_project.Led.Group`.
pub mod group {
    use crate::interface::interface;

    /// The service that drives the groups.
    pub const SERVICE: &str = "xyz.openbmc_project.LED.GroupManager";
    /// The LEDs that identify the enclosure.
    pub const ENCLOSURE_IDENTIFY: &str = "/xyz/openbmc_project/led/groups/enclosure_identify";
    /// The same LEDs, blinking: what an unlimited Chassis Identify sets on some platforms.
    pub const ENCLOSURE_IDENTIFY_BLINK: &str =
        "/xyz/openbmc_project/led/groups/enclosure_identify_blink";

    interface! {
        "xyz.openbmc_project.Led.Group";
        properties {
            /// Whether the group's LEDs are lit.
            ReadWrite ASSERTED: bool = "Asserted";
        }
    }
}
