//! `xyz.openbmc_project.Control.Security.RestrictionMode`: what the host may do over IPMI.

use crate::interface::{enumeration, interface};

/// The settings service's object.
pub const PATH: &str = "/xyz/openbmc_project/control/host0/restriction_mode";

enumeration! {
    /// What the host may do over IPMI.
    Modes = "xyz.openbmc_project.Control.Security.RestrictionMode.Modes" {
        None, Allowlist, Blocklist, Provisioning, ProvisionedHostAllowlist, ProvisionedHostDisabled,
    }
}

interface! {
    "xyz.openbmc_project.Control.Security.RestrictionMode";
    properties {
        /// What the host may do over IPMI.
        ReadWrite RESTRICTION_MODE: Modes = "RestrictionMode";
    }
}
