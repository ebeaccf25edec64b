//! `xyz.openbmc_project.State.PowerOnHours`: how long the host has been powered in all.

use crate::interface::interface;

interface! {
    "xyz.openbmc_project.State.PowerOnHours";
    properties {
        /// The power-on hours.
        ReadWrite POH_COUNTER: u32 = "POHCounter";
    }
}
