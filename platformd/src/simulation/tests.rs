//! A platform over hours of virtual time.

mod accounts;
mod faults;
mod network;
mod parts;
mod power;
mod sensors;

use openbmc_dbus::chassis::buttons;
use openbmc_dbus::control::boot::source::{self, Source};
use openbmc_dbus::control::boot::{ONE_TIME_PATH, PERSISTENT_PATH};
use openbmc_dbus::control::host_nmi;
use openbmc_dbus::control::restore_policy::{self, Policy};
use openbmc_dbus::interface::{Method, Property, PropertyValue};
use openbmc_dbus::led::group;
use openbmc_dbus::object::enable;
use openbmc_dbus::state::boot::progress::{self, Stage};
use openbmc_dbus::state::chassis::{self, PowerState};
use openbmc_dbus::state::host::{self, HostState, RestartCause};
use openbmc_dbus::state::watchdog::{self, Action, TimerUse};
use openbmc_dbus::state::{bmc, power_on_hours};
use openbmc_dbus::time::{epoch_time, timedate};

use super::*;
use crate::services::NAMES;

const POLICY: &str = "/xyz/openbmc_project/control/host0/power_restore_policy";
const HOURS: &str = "/xyz/openbmc_project/state/chassis0/power_on_hours";

/// A platform with a clock that a test turns.
struct TestPlatform {
    simulation: Simulation,
    now: Now,
}

impl TestPlatform {
    fn new(text: &str) -> Self {
        Self::again(text, SavedValues::new(), false)
    }

    fn again(text: &str, saved: SavedValues, power_lost: bool) -> Self {
        let config = Platform::parse("test.toml", text).unwrap();
        let now = Now { uptime: Duration::ZERO, epoch: Duration::from_secs(1_800_000_000) };
        let mut simulation = Simulation::start(
            &config,
            crate::host::simulated(&config, power_lost),
            saved,
            power_lost,
            now,
        );
        simulation.take_changes();
        Self { simulation, now }
    }

    /// Lets so many milliseconds pass, event by event.
    fn pass(&mut self, milliseconds: u64) {
        let end = self.now.uptime + Duration::from_millis(milliseconds);
        while let Some(due) = self.simulation.poll_timeout().filter(|due| *due <= end) {
            self.turn(due.max(self.now.uptime));
            self.simulation.handle_timeout(self.now);
        }
        self.turn(end);
    }

    fn turn(&mut self, uptime: Duration) {
        self.now.epoch += uptime - self.now.uptime;
        self.now.uptime = uptime;
    }

    fn try_set<T: PropertyValue>(
        &mut self,
        path: &str,
        property: Property<T>,
        value: T,
    ) -> Result<(), Fault> {
        let value = value.into_variant();
        self.simulation.set(self.now, path, property.interface, property.name, value)
    }

    fn set<T: PropertyValue>(&mut self, path: &str, property: Property<T>, value: T) {
        self.try_set(path, property, value).unwrap();
    }

    fn call(&mut self, path: &str, method: &'static Method, arguments: &[Variant<'static>]) {
        self.try_call(path, method, arguments).unwrap();
    }

    fn try_call(
        &mut self,
        path: &str,
        method: &'static Method,
        arguments: &[Variant<'static>],
    ) -> Result<Returned, Fault> {
        self.simulation.call(self.now, &Invocation { path, method, arguments })
    }

    fn get<T: PropertyValue>(&mut self, path: &str, property: Property<T>) -> T {
        let read = Read::Object { path, interface: Some(property.interface) };
        self.simulation.read(self.now, read).get(path, property).unwrap()
    }

    fn host(&mut self) -> HostState {
        self.get(host::PATH, host::CURRENT_HOST_STATE)
    }

    fn power(&mut self) -> PowerState {
        self.get(chassis::PATH, chassis::CURRENT_POWER_STATE)
    }

    fn cause(&mut self) -> RestartCause {
        self.get(host::PATH, host::RESTART_CAUSE)
    }

    fn request(&mut self, transition: host::Transition) {
        self.set(host::PATH, host::REQUESTED_HOST_TRANSITION, transition);
    }

    fn on(text: &str) -> Self {
        let mut platform = Self::new(text);
        platform.request(host::Transition::On);
        platform.pass(60_000);
        assert_eq!((platform.power(), platform.host()), (PowerState::On, HostState::Running));
        platform.simulation.take_changes();
        platform
    }

    /// The state changes signalled since the last call, by the last part of their value.
    fn states(&mut self) -> Vec<String> {
        let mut states = Vec::new();
        for change in self.simulation.take_changes() {
            let Change::Changed { values, .. } = change else {
                continue;
            };
            for name in [chassis::CURRENT_POWER_STATE.name, host::CURRENT_HOST_STATE.name] {
                if let Some(Variant::Str(state)) = values.get(name) {
                    let kind = if name == host::CURRENT_HOST_STATE.name { "host" } else { "power" };
                    let state = state.rsplit('.').next().unwrap_or_default();
                    states.push(format!("{kind} {state}"));
                }
            }
        }
        states
    }
}

