//! `xyz.openbmc_project.Time`: the BMC's clock.

/// `xyz.openbmc_project.Time.EpochTime`.
pub mod epoch_time {
    use crate::interface::interface;

    /// The service that has the clock.
    pub const SERVICE: &str = "xyz.openbmc_project.Time.Manager";
    /// The BMC's clock.
    pub const BMC_PATH: &str = "/xyz/openbmc_project/time/bmc";

    interface! {
        "xyz.openbmc_project.Time.EpochTime";
        properties {
            /// Microseconds since the epoch.
            ReadWrite ELAPSED: u64 = "Elapsed";
        }
    }
}

/// `org.freedesktop.timedate1`: whether the clock follows the network.
pub mod timedate {
    use crate::interface::interface;

    /// systemd's service.
    pub const SERVICE: &str = "org.freedesktop.timedate1";
    /// Its object.
    pub const PATH: &str = "/org/freedesktop/timedate1";

    interface! {
        "org.freedesktop.timedate1";
        properties {
            /// The zone's name.
            Read TIMEZONE: String = "Timezone";
            /// Whether the clock follows the network.
            Read NTP: bool = "NTP";
        };
        methods {
            /// Turns following the network on or off.
            SET_NTP = "SetNTP" ("bb") -> ("");
        }
    }
}
