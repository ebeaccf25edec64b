//! Faults that are set while the platform runs, and the console of a simulated host.

use openbmc_dbus::simulation::{self, CONSOLE_LOST, DELAY_MS, FAULT, FILL_LOG};

use super::*;

const QUICK: &str = "[chassis]\npower-on-ms = 10\npower-off-ms = 10\n[host]\nstart-ms = 10\n";

impl TestPlatform {
    fn fault(&mut self, fault: &str) {
        self.set(host::PATH, FAULT, fault.to_owned());
    }

    /// Requests power, whose reply comes later.
    fn request_late(&mut self, transition: host::Transition) -> Ticket {
        self.request(transition);
        self.simulation.take_deferred().expect("a reply that comes later")
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.simulation.poll_effect()).collect()
    }
}

#[test]
fn a_host_that_refuses_does_nothing_and_says_so() {
    let mut platform = TestPlatform::new(QUICK);
    assert_eq!(platform.get(host::PATH, simulation::BACKEND), "simulated");
    platform.fault("refuse");
    let on = host::Transition::On;
    assert!(platform.try_set(host::PATH, host::REQUESTED_HOST_TRANSITION, on).is_err());
    platform.pass(1000);
    assert_eq!(platform.power(), PowerState::Off);
    assert!(platform.try_set(host::PATH, FAULT, "burns".to_owned()).is_err());
    platform.fault("none");
    platform.request(on);
    platform.pass(1000);
    assert_eq!(platform.host(), HostState::Running);
}

#[test]
fn a_host_that_hangs_does_not_answer_until_it_fails() {
    let mut platform = TestPlatform::new(QUICK);
    platform.fault("hang");
    let ticket = platform.request_late(host::Transition::On);
    platform.pass(3_600_000);
    assert_eq!((platform.power(), platform.simulation.take_settled().len()), (PowerState::Off, 0));
    platform.fault("none");
    let settled = platform.simulation.take_settled();
    assert!(matches!(settled.as_slice(), [(of, Err(_))] if *of == ticket), "{settled:?}");
}

#[test]
fn a_slow_host_begins_and_answers_later() {
    let mut platform = TestPlatform::new(QUICK);
    platform.set(host::PATH, DELAY_MS, 5000);
    let ticket = platform.request_late(host::Transition::On);
    platform.pass(4999);
    assert_eq!((platform.power(), platform.simulation.take_settled().len()), (PowerState::Off, 0));
    platform.pass(1000);
    assert_eq!(platform.host(), HostState::Running);
    let settled = platform.simulation.take_settled();
    assert!(matches!(settled.as_slice(), [(of, Ok(()))] if *of == ticket), "{settled:?}");
    assert!(platform.try_set(host::PATH, DELAY_MS, 86_400_001).is_err());
    platform.set(host::PATH, DELAY_MS, 0);
    platform.request(host::Transition::Off);
    assert_eq!(platform.simulation.take_deferred(), None);
}

#[test]
fn the_log_is_filled_with_as_many_events_as_requested() {
    let mut platform = TestPlatform::new("");
    for wrong in [0, 65_536] {
        assert!(platform.try_call(host::PATH, &FILL_LOG, &[Variant::from(wrong)]).is_err());
    }
    platform.call(host::PATH, &FILL_LOG, &[Variant::from(100_u32)]);
    let mut count = 0;
    for _ in 0..20 {
        platform.pass(20);
        let effects = platform.effects();
        assert!(effects.len() <= 32, "{}", effects.len());
        count += effects.len();
    }
    assert_eq!(count, 100);
}

#[test]
fn a_host_that_starts_prints_its_script_and_one_that_stops_does_not_go_on() {
    let script =
        "console = { path = \"/run/console\", script = [[0, \"a\"], [0, \"b\"], [100, \"c\"]] }\n";
    let mut platform = TestPlatform::new(&format!("{QUICK}{script}"));
    platform.request(host::Transition::On);
    platform.pass(50);
    assert_eq!(platform.effects(), [Effect::Print(0), Effect::Print(1)]);
    platform.pass(100);
    assert_eq!(platform.effects(), [Effect::Print(2)]);
    platform.set(
        chassis::PATH,
        chassis::REQUESTED_POWER_TRANSITION,
        chassis::Transition::PowerCycle,
    );
    platform.pass(1050);
    assert_eq!(platform.effects(), [Effect::Print(0), Effect::Print(1)]);
    platform.set(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION, chassis::Transition::Off);
    platform.pass(1000);
    assert!(platform.effects().is_empty());
    platform.set(host::PATH, CONSOLE_LOST, true);
    assert_eq!(platform.effects(), [Effect::LoseConsole(true)]);
}
