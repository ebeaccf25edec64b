//! A platform in memory, for the handlers' tests.

use std::sync::{Mutex, MutexGuard};

use super::*;

/// What the fake platform holds and what it was asked.
#[derive(Clone, Debug)]
pub(crate) struct FakeState {
    /// Given to every call when set.
    pub(crate) error: Option<PlatformError>,
    pub(crate) power: PowerState,
    pub(crate) chassis_requests: Vec<ChassisTransition>,
    pub(crate) host_requests: Vec<HostTransition>,
    pub(crate) nmi_pulses: u32,
    pub(crate) restart_cause: RestartCause,
    pub(crate) power_on_hours: u32,
    pub(crate) identify: bool,
    pub(crate) disabled_buttons: Vec<Button>,
    pub(crate) intruded: bool,
    pub(crate) capabilities: Capabilities,
    pub(crate) restore_policy: RestorePolicy,
    pub(crate) boot: BootSettings,
    pub(crate) acpi: (AcpiState, AcpiState),
    pub(crate) ready: bool,
    pub(crate) bmc_requests: Vec<BmcTransition>,
    pub(crate) watchdog: WatchdogState,
    pub(crate) watchdog_resets: u32,
    pub(crate) sessions: Vec<SessionInfo>,
}

/// A platform in memory.
#[derive(Debug)]
pub(crate) struct FakePlatform(Mutex<FakeState>);

impl Default for FakePlatform {
    fn default() -> Self {
        Self(Mutex::new(FakeState {
            error: None,
            power: PowerState::Off,
            chassis_requests: Vec::new(),
            host_requests: Vec::new(),
            nmi_pulses: 0,
            restart_cause: RestartCause::RemoteCommand,
            power_on_hours: 1234,
            identify: false,
            disabled_buttons: Vec::new(),
            intruded: false,
            capabilities: Capabilities {
                sel_address: 0x20,
                ..Capabilities::default()
            },
            restore_policy: RestorePolicy::AlwaysOff,
            boot: BootSettings {
                enabled: false,
                one_time: false,
                device: BootDevice::Default,
                mode: BootMode::Regular,
                kind: BootType::EFI,
            },
            acpi: (AcpiState::S5_G2, AcpiState::S0_G0_D0),
            ready: true,
            bmc_requests: Vec::new(),
            watchdog: WatchdogState {
                initialized: false,
                settings: WatchdogSettings {
                    running: false,
                    timer_use: WatchdogUse::Reserved,
                    action: WatchdogAction::None,
                    log: true,
                    interval: 0,
                },
                remaining: 0,
                expired_use: WatchdogUse::Reserved,
            },
            watchdog_resets: 0,
            sessions: Vec::new(),
        }))
    }
}

impl FakePlatform {
    /// What it holds, to look at and to change.
    pub(crate) fn state(&self) -> MutexGuard<'_, FakeState> {
        self.0.lock().unwrap()
    }

    fn answer<T>(&self, act: impl FnOnce(&mut FakeState) -> T) -> PlatformResult<T> {
        let mut state = self.state();
        match state.error {
            Some(error) => Err(error),
            None => Ok(act(&mut state)),
        }
    }
}

impl Power for FakePlatform {
    async fn power_state(&self) -> PlatformResult<PowerState> {
        self.answer(|state| state.power)
    }
    async fn request_chassis(&self, transition: ChassisTransition) -> PlatformResult<()> {
        self.answer(|state| state.chassis_requests.push(transition))
    }
    async fn request_host(&self, transition: HostTransition) -> PlatformResult<()> {
        self.answer(|state| state.host_requests.push(transition))
    }
    async fn pulse_nmi(&self) -> PlatformResult<()> {
        self.answer(|state| state.nmi_pulses += 1)
    }
    async fn restart_cause(&self) -> PlatformResult<RestartCause> {
        self.answer(|state| state.restart_cause)
    }
    async fn power_on_hours(&self) -> PlatformResult<u32> {
        self.answer(|state| state.power_on_hours)
    }
}

