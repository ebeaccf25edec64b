//! `xyz.openbmc_project.Control.Service.Attributes`: services that can be turned off.

use crate::interface::interface;

/// The manager of such services.
pub const SERVICE: &str = "xyz.openbmc_project.Control.Service.Manager";
/// The console's service; while it is disabled, there is no SOL.
pub const CONSOLE_PATH: &str = "/xyz/openbmc_project/control/service/_6fbmc_2dconsole";

interface! {
    "xyz.openbmc_project.Control.Service.Attributes";
    properties {
        /// Whether the service is started with the BMC.
        ReadWrite ENABLED: bool = "Enabled";
        /// Whether it runs now.
        ReadWrite RUNNING: bool = "Running";
    }
}
