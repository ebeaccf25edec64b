//! Power on, off and cycle, with the host's states in between.

use super::*;

#[test]
fn power_on_goes_through_the_states_in_openbmcs_order() {
    let mut bench = Bench::new("[chassis]\npower-on-ms = 300\n[host]\nstart-ms = 500\n");
    bench.request(host::Transition::On);
    assert_eq!(bench.states(), ["power TransitioningToOn"]);
    bench.pass(299);
    assert_eq!((bench.power(), bench.host()), (PowerState::TransitioningToOn, HostState::Off));
    bench.pass(1);
    assert_eq!(bench.states(), ["power On", "host TransitioningToRunning"]);
    bench.pass(499);
    assert_eq!(bench.host(), HostState::TransitioningToRunning);
    bench.pass(1);
    assert_eq!(bench.states(), ["host Running"]);
    assert_eq!(bench.get(host::PATH, progress::BOOT_PROGRESS), Stage::OSRunning);
    assert_eq!(bench.cause(), RestartCause::RemoteCommand);
    assert_ne!(bench.get(chassis::PATH, chassis::LAST_STATE_CHANGE_TIME), 0);
    bench.request(host::Transition::On);
    assert_eq!(bench.states(), [] as [&str; 0], "on is on already");
}

#[test]
fn a_second_power_on_does_not_stop_the_start_that_is_under_way() {
    let mut bench = Bench::new("[chassis]\npower-on-ms = 300\n[host]\nstart-ms = 500\n");
    bench.request(host::Transition::On);
    for _ in 0..4 {
        bench.pass(200);
        bench.request(host::Transition::On);
    }
    assert_eq!(bench.host(), HostState::Running);
}

#[test]
fn soft_off_asks_the_host_first() {
    let mut bench = Bench::on("");
    bench.request(host::Transition::Off);
    assert_eq!(bench.states(), ["host TransitioningToOff"]);
    bench.pass(60_000);
    assert_eq!(bench.states(), ["host Off", "power TransitioningToOff", "power Off"]);
}

#[test]
fn a_host_that_ignores_soft_off_loses_its_power_later() {
    let mut bench = Bench::on("[host]\nsoft-off = \"ignored\"\nsoft-off-limit-ms = 9000\n");
    bench.request(host::Transition::Off);
    bench.pass(8999);
    assert_eq!((bench.power(), bench.host()), (PowerState::On, HostState::TransitioningToOff));
    bench.pass(1000);
    assert_eq!((bench.power(), bench.host()), (PowerState::Off, HostState::Off));
}

#[test]
fn chassis_off_asks_nobody() {
    let mut bench = Bench::on("");
    let off = chassis::Transition::Off;
    bench.set(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION, off);
    assert_eq!(bench.states(), ["power TransitioningToOff", "host Off"]);
    bench.pass(500);
    assert_eq!(bench.power(), PowerState::Off);
}

#[test]
fn reboot_takes_power_away_and_a_warm_reboot_does_not() {
    let mut bench = Bench::on("");
    bench.request(host::Transition::Reboot);
    bench.pass(60_000);
    let states = bench.states();
    assert!(states.contains(&"power Off".to_owned()), "{states:?}");
    assert_eq!(states.last().unwrap(), "host Running");
    bench.request(host::Transition::ForceWarmReboot);
    bench.pass(60_000);
    assert_eq!(bench.states(), ["host Off", "host TransitioningToRunning", "host Running"]);
    bench.request(host::Transition::GracefulWarmReboot);
    bench.pass(60_000);
    let states = bench.states();
    assert_eq!(states.first().unwrap(), "host TransitioningToOff");
    assert!(!states.iter().any(|state| state.starts_with("power")), "{states:?}");
}

#[test]
fn power_cycle_comes_back() {
    let mut bench = Bench::on("");
    let cycle = chassis::Transition::PowerCycle;
    bench.set(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION, cycle);
    bench.pass(60_000);
    assert_eq!(
        bench.states(),
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
    let mut bench = Bench::new("");
    bench.request(host::Transition::On);
    bench.pass(100);
    let off = chassis::Transition::Off;
    bench.set(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION, off);
    bench.pass(60_000);
    assert_eq!((bench.power(), bench.host()), (PowerState::Off, HostState::Off));
}

#[test]
fn the_restore_policy_decides_after_a_loss_of_mains() {
    for (policy, power, cause) in [
        (Policy::AlwaysOff, PowerState::Off, RestartCause::RemoteCommand),
        (Policy::None, PowerState::Off, RestartCause::RemoteCommand),
        (Policy::AlwaysOn, PowerState::On, RestartCause::PowerPolicyAlwaysOn),
        (Policy::Restore, PowerState::On, RestartCause::PowerPolicyPreviousState),
    ] {
        let mut bench = Bench::on("");
        bench.set(POLICY, restore_policy::POWER_RESTORE_POLICY, policy);
        bench.set(POLICY, restore_policy::POWER_RESTORE_DELAY, 2_000_000);
        let kept = bench.simulation.take_unsaved().unwrap().clone();
        let mut bench = Bench::again("", kept, true);
        bench.pass(1999);
        assert_eq!(bench.power(), PowerState::Off, "{policy}");
        bench.pass(60_000);
        assert_eq!((bench.power(), bench.cause()), (power, cause), "{policy}");
    }
}

#[test]
fn a_start_that_was_cut_off_goes_on() {
    let mut bench = Bench::new("");
    bench.request(host::Transition::On);
    bench.pass(1200);
    assert_eq!(bench.host(), HostState::TransitioningToRunning);
    let kept = bench.simulation.take_unsaved().unwrap().clone();
    let mut bench = Bench::again("", kept, false);
    bench.pass(60_000);
    assert_eq!((bench.power(), bench.host()), (PowerState::On, HostState::Running));
}
