//! `org.causeway.Host.Simulation`: what goes wrong with the host of `platformd`, set while it runs.
//!
//! It is an interface of our own at the host's object, [`PATH`](crate::state::host::PATH).

use crate::interface::interface;

interface! {
    "org.causeway.Host.Simulation";
    properties {
        /// What executes power operations: `simulated`, `qemu` or `command`.
        Read BACKEND: String = "Backend";
        /// What becomes of power operations: [`NONE`], [`REFUSE`] or [`HANG`].
        ReadWrite FAULT: String = "Fault";
        /// Milliseconds after which a power operation begins, 0 to [`MAX_DELAY_MS`].
        ReadWrite DELAY_MS: u32 = "DelayMs";
        /// Whether the console of a simulated host is disconnected.
        ReadWrite CONSOLE_LOST: bool = "ConsoleLost";
    };
    methods {
        /// Logs so many events in the SEL, 1 to 65535.
        FILL_LOG = "FillLog" ("u") -> ("");
    }
}

/// The backend of a host that exists in `platformd` only.
pub const SIMULATED: &str = "simulated";

/// Power operations are executed.
pub const NONE: &str = "none";
/// Power operations are refused with an error.
pub const REFUSE: &str = "refuse";
/// Power operations are neither executed nor answered, until there is another value: then they fail.
pub const HANG: &str = "hang";

/// A day.
pub const MAX_DELAY_MS: u32 = 86_400_000;
