//! `xyz.openbmc_project.Control`: settings.

pub mod acpi_power_state;
pub mod boot;
pub mod chassis_capabilities;
pub mod host;
pub mod host_nmi;
pub mod power_cap;
pub mod restore_policy;
pub mod restriction_mode;
pub mod service_attributes;