impl Chassis for FakePlatform {
    async fn identify(&self) -> PlatformResult<bool> {
        self.answer(|state| state.identify)
    }
    async fn set_identify(&self, on: bool) -> PlatformResult<()> {
        self.answer(|state| state.identify = on)
    }
    async fn button_enabled(&self, button: Button) -> PlatformResult<bool> {
        self.answer(|state| !state.disabled_buttons.contains(&button))
    }
    async fn set_button_enabled(&self, button: Button, enabled: bool) -> PlatformResult<()> {
        self.answer(|state| {
            state
                .disabled_buttons
                .retain(|&disabled| disabled != button);
            if !enabled {
                state.disabled_buttons.push(button);
            }
        })
    }
    async fn intruded(&self) -> PlatformResult<bool> {
        self.answer(|state| state.intruded)
    }
    async fn capabilities(&self) -> PlatformResult<Capabilities> {
        self.answer(|state| state.capabilities)
    }
    async fn set_capabilities(&self, capabilities: Capabilities) -> PlatformResult<()> {
        self.answer(|state| state.capabilities = capabilities)
    }
    async fn restore_policy(&self) -> PlatformResult<RestorePolicy> {
        self.answer(|state| state.restore_policy)
    }
    async fn set_restore_policy(&self, policy: RestorePolicy) -> PlatformResult<()> {
        self.answer(|state| state.restore_policy = policy)
    }
}

impl BootOverride for FakePlatform {
    async fn boot_override(&self) -> PlatformResult<BootSettings> {
        self.answer(|state| state.boot)
    }
    async fn set_boot_override(&self, settings: BootSettings) -> PlatformResult<()> {
        self.answer(|state| state.boot = settings)
    }
}

impl Acpi for FakePlatform {
    async fn acpi_states(&self) -> PlatformResult<(AcpiState, AcpiState)> {
        self.answer(|state| state.acpi)
    }
    async fn set_acpi_states(
        &self,
        system: Option<AcpiState>,
        device: Option<AcpiState>,
    ) -> PlatformResult<()> {
        self.answer(|state| {
            state.acpi = (
                system.unwrap_or(state.acpi.0),
                device.unwrap_or(state.acpi.1),
            );
        })
    }
}

impl Bmc for FakePlatform {
    async fn is_ready(&self) -> PlatformResult<bool> {
        self.answer(|state| state.ready)
    }
    async fn request_bmc(&self, transition: BmcTransition) -> PlatformResult<()> {
        self.answer(|state| state.bmc_requests.push(transition))
    }
    async fn firmware_version(&self) -> PlatformResult<String> {
        self.answer(|_| "2.14.0-dev-12-g0123abcd".to_owned())
    }
    async fn host_firmware_version(&self) -> PlatformResult<String> {
        self.answer(|_| "host-1.2".to_owned())
    }
    async fn system_uuid(&self) -> PlatformResult<[u8; 16]> {
        self.answer(|_| std::array::from_fn(|index| u8::try_from(index).unwrap()))
    }
}

impl Watchdog for FakePlatform {
    async fn watchdog(&self) -> PlatformResult<WatchdogState> {
        self.answer(|state| state.watchdog)
    }
    async fn set_watchdog(&self, settings: WatchdogSettings) -> PlatformResult<()> {
        self.answer(|state| {
            state.watchdog.initialized = true;
            state.watchdog.settings = settings;
            state.watchdog.remaining = settings.interval;
        })
    }
    async fn reset_watchdog(&self) -> PlatformResult<()> {
        self.answer(|state| {
            state.watchdog.settings.running = true;
            state.watchdog_resets += 1;
        })
    }
}

impl Sessions for FakePlatform {
    async fn sessions(&self) -> PlatformResult<Vec<SessionInfo>> {
        self.answer(|state| state.sessions.clone())
    }
    async fn close(&self, path: &str) -> PlatformResult<()> {
        self.answer(|state| state.sessions.retain(|session| session.path != path))
    }
}
