//! A platform in memory, for the handlers' tests.

mod dcmi;
mod log;
mod network;
mod sensors;
mod sol;

use std::sync::{Arc, Mutex, MutexGuard};

use ipmi_proto::Field;
use ipmi_proto::fru::{Chassis as ChassisArea, FruImage};
use ipmi_proto::sdr::{Entity, Threshold};
use openbmc_dbus::client::{FailedCall, Member, ObjectAt};
use tokio::sync::Notify;

pub(crate) use self::log::CapturedLog;
pub(crate) use self::network::link;
use super::*;
use crate::model::fru::FruDevice;
use crate::model::sensors::SensorStore;

/// The properties of the fake platform, and the calls that it received.
#[derive(Clone, Debug)]
pub(crate) struct FakeState {
    /// Returned by every call when set.
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
    /// The firmware's last code, and its stage.
    pub(crate) boot_progress: (Vec<u8>, BootStage),
    pub(crate) sessions: Vec<SessionInfo>,
    pub(crate) served_port: u16,
    pub(crate) power_limit: PowerLimitSettings,
    pub(crate) asset_tag: String,
    pub(crate) host_name: String,
    pub(crate) host_firmware: String,
    pub(crate) dhcp_renewals: u32,
    pub(crate) link: Link,
    pub(crate) sol: SolSettings,
    pub(crate) console_baud: Option<u64>,
    pub(crate) bmc_time: Option<u64>,
    pub(crate) follows_network: bool,
    pub(crate) written_fru: Option<Vec<u8>>,
    pub(crate) sensors: Arc<SensorStore>,
    pub(crate) set_limits: Vec<(String, Threshold, f64)>,
    pub(crate) set_readings: Vec<(String, f64)>,
}

/// A platform in memory.
#[derive(Debug)]
pub(crate) struct FakePlatform(Mutex<FakeState>, Notify, Notify);

/// An inactive limit of a machine of at most 1 kW.
const NO_LIMIT: PowerLimitSettings = PowerLimitSettings {
    active: false,
    limit: 0,
    range: (0, 1000),
    action: ExceptionAction::NoAction,
    correction_time: 0,
    sampling_period: 0,
};

/// Boot settings without an override.
const NO_BOOT_SETTINGS: BootSettings = BootSettings {
    enabled: false,
    one_time: false,
    device: BootDevice::Default,
    mode: BootMode::Regular,
    kind: BootType::EFI,
};

/// A watchdog that was never set.
const IDLE_WATCHDOG: WatchdogState = WatchdogState {
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
};

impl Default for FakePlatform {
    #[allow(clippy::too_many_lines, reason = "a list")]
    fn default() -> Self {
        let state = FakeState {
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
            capabilities: Capabilities { sel_address: 0x20, ..Capabilities::default() },
            restore_policy: RestorePolicy::AlwaysOff,
            boot: NO_BOOT_SETTINGS,
            acpi: (AcpiState::S5_G2, AcpiState::S0_G0_D0),
            ready: true,
            bmc_requests: Vec::new(),
            watchdog: IDLE_WATCHDOG,
            watchdog_resets: 0,
            boot_progress: (Vec::new(), BootStage::Unspecified),
            sessions: Vec::new(),
            served_port: RMCP_PORT,
            power_limit: NO_LIMIT,
            asset_tag: String::new(),
            host_name: "bmc".to_owned(),
            host_firmware: "host-1.2".to_owned(),
            dhcp_renewals: 0,
            link: network::link(),
            sol: SolSettings {
                enable: true,
                force_encryption: true,
                force_authentication: true,
                privilege: 4,
                accumulate_interval: 20,
                threshold: 1,
                retry_count: 7,
                retry_interval: 100,
            },
            console_baud: Some(115_200),
            bmc_time: None,
            follows_network: false,
            written_fru: None,
            sensors: Arc::new(sensors::sensors()),
            set_limits: Vec::new(),
            set_readings: Vec::new(),
        };
        Self(Mutex::new(state), Notify::new(), Notify::new())
    }
}

