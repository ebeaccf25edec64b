//! Power limit, asset tag and host name.

use openbmc_dbus::client::{CallError, Member};
use openbmc_dbus::control::power_cap as cap;
use openbmc_dbus::inventory::decorator::asset_tag;
use openbmc_dbus::network::{self, ethernet_interface, system_configuration};

use super::{DbusPlatform, Target, locate};
use crate::platform::{Naming, PlatformResult, PowerLimit, PowerLimitSettings};

const CAP: Target = Target::Having(cap::NAME);
const TAG: Target = Target::Having(asset_tag::NAME);
const SYSTEM: Target = Target::At(network::CONFIG_PATH, system_configuration::NAME);

/// The service's times are in microseconds.
const MILLISECOND: u64 = 1_000;
const SECOND: u64 = 1_000_000;

impl PowerLimit for DbusPlatform {
    async fn power_limit(&self) -> PlatformResult<PowerLimitSettings> {
        self.read(CAP, |properties| {
            // Older services do not have the bounds.
            let bound = |value: Result<u32, CallError>| value.unwrap_or_default();
            let correction = properties.get(cap::CORRECTION_TIME).unwrap_or_default();
            let sampling = properties.get(cap::SAMPLING_PERIOD).unwrap_or_default();
            Ok(PowerLimitSettings {
                active: properties.get(cap::POWER_CAP_ENABLE)?,
                limit: properties.get(cap::POWER_CAP)?,
                range: (
                    bound(properties.get(cap::MIN_POWER_CAP_VALUE)),
                    bound(properties.get(cap::MAX_POWER_CAP_VALUE)),
                ),
                action: properties.get(cap::EXCEPTION_ACTION)?,
                correction_time: u32::try_from(correction / MILLISECOND).unwrap_or(u32::MAX),
                sampling_period: u16::try_from(sampling / SECOND).unwrap_or(u16::MAX),
            })
        })
        .await
    }

    async fn set_power_limit(&self, wanted: PowerLimitSettings) -> PlatformResult<()> {
        let correction = u64::from(wanted.correction_time) * MILLISECOND;
        let sampling = u64::from(wanted.sampling_period) * SECOND;
        self.set(CAP, cap::EXCEPTION_ACTION, wanted.action).await?;
        self.set(CAP, cap::CORRECTION_TIME, correction).await?;
        self.set(CAP, cap::SAMPLING_PERIOD, sampling).await?;
        self.set(CAP, cap::POWER_CAP, wanted.limit).await
    }

    async fn activate_power_limit(&self, active: bool) -> PlatformResult<()> {
        self.set(CAP, cap::POWER_CAP_ENABLE, active).await
    }

    async fn power_limit_changed(&self) {
        self.signals.power_limit.notified().await;
    }
}

impl Naming for DbusPlatform {
    async fn asset_tag(&self) -> PlatformResult<String> {
        self.get(TAG, asset_tag::ASSET_TAG).await
    }

    async fn set_asset_tag(&self, tag: String) -> PlatformResult<()> {
        self.set(TAG, asset_tag::ASSET_TAG, tag).await
    }

    async fn host_name(&self) -> PlatformResult<String> {
        self.get(SYSTEM, system_configuration::HOST_NAME).await
    }

    async fn set_host_name(&self, name: String) -> PlatformResult<()> {
        self.set(SYSTEM, system_configuration::HOST_NAME, name).await
    }

    async fn renew_dhcp(&self) -> PlatformResult<()> {
        let connected = self.connected()?;
        let client = &connected.client;
        let name = ethernet_interface::NAME;
        let interfaces = locate::subtree(client, network::ROOT, name).await?;
        if interfaces.is_empty() {
            let member = Member::Set(name, ethernet_interface::DHCP4.name);
            return Err(CallError::no_object(network::ROOT, member).into());
        }
        for interface in interfaces {
            // Writing the present value makes the network service configure the interface again.
            let dhcp = client.get(&interface, ethernet_interface::DHCP4).await?;
            if dhcp {
                client.set(&interface, ethernet_interface::DHCP4, true).await?;
            }
        }
        Ok(())
    }
}