#[test]
fn faults_are_what_the_file_says() {
    let mut platform = TestPlatform::new("[host]\nfault = \"hangs\"\n");
    platform.request(host::Transition::On);
    platform.pass(3_600_000);
    assert_eq!(platform.host(), HostState::TransitioningToRunning);
    let mut platform = TestPlatform::new("[host]\nfault = \"quiesces\"\n");
    platform.request(host::Transition::On);
    platform.pass(60_000);
    assert_eq!(platform.host(), HostState::Quiesced);
    let mut platform = TestPlatform::new("[chassis]\nfault = \"never-on\"\n");
    platform.request(host::Transition::On);
    platform.pass(60_000);
    assert_eq!((platform.power(), platform.host()), (PowerState::Off, HostState::Off));
}

#[test]
fn the_watchdog_does_what_it_is_set_to() {
    for (action, cause, power) in [
        (Action::None, RestartCause::RemoteCommand, PowerState::On),
        (Action::HardReset, RestartCause::WatchdogTimer, PowerState::On),
        (Action::PowerCycle, RestartCause::WatchdogTimer, PowerState::On),
        (Action::PowerOff, RestartCause::RemoteCommand, PowerState::Off),
    ] {
        let mut platform = TestPlatform::on("");
        platform.set(watchdog::PATH, watchdog::INTERVAL, 5000);
        platform.set(watchdog::PATH, watchdog::EXPIRE_ACTION, action);
        platform.set(watchdog::PATH, watchdog::CURRENT_TIMER_USE, TimerUse::SMSOS);
        platform.set(watchdog::PATH, watchdog::ENABLED, true);
        platform.pass(4000);
        assert_eq!(platform.get(watchdog::PATH, watchdog::TIME_REMAINING), 1000);
        platform.call(watchdog::PATH, &watchdog::RESET_TIME_REMAINING, &[false.into()]);
        platform.pass(4999);
        assert!(platform.get(watchdog::PATH, watchdog::ENABLED), "{action}");
        platform.pass(60_000);
        assert!(!platform.get(watchdog::PATH, watchdog::ENABLED), "{action}");
        assert_eq!(platform.get(watchdog::PATH, watchdog::EXPIRED_TIMER_USE), TimerUse::SMSOS);
        assert_eq!((platform.cause(), platform.power()), (cause, power), "{action}");
        let changes = platform.simulation.take_changes();
        let is_timeout = |change: &Change| matches!(change, Change::Signal { signal, .. } if *signal == watchdog::TIMEOUT);
        assert!(changes.iter().any(is_timeout), "{action}");
    }
}

#[test]
fn a_watchdog_that_stands_is_not_started_by_a_reset_of_its_time() {
    let mut platform = TestPlatform::on("");
    platform.call(watchdog::PATH, &watchdog::RESET_TIME_REMAINING, &[false.into()]);
    assert_eq!(platform.get(watchdog::PATH, watchdog::TIME_REMAINING), 0);
    platform.call(watchdog::PATH, &watchdog::RESET_TIME_REMAINING, &[true.into()]);
    assert!(platform.get(watchdog::PATH, watchdog::ENABLED));
    platform.set(watchdog::PATH, watchdog::ENABLED, false);
    assert_eq!(platform.get(watchdog::PATH, watchdog::TIME_REMAINING), 0);
}

#[test]
fn buttons_act_unless_they_are_locked() {
    let mut platform = TestPlatform::new("");
    platform.call(buttons::power::PATH, &buttons::power::SIM_PRESS, &[]);
    platform.pass(60_000);
    assert_eq!(
        (platform.host(), platform.cause()),
        (HostState::Running, RestartCause::PowerButton)
    );
    platform.call(buttons::reset::PATH, &buttons::reset::SIM_PRESS, &[]);
    platform.pass(60_000);
    assert_eq!(
        (platform.host(), platform.cause()),
        (HostState::Running, RestartCause::ResetButton)
    );
    platform.set(buttons::power::PATH, buttons::power::ENABLED, false);
    platform.call(buttons::power::PATH, &buttons::power::SIM_LONG_PRESS, &[]);
    platform.pass(60_000);
    assert_eq!(platform.power(), PowerState::On);
    platform.set(buttons::power::PATH, buttons::power::ENABLED, true);
    platform.call(buttons::power::PATH, &buttons::power::SIM_LONG_PRESS, &[]);
    platform.pass(60_000);
    assert_eq!(platform.power(), PowerState::Off);
    platform.call(buttons::id::PATH, &buttons::id::SIM_PRESS, &[]);
    assert!(platform.get(group::ENCLOSURE_IDENTIFY, group::ASSERTED));
}