impl FakePlatform {
    /// Locks the state, for tests to check and to change.
    pub(crate) fn state(&self) -> MutexGuard<'_, FakeState> {
        self.0.lock().unwrap()
    }

    /// A user's session of the LAN begins.
    pub(crate) fn open_session(&self, id: u32) {
        self.state().sessions.push(SessionInfo {
            path: format!("/session/{id}"),
            id,
            handle: 1,
            channel: 1,
            privilege: 4,
            user_id: 2,
            state: SessionState::Active,
            is_rmcp_plus: true,
            remote_address: std::net::Ipv4Addr::LOCALHOST,
            remote_mac: [0; 6],
            remote_port: 50_000,
        });
    }

    /// Notifies that firmware may have changed.
    pub(crate) fn change_firmware(&self) {
        self.2.notify_one();
    }

    /// Changes the power limit as another client would.
    pub(crate) fn change_power_limit(&self, limit: PowerLimitSettings) {
        self.state().power_limit = limit;
        self.1.notify_one();
    }

    /// Yields once, as a bus call would, so that other tasks run before the reply.
    pub(super) async fn step(&self) {
        tokio::task::yield_now().await;
    }

    fn answer<T>(&self, act: impl FnOnce(&mut FakeState) -> T) -> PlatformResult<T> {
        let mut state = self.state();
        match &state.error {
            Some(error) => Err(error.clone()),
            None => Ok(act(&mut state)),
        }
    }
}

/// A refusal of a service.
pub(crate) fn refusal() -> PlatformError {
    let object = ObjectAt::new("xyz.example.State", "/xyz/example/state");
    let member = Member::Get("xyz.example.State", "Power");
    let call = FailedCall::new(&object, member, &"xyz.example.Busy: later");
    PlatformError::Refused(Arc::new(call))
}

fn absent() -> PlatformError {
    PlatformError::absent(&"the fake platform does not have it")
}

impl BootProgress for FakePlatform {
    async fn boot_progress_code(&self) -> PlatformResult<Vec<u8>> {
        self.step().await;
        self.answer(|state| state.boot_progress.0.clone())
    }
    async fn set_boot_progress(&self, code: Vec<u8>, stage: BootStage) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.boot_progress = (code, stage))
    }
}

impl Power for FakePlatform {
    async fn power_state(&self) -> PlatformResult<PowerState> {
        self.step().await;
        self.answer(|state| state.power)
    }
    async fn request_chassis(&self, transition: ChassisTransition) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.chassis_requests.push(transition))
    }
    async fn request_host(&self, transition: HostTransition) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.host_requests.push(transition))
    }
    async fn pulse_nmi(&self) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.nmi_pulses += 1)
    }
    async fn restart_cause(&self) -> PlatformResult<RestartCause> {
        self.step().await;
        self.answer(|state| state.restart_cause)
    }
    async fn power_on_hours(&self) -> PlatformResult<u32> {
        self.step().await;
        self.answer(|state| state.power_on_hours)
    }
}

impl Chassis for FakePlatform {
    async fn identify(&self) -> PlatformResult<bool> {
        self.step().await;
        self.answer(|state| state.identify)
    }
    async fn set_identify(&self, on: bool) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.identify = on)
    }
    async fn button_enabled(&self, button: Button) -> PlatformResult<bool> {
        self.step().await;
        self.answer(|state| !state.disabled_buttons.contains(&button))
    }
    async fn set_button_enabled(&self, button: Button, enabled: bool) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| {
            state.disabled_buttons.retain(|&disabled| disabled != button);
            if !enabled {
                state.disabled_buttons.push(button);
            }
        })
    }
    async fn intruded(&self) -> PlatformResult<bool> {
        self.step().await;
        self.answer(|state| state.intruded)
    }
    async fn capabilities(&self) -> PlatformResult<Capabilities> {
        self.step().await;
        self.answer(|state| state.capabilities)
    }
    async fn set_capabilities(&self, capabilities: Capabilities) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.capabilities.intrusion = capabilities.intrusion)?;
        self.step().await;
        self.answer(|state| state.capabilities = capabilities)
    }
    async fn restore_policy(&self) -> PlatformResult<RestorePolicy> {
        self.step().await;
        self.answer(|state| state.restore_policy)
    }
    async fn set_restore_policy(&self, policy: RestorePolicy) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.restore_policy = policy)
    }
}

impl BootOverride for FakePlatform {
    async fn boot_override(&self) -> PlatformResult<BootSettings> {
        self.step().await;
        self.answer(|state| state.boot)
    }
    async fn set_boot_override(&self, settings: BootSettings) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| {
            state.boot.device = settings.device;
            state.boot.mode = settings.mode;
        })?;
        self.step().await;
        self.answer(|state| {
            state.boot.kind = settings.kind;
            state.boot.enabled = settings.enabled;
            state.boot.one_time = settings.one_time;
        })
    }
}

