//! The chassis itself, and the ACPI states that its host reports.

use openbmc_dbus::chassis::buttons;
use openbmc_dbus::chassis::intrusion::{self, Status};
use openbmc_dbus::control::{
    acpi_power_state as acpi, chassis_capabilities as can, restore_policy as policy,
};
use openbmc_dbus::led::group;

use super::{DbusPlatform, Target};
use crate::platform::{
    Acpi, AcpiState, Button, Capabilities, Chassis, PlatformResult, RestorePolicy,
};

const IDENTIFY: Target = Target::At(group::ENCLOSURE_IDENTIFY, group::NAME);
const INTRUSION: Target = Target::Having(intrusion::NAME);
const CAPABILITIES: Target = Target::Having(can::NAME);
const RESTORE_POLICY: Target = Target::Having(policy::NAME);
const ACPI: Target = Target::Having(acpi::NAME);

impl Chassis for DbusPlatform {
    async fn identify(&self) -> PlatformResult<bool> {
        self.get(IDENTIFY, group::ASSERTED).await
    }

    async fn set_identify(&self, on: bool) -> PlatformResult<()> {
        self.set(IDENTIFY, group::ASSERTED, on).await
    }

    async fn button_enabled(&self, button: Button) -> PlatformResult<bool> {
        use buttons::{id, nmi, power, reset};
        match button {
            Button::Power => self.get(Target::At(power::PATH, power::NAME), power::ENABLED).await,
            Button::Reset => self.get(Target::At(reset::PATH, reset::NAME), reset::ENABLED).await,
            Button::Nmi => self.get(Target::At(nmi::PATH, nmi::NAME), nmi::ENABLED).await,
            Button::Identify => self.get(Target::At(id::PATH, id::NAME), id::ENABLED).await,
        }
    }

    async fn set_button_enabled(&self, button: Button, enabled: bool) -> PlatformResult<()> {
        use buttons::{id, nmi, power, reset};
        let (target, property) = match button {
            Button::Power => (Target::At(power::PATH, power::NAME), power::ENABLED),
            Button::Reset => (Target::At(reset::PATH, reset::NAME), reset::ENABLED),
            Button::Nmi => (Target::At(nmi::PATH, nmi::NAME), nmi::ENABLED),
            Button::Identify => (Target::At(id::PATH, id::NAME), id::ENABLED),
        };
        self.set(target, property, enabled).await
    }

    async fn intruded(&self) -> PlatformResult<bool> {
        Ok(self.get(INTRUSION, intrusion::STATUS).await? != Status::Normal)
    }

    async fn capabilities(&self) -> PlatformResult<Capabilities> {
        self.read(CAPABILITIES, |properties| {
            Ok(Capabilities {
                intrusion: properties.get(can::CHASSIS_INTRUSION_ENABLED)?,
                front_panel_lockout: properties.get(can::CHASSIS_FRONT_PANEL_LOCKOUT_ENABLED)?,
                nmi: properties.get(can::CHASSIS_NMI_ENABLED)?,
                power_interlock: properties.get(can::CHASSIS_POWER_INTERLOCK_ENABLED)?,
                fru_address: properties.get(can::FRU_DEVICE_ADDRESS)?,
                sdr_address: properties.get(can::SDR_DEVICE_ADDRESS)?,
                sel_address: properties.get(can::SEL_DEVICE_ADDRESS)?,
                sm_address: properties.get(can::SM_DEVICE_ADDRESS)?,
                bridge_address: properties.get(can::BRIDGE_DEVICE_ADDRESS)?,
            })
        })
        .await
    }

    async fn set_capabilities(&self, wanted: Capabilities) -> PlatformResult<()> {
        for (property, value) in [
            (can::CHASSIS_INTRUSION_ENABLED, wanted.intrusion),
            (can::CHASSIS_FRONT_PANEL_LOCKOUT_ENABLED, wanted.front_panel_lockout),
        ] {
            self.set(CAPABILITIES, property, value).await?;
        }
        for (property, value) in [
            (can::FRU_DEVICE_ADDRESS, wanted.fru_address),
            (can::SDR_DEVICE_ADDRESS, wanted.sdr_address),
            (can::SEL_DEVICE_ADDRESS, wanted.sel_address),
            (can::SM_DEVICE_ADDRESS, wanted.sm_address),
            (can::BRIDGE_DEVICE_ADDRESS, wanted.bridge_address),
        ] {
            self.set(CAPABILITIES, property, value).await?;
        }
        Ok(())
    }

    async fn restore_policy(&self) -> PlatformResult<RestorePolicy> {
        self.get(RESTORE_POLICY, policy::POWER_RESTORE_POLICY).await
    }

    async fn set_restore_policy(&self, wanted: RestorePolicy) -> PlatformResult<()> {
        self.set(RESTORE_POLICY, policy::POWER_RESTORE_POLICY, wanted).await
    }
}

impl Acpi for DbusPlatform {
    async fn acpi_states(&self) -> PlatformResult<(AcpiState, AcpiState)> {
        let states = self.read(ACPI, |properties| {
            Ok((properties.get(acpi::SYS_ACPI_STATUS)?, properties.get(acpi::DEV_ACPI_STATUS)?))
        });
        states.await
    }

    async fn set_acpi_states(
        &self,
        system: Option<AcpiState>,
        device: Option<AcpiState>,
    ) -> PlatformResult<()> {
        if let Some(system) = system {
            self.set(ACPI, acpi::SYS_ACPI_STATUS, system).await?;
        }
        if let Some(device) = device {
            self.set(ACPI, acpi::DEV_ACPI_STATUS, device).await?;
        }
        Ok(())
    }
}
