//! Power on, off and cycle, with the host's states in between.

use super::*;

#[test]
fn power_on_goes_through_the_states_in_openbmcs_order() {
    let mut platform = TestPlatform::new("[chassis]\npower-on-ms = 300\n[host]\nstart-ms = 500\n");
    platform.request(host::Transition::On);
    assert_eq!(platform.states(), ["power TransitioningToOn"]);
    platform.pass(299);
    assert_eq!(
        (platform.power(), platform.host()),
        (PowerState::TransitioningToOn, HostState::Off)
    );
    platform.pass(1);
    assert_eq!(platform.states(), ["power On", "host TransitioningToRunning"]);
    platform.pass(499);
    assert_eq!(platform.host(), HostState::TransitioningToRunning);
    platform.pass(1);
    assert_eq!(platform.states(), ["host Running"]);
    assert_eq!(platform.get(host::PATH, progress::BOOT_PROGRESS), Stage::OSRunning);
    assert_eq!(platform.cause(), RestartCause::RemoteCommand);
    assert_ne!(platform.get(chassis::PATH, chassis::LAST_STATE_CHANGE_TIME), 0);
    platform.request(host::Transition::On);
    assert_eq!(platform.states(), [] as [&str; 0], "on is on already");
}

#[test]
fn a_second_power_on_does_not_stop_the_start_that_is_under_way() {
    let mut platform = TestPlatform::new("[chassis]\npower-on-ms = 300\n[host]\nstart-ms = 500\n");
    platform.request(host::Transition::On);
    for _ in 0..4 {
        platform.pass(200);
        platform.request(host::Transition::On);
    }
    assert_eq!(platform.host(), HostState::Running);
}

#[test]
fn soft_off_asks_the_host_first() {
    let mut platform = TestPlatform::on("");
    platform.request(host::Transition::Off);
    assert_eq!(platform.states(), ["host TransitioningToOff"]);
    platform.pass(60_000);
    assert_eq!(platform.states(), ["host Off", "power TransitioningToOff", "power Off"]);
}

#[test]
fn a_host_that_ignores_soft_off_loses_its_power_later() {
    let mut platform =
        TestPlatform::on("[host]\nsoft-off = \"ignored\"\nsoft-off-limit-ms = 9000\n");
    platform.request(host::Transition::Off);
    platform.pass(8999);
    assert_eq!(
        (platform.power(), platform.host()),
        (PowerState::On, HostState::TransitioningToOff)
    );
    platform.pass(1000);
    assert_eq!((platform.power(), platform.host()), (PowerState::Off, HostState::Off));
}

#[test]
fn chassis_off_asks_nobody() {
    let mut platform = TestPlatform::on("");
    let off = chassis::Transition::Off;
    platform.set(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION, off);
    assert_eq!(platform.states(), ["power TransitioningToOff", "host Off"]);
    platform.pass(500);
    assert_eq!(platform.power(), PowerState::Off);
}

#[test]
fn reboot_takes_power_away_and_a_warm_reboot_does_not() {
    let mut platform = TestPlatform::on("");
    platform.request(host::Transition::Reboot);
    platform.pass(60_000);
    let states = platform.states();
    assert!(states.contains(&"power Off".to_owned()), "{states:?}");
    assert_eq!(states.last().unwrap(), "host Running");
    platform.request(host::Transition::ForceWarmReboot);
    platform.pass(60_000);
    assert_eq!(platform.states(), ["host Off", "host TransitioningToRunning", "host Running"]);
    platform.request(host::Transition::GracefulWarmReboot);
    platform.pass(60_000);
    let states = platform.states();
    assert_eq!(states.first().unwrap(), "host TransitioningToOff");
    assert!(!states.iter().any(|state| state.starts_with("power")), "{states:?}");
}

#[test]
fn power_cycle_comes_back() {
    let mut platform = TestPlatform::on("");
    let cycle = chassis::Transition::PowerCycle;
    platform.set(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION, cycle);
    platform.pass(60_000);
    assert_eq!(
        platform.states(),
        [
            "power TransitioningToOff",
            "host Off",
            "power Off",
            "power TransitioningToOn",
            "power On",
            "host TransitioningToRunning",
            "host Running"
        ]
    );
}

#[test]
fn a_new_wish_replaces_the_one_under_way() {
    let mut platform = TestPlatform::new("");
    platform.request(host::Transition::On);
    platform.pass(100);
    let off = chassis::Transition::Off;
    platform.set(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION, off);
    platform.pass(60_000);
    assert_eq!((platform.power(), platform.host()), (PowerState::Off, HostState::Off));
}

#[test]
fn the_restore_policy_decides_after_a_loss_of_mains() {
    for (policy, power, cause) in [
        (Policy::AlwaysOff, PowerState::Off, RestartCause::RemoteCommand),
        (Policy::None, PowerState::Off, RestartCause::RemoteCommand),
        (Policy::AlwaysOn, PowerState::On, RestartCause::PowerPolicyAlwaysOn),
        (Policy::Restore, PowerState::On, RestartCause::PowerPolicyPreviousState),
    ] {
        let mut platform = TestPlatform::on("");
        platform.set(POLICY, restore_policy::POWER_RESTORE_POLICY, policy);
        platform.set(POLICY, restore_policy::POWER_RESTORE_DELAY, 2_000_000);
        let saved = platform.simulation.take_unsaved().unwrap().clone();
        let mut platform = TestPlatform::again("", saved, true);
        platform.pass(1999);
        assert_eq!(platform.power(), PowerState::Off, "{policy}");
        platform.pass(60_000);
        assert_eq!((platform.power(), platform.cause()), (power, cause), "{policy}");
    }
}

#[test]
fn a_start_that_was_cut_off_goes_on() {
    let mut platform = TestPlatform::new("");
    platform.request(host::Transition::On);
    platform.pass(1200);
    assert_eq!(platform.host(), HostState::TransitioningToRunning);
    let saved = platform.simulation.take_unsaved().unwrap().clone();
    let mut platform = TestPlatform::again("", saved, false);
    platform.pass(60_000);
    assert_eq!((platform.power(), platform.host()), (PowerState::On, HostState::Running));
}