impl Acpi for FakePlatform {
    async fn acpi_states(&self) -> PlatformResult<(AcpiState, AcpiState)> {
        self.step().await;
        self.answer(|state| state.acpi)
    }
    async fn set_acpi_states(
        &self,
        system: Option<AcpiState>,
        device: Option<AcpiState>,
    ) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| {
            state.acpi = (system.unwrap_or(state.acpi.0), device.unwrap_or(state.acpi.1));
        })
    }
}

impl Bmc for FakePlatform {
    async fn is_ready(&self) -> PlatformResult<bool> {
        self.step().await;
        self.answer(|state| state.ready)
    }
    async fn request_bmc(&self, transition: BmcTransition) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.bmc_requests.push(transition))
    }
    async fn firmware_version(&self) -> PlatformResult<String> {
        self.step().await;
        self.answer(|_| "2.14.0-dev-12-g0123abcd".to_owned())
    }
    async fn host_firmware_version(&self) -> PlatformResult<String> {
        self.step().await;
        self.answer(|state| state.host_firmware.clone())
    }
    async fn firmware_may_have_changed(&self) {
        self.2.notified().await;
    }
    async fn system_uuid(&self) -> PlatformResult<[u8; 16]> {
        self.step().await;
        self.answer(|_| std::array::from_fn(|index| u8::try_from(index).unwrap()))
    }
}

impl Watchdog for FakePlatform {
    async fn watchdog(&self) -> PlatformResult<WatchdogState> {
        self.step().await;
        self.answer(|state| state.watchdog)
    }
    async fn set_watchdog(&self, settings: WatchdogSettings) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| {
            state.watchdog.settings = settings;
            state.watchdog.settings.interval = state.watchdog.remaining;
        })?;
        self.step().await;
        self.answer(|state| {
            state.watchdog.initialized = true;
            state.watchdog.settings.interval = settings.interval;
            state.watchdog.remaining = settings.interval;
        })
    }
    async fn log_watchdog(&self) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.watchdog.settings.log = true)
    }
    async fn reset_watchdog(&self) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| {
            state.watchdog.settings.running = true;
            state.watchdog_resets += 1;
        })
    }
}

impl Sessions for FakePlatform {
    async fn sessions(&self) -> PlatformResult<Vec<SessionInfo>> {
        self.step().await;
        self.answer(|state| state.sessions.clone())
    }
    async fn served_port(&self, _channel: u8) -> PlatformResult<u16> {
        self.step().await;
        self.answer(|state| state.served_port)
    }
    async fn close(&self, path: &str) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.sessions.retain(|session| session.path != path))
    }
}

impl Time for FakePlatform {
    async fn bmc_time(&self) -> PlatformResult<u64> {
        self.step().await;
        self.answer(|state| state.bmc_time)?.ok_or_else(absent)
    }
    async fn set_bmc_time(&self, seconds: u64) -> PlatformResult<()> {
        self.step().await;
        let set = self.answer(|state| state.bmc_time.as_mut().map(|time| *time = seconds))?;
        set.ok_or_else(absent)
    }
    async fn follows_network(&self) -> PlatformResult<bool> {
        self.step().await;
        self.answer(|state| state.follows_network)
    }
}

impl Frus for FakePlatform {
    async fn frus(&self) -> PlatformResult<Vec<FruDevice>> {
        let chassis = ChassisArea {
            kind: 0x17,
            part_number: Field::text("CH-1"),
            serial: Field::text("C0001"),
            custom: Vec::new(),
        };
        let image = FruImage { chassis: Some(chassis), ..FruImage::default() };
        self.answer(|_| {
            vec![FruDevice {
                path: "/xyz/openbmc_project/inventory/system/chassis".to_owned(),
                name: "chassis".to_owned(),
                entity: Entity { id: 0x17, instance: 1 },
                image: image.to_bytes().unwrap(),
                writable: true,
            }]
        })
    }
    async fn write_fru(&self, _: &str, image: &[u8]) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.written_fru = Some(image.to_vec()))
    }
}

impl Satellites for FakePlatform {
    async fn ask_satellite(
        &self,
        _channel: &str,
        _to: ipmi_proto::ipmb::IpmbAddress,
        _request: &ipmi_proto::Request,
    ) -> PlatformResult<SatelliteAnswer> {
        self.step().await;
        self.answer(|_| SatelliteAnswer::Silent)
    }

    async fn answer_satellite(&self, _channel: &str, _frame: &[u8]) -> PlatformResult<()> {
        self.step().await;
        self.answer(|_| ())
    }
}