#[test]
fn an_nmi_keeps_a_running_host_busy() {
    let mut platform = TestPlatform::on("");
    platform.call(host_nmi::PATH, &host_nmi::NMI, &[]);
    assert_eq!(platform.host(), HostState::DiagnosticMode);
    platform.pass(1000);
    assert_eq!(platform.host(), HostState::Running);
}

#[test]
fn a_boot_uses_up_the_settings_for_the_next_boot_only() {
    let mut platform = TestPlatform::new("");
    platform.set(PERSISTENT_PATH, source::BOOT_SOURCE, Source::Disk);
    platform.set(ONE_TIME_PATH, source::BOOT_SOURCE, Source::Network);
    platform.set(ONE_TIME_PATH, enable::ENABLED, true);
    platform.request(host::Transition::On);
    assert!(platform.get(ONE_TIME_PATH, enable::ENABLED), "the host has not begun yet");
    platform.pass(60_000);
    assert!(!platform.get(ONE_TIME_PATH, enable::ENABLED));
    assert_eq!(platform.get(ONE_TIME_PATH, source::BOOT_SOURCE), Source::Default);
    assert_eq!(platform.get(PERSISTENT_PATH, source::BOOT_SOURCE), Source::Disk);
}

#[test]
fn hours_are_counted_with_power_on_only() {
    let mut platform = TestPlatform::new("[chassis]\npower-on-hours = 7\nhour-ms = 10000\n");
    platform.pass(100_000);
    assert_eq!(platform.get(HOURS, power_on_hours::POH_COUNTER), 7);
    platform.request(host::Transition::On);
    platform.pass(1000 + 25_000);
    assert_eq!(platform.get(HOURS, power_on_hours::POH_COUNTER), 9);
    platform.request(host::Transition::Off);
    platform.pass(100_000);
    assert_eq!(platform.get(HOURS, power_on_hours::POH_COUNTER), 9);
}

#[test]
fn a_restart_of_the_bmc_is_asked_for_after_the_answer() {
    let mut platform = TestPlatform::on("[bmc]\nreset-delay-ms = 200\n");
    platform.set(bmc::PATH, bmc::REQUESTED_BMC_TRANSITION, bmc::Transition::Reboot);
    assert_eq!(platform.simulation.poll_effect(), None);
    platform.pass(200);
    assert_eq!(platform.simulation.poll_effect(), Some(Effect::ResetBmc));
    let saved = platform.simulation.take_unsaved().unwrap().clone();
    let mut platform = TestPlatform::again("", saved, false);
    assert_eq!(platform.get(bmc::PATH, bmc::REQUESTED_BMC_TRANSITION), bmc::Transition::None);
    assert_eq!(platform.get(bmc::PATH, bmc::LAST_REBOOT_CAUSE), bmc::RebootCause::Software);
    assert_eq!(platform.get(bmc::PATH, bmc::CURRENT_BMC_STATE), bmc::BmcState::Ready);
    // The host does not care that the BMC restarted.
    assert_eq!((platform.power(), platform.host()), (PowerState::On, HostState::Running));
}

#[test]
fn the_clock_is_set_unless_it_follows_the_network() {
    let mut platform = TestPlatform::new("");
    platform.set(epoch_time::BMC_PATH, epoch_time::ELAPSED, 1_000_000);
    platform.pass(2000);
    assert_eq!(platform.get(epoch_time::BMC_PATH, epoch_time::ELAPSED), 3_000_000);
    platform.call(timedate::PATH, &timedate::SET_NTP, &[true.into(), false.into()]);
    let error = platform.try_set(epoch_time::BMC_PATH, epoch_time::ELAPSED, 0).unwrap_err();
    assert!(error.name.ends_with("NotAllowed"));
}

#[test]
fn every_value_is_one_that_its_property_can_have() {
    let mut platform = TestPlatform::on("");
    for (path, object) in platform.simulation.tree(platform.now).objects() {
        for instance in object.interfaces.values() {
            for property in instance.interface.properties {
                let value = instance.values.get(property.name);
                let value = value.unwrap_or_else(|| panic!("{path} {}", property.name));
                assert_eq!((property.check)(value.clone()), Ok(()), "{path} {}", property.name);
            }
        }
    }
}

#[test]
fn every_service_with_an_object_can_be_named_in_the_file() {
    let mut platform = TestPlatform::new(include_str!("../../examples/demo.toml"));
    for (path, object) in platform.simulation.tree(platform.now).objects() {
        assert!(NAMES.contains(&object.service), "{path}: {}", object.service);
    }
}

#[test]
fn services_left_to_others_have_no_objects() {
    let mut platform =
        TestPlatform::new("[services]\nwithout = [\"xyz.openbmc_project.Watchdog\"]\n");
    assert!(platform.simulation.tree(platform.now).object(watchdog::PATH).is_none());
}
