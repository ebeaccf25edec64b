//! `xyz.openbmc_project.Control.Host.NMI`: a diagnostic interrupt to the host.

use crate::interface::interface;

/// The service that can pulse the NMI line.
pub const SERVICE: &str = "xyz.openbmc_project.Control.Host.NMI";
/// The first host's object.
pub const PATH: &str = "/xyz/openbmc_project/control/host0/nmi";

interface! {
    "xyz.openbmc_project.Control.Host.NMI";
    methods {
        /// Gives the host a non-maskable interrupt.
        NMI = "NMI" ("") -> ("");
    }
}
