//! `xyz.openbmc_project.Console`: the host's serial console.

/// `xyz.openbmc_project.Console.UART`.
pub mod uart {
    use crate::interface::interface;

    /// The service of the default console.
    pub const SERVICE: &str = "xyz.openbmc_project.Console.default";
    /// The default console.
    pub const PATH: &str = "/xyz/openbmc_project/console/default";

    interface! {
        "xyz.openbmc_project.Console.UART";
        properties {
            /// The rate in bits per second.
            ReadWrite BAUD: u64 = "Baud";
        }
    }
}
