//! The properties of OpenBMC's settings service that no other part acts on.

use openbmc_dbus::console::uart;
use openbmc_dbus::control::acpi_power_state::{self, Acpi};
use openbmc_dbus::control::power_cap::{self, ExceptionAction};
use openbmc_dbus::control::restriction_mode::{self, Modes};
use openbmc_dbus::control::{
    chassis_capabilities as capabilities, service_attributes as attributes,
};
use openbmc_dbus::ipmi::sol;

use crate::config::Platform;
use crate::part::{Context, Part};
use crate::tree::Instance;

/// The well-known name of the settings service.
pub(crate) const SERVICE: &str = "xyz.openbmc_project.Settings";

/// The rate of a console that nobody has set.
const CONSOLE_BAUD: u64 = 115_200;

const ACPI_PATH: &str = "/xyz/openbmc_project/control/host0/acpi_power_state";
const POWER_CAP_PATH: &str = "/xyz/openbmc_project/control/host0/power_cap";
const CAPABILITIES_PATH: &str = "/xyz/openbmc_project/control/chassis_capabilities_config";

/// The address of the BMC on the IPMB, which is all devices of the chassis capabilities.
const BMC_ADDRESS: u8 = 0x20;

/// The settings.
#[derive(Debug)]
pub(crate) struct Settings {
    sol_channels: Vec<String>,
}

impl Settings {
    pub(crate) fn new(config: &Platform) -> Self {
        Self { sol_channels: config.sol.channels.clone() }
    }
}

impl Part for Settings {
    fn start(&mut self, context: &mut Context<'_>) {
        let acpi = Instance::new(&acpi_power_state::INTERFACE)
            .with(acpi_power_state::SYS_ACPI_STATUS, Acpi::Unknown)
            .with(acpi_power_state::DEV_ACPI_STATUS, Acpi::Unknown);
        context.tree.add(SERVICE, ACPI_PATH, [acpi.persistent()]);
        context.tree.add(SERVICE, CAPABILITIES_PATH, [chassis_capabilities().persistent()]);
        for channel in &self.sol_channels {
            let path = format!("{}{channel}", sol::PATH_PREFIX);
            context.tree.add(SERVICE, &path, [sol_defaults().persistent()]);
        }
        let mode = Instance::new(&restriction_mode::INTERFACE)
            .with(restriction_mode::RESTRICTION_MODE, Modes::None);
        context.tree.add(SERVICE, restriction_mode::PATH, [mode.persistent()]);
        let baud = Instance::new(&uart::INTERFACE).with(uart::BAUD, CONSOLE_BAUD);
        context.tree.add(uart::SERVICE, uart::PATH, [baud.persistent()]);
        let console = Instance::new(&attributes::INTERFACE)
            .with(attributes::ENABLED, true)
            .with(attributes::RUNNING, true);
        context.tree.add(attributes::SERVICE, attributes::CONSOLE_PATH, [console.persistent()]);
        let cap = power_cap();
        context.tree.add(SERVICE, POWER_CAP_PATH, [cap.persistent()]);
    }
}

/// No limit yet, and all that a small server may be limited to.
fn power_cap() -> Instance {
    Instance::new(&power_cap::INTERFACE)
        .with(power_cap::POWER_CAP, 500)
        .with(power_cap::MIN_POWER_CAP_VALUE, 100)
        .with(power_cap::MAX_POWER_CAP_VALUE, 1000)
        .with(power_cap::MIN_SOFT_POWER_CAP_VALUE, 150)
        .with(power_cap::DEFAULT_POWER_CAP, 500)
        .with(power_cap::EXCEPTION_ACTION, ExceptionAction::NoAction)
        .with(power_cap::CORRECTION_TIME, 1_000_000)
        .with(power_cap::SAMPLING_PERIOD, 1_000_000)
}

fn chassis_capabilities() -> Instance {
    Instance::new(&capabilities::INTERFACE)
        .with(capabilities::CHASSIS_INTRUSION_ENABLED, true)
        .with(capabilities::CHASSIS_FRONT_PANEL_LOCKOUT_ENABLED, true)
        .with(capabilities::CHASSIS_NMI_ENABLED, true)
        .with(capabilities::FRU_DEVICE_ADDRESS, BMC_ADDRESS)
        .with(capabilities::SDR_DEVICE_ADDRESS, BMC_ADDRESS)
        .with(capabilities::SEL_DEVICE_ADDRESS, BMC_ADDRESS)
        .with(capabilities::SM_DEVICE_ADDRESS, BMC_ADDRESS)
        .with(capabilities::BRIDGE_DEVICE_ADDRESS, BMC_ADDRESS)
}

/// The defaults of phosphor-settings-manager.
fn sol_defaults() -> Instance {
    Instance::new(&sol::INTERFACE)
        .with(sol::ENABLE, true)
        .with(sol::FORCE_ENCRYPTION, true)
        .with(sol::FORCE_AUTHENTICATION, true)
        .with(sol::PRIVILEGE, 4)
        .with(sol::ACCUMULATE_INTERVAL_MS, 20)
        .with(sol::THRESHOLD, 1)
        .with(sol::RETRY_COUNT, 7)
        .with(sol::RETRY_INTERVAL_MS, 100)
}
