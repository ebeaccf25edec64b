//! Power limit and names of the fake platform.

use super::FakePlatform;
use crate::platform::{Naming, PlatformResult, PowerLimit, PowerLimitSettings};

impl PowerLimit for FakePlatform {
    async fn power_limit(&self) -> PlatformResult<PowerLimitSettings> {
        self.step().await;
        self.answer(|state| state.power_limit)
    }
    async fn set_power_limit(&self, settings: PowerLimitSettings) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.power_limit.action = settings.action)?;
        self.step().await;
        self.answer(|state| {
            let active = state.power_limit.active;
            state.power_limit = PowerLimitSettings { active, ..settings };
        })
    }
    async fn activate_power_limit(&self, active: bool) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.power_limit.active = active)
    }
    async fn power_limit_changed(&self) {
        self.1.notified().await;
    }
}

impl Naming for FakePlatform {
    async fn asset_tag(&self) -> PlatformResult<String> {
        self.step().await;
        self.answer(|state| state.asset_tag.clone())
    }
    async fn set_asset_tag(&self, tag: String) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.asset_tag = tag)
    }
    async fn host_name(&self) -> PlatformResult<String> {
        self.step().await;
        self.answer(|state| state.host_name.clone())
    }
    async fn set_host_name(&self, name: String) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.host_name = name)
    }
    async fn renew_dhcp(&self) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.dhcp_renewals += 1)
    }
}
