//! `xyz.openbmc_project.Led`: lamps, by what they tell.

/// `xyz.openbmc_project.Led.Group`.
pub mod group {
    use crate::interface::interface;

    /// The service that drives the groups.
    pub const SERVICE: &str = "xyz.openbmc_project.LED.GroupManager";
    /// The lamps that show where the enclosure is.
    pub const ENCLOSURE_IDENTIFY: &str = "/xyz/openbmc_project/led/groups/enclosure_identify";
    /// The same lamps, blinking: what an unlimited Chassis Identify sets on some platforms.
    pub const ENCLOSURE_IDENTIFY_BLINK: &str =
        "/xyz/openbmc_project/led/groups/enclosure_identify_blink";

    interface! {
        "xyz.openbmc_project.Led.Group";
        properties {
            /// Whether the group's lamps are lit.
            ReadWrite ASSERTED: bool = "Asserted";
        }
    }
}
