//! `xyz.openbmc_project.Control.ChassisCapabilities`: the flags of Get Chassis Capabilities.

use crate::interface::interface;

interface! {
    "xyz.openbmc_project.Control.ChassisCapabilities";
    properties {
        /// Whether chassis intrusion is detected.
        ReadWrite CHASSIS_INTRUSION_ENABLED: bool = "ChassisIntrusionEnabled";
        /// Whether the front panel can be locked.
        ReadWrite CHASSIS_FRONT_PANEL_LOCKOUT_ENABLED: bool = "ChassisFrontPanelLockoutEnabled";
        /// Whether the chassis can give an NMI.
        ReadWrite CHASSIS_NMI_ENABLED: bool = "ChassisNMIEnabled";
        /// Whether the chassis has a power interlock.
        ReadWrite CHASSIS_POWER_INTERLOCK_ENABLED: bool = "ChassisPowerInterlockEnabled";
        /// IPMB address of the FRU inventory device.
        ReadWrite FRU_DEVICE_ADDRESS: u8 = "FRUDeviceAddress";
        /// IPMB address of the SDR device.
        ReadWrite SDR_DEVICE_ADDRESS: u8 = "SDRDeviceAddress";
        /// IPMB address of the SEL device.
        ReadWrite SEL_DEVICE_ADDRESS: u8 = "SELDeviceAddress";
        /// IPMB address of the system management device.
        ReadWrite SM_DEVICE_ADDRESS: u8 = "SMDeviceAddress";
        /// IPMB address of the bridge device.
        ReadWrite BRIDGE_DEVICE_ADDRESS: u8 = "BridgeDeviceAddress";
    }
}
