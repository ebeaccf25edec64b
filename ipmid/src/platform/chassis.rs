//! The chassis itself: identify LED, buttons, intrusion, capabilities, and the power restore
//! policy.

use std::future::Future;

pub use openbmc_dbus::control::restore_policy::Policy as RestorePolicy;

use super::PlatformResult;

/// A button of the front panel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Button {
    /// Power.
    Power,
    /// Reset.
    Reset,
    /// Diagnostic interrupt.
    Nmi,
    /// Identify.
    Identify,
}

/// `Control.ChassisCapabilities`: flags, and the IPMB addresses of the chassis' devices.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Capabilities {
    /// The chassis has an intrusion sensor.
    pub intrusion: bool,
    /// The front panel can be locked.
    pub front_panel_lockout: bool,
    /// The chassis can send a diagnostic interrupt.
    pub nmi: bool,
    /// The chassis has a power interlock.
    pub power_interlock: bool,
    /// Chassis FRU inventory device.
    pub fru_address: u8,
    /// Chassis SDR device.
    pub sdr_address: u8,
    /// Chassis SEL device.
    pub sel_address: u8,
    /// System management device.
    pub sm_address: u8,
    /// Bridge device.
    pub bridge_address: u8,
}

/// Chassis functions other than power.
pub trait Chassis: Send + Sync + 'static {
    /// Whether the identify LED is on (`Led.Group.Asserted` of `enclosure_identify`).
    fn identify(&self) -> impl Future<Output = PlatformResult<bool>> + Send;

    /// Switches the identify LED.
    fn set_identify(&self, on: bool) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Whether pressing `button` has an effect (`Chassis.Buttons.*.Enabled`).
    fn button_enabled(&self, button: Button) -> impl Future<Output = PlatformResult<bool>> + Send;

    /// Enables or disables `button`.
    fn set_button_enabled(
        &self,
        button: Button,
        enabled: bool,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Whether a chassis intrusion is reported (`Chassis.Intrusion.Status` other than `Normal`).
    fn intruded(&self) -> impl Future<Output = PlatformResult<bool>> + Send;

    /// What the chassis can do.
    fn capabilities(&self) -> impl Future<Output = PlatformResult<Capabilities>> + Send;

    /// Changes what the chassis says it can do.
    fn set_capabilities(
        &self,
        capabilities: Capabilities,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// What to do when power comes back (`PowerRestorePolicy`).
    fn restore_policy(&self) -> impl Future<Output = PlatformResult<RestorePolicy>> + Send;

    /// Changes what to do when power comes back.
    fn set_restore_policy(
        &self,
        policy: RestorePolicy,
    ) -> impl Future<Output = PlatformResult<()>> + Send;
}
