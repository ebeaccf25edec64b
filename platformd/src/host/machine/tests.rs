//! Requests in, orders out; reports in, states out. No host, and virtual time.

use openbmc_dbus::common::error;
use openbmc_dbus::interface::{Property, PropertyValue};
use openbmc_dbus::state::chassis;
use tokio::sync::mpsc::{self, Receiver};

use super::*;
use crate::config::Platform;
use crate::host::{Facts, OffCause};
use crate::part::{Effect, Invocation, Now, SelEvent};
use crate::simulation::Simulation;
use crate::tree::SavedValues;

const CONFIG: &str = "[host]\nbackend = \"qemu\"\nqmp = \"q\"\ncommand = [\"qemu\"]\n";

/// A platform whose driver is the test.
struct Bench {
    simulation: Simulation,
    orders: Receiver<Order>,
    now: Now,
}

impl Bench {
    fn new() -> Self {
        Self::with(SavedValues::new(), false)
    }

    fn with(saved: SavedValues, cycles: bool) -> Self {
        let config = Platform::parse("test.toml", CONFIG).unwrap();
        let (sender, orders) = mpsc::channel(64);
        let machine = Box::new(Machine::new(&config, cycles, sender));
        let now = Now::default();
        let simulation = Simulation::start(&config, machine, saved, false, now);
        let mut bench = Self { simulation, orders, now };
        assert_eq!(bench.order().operation, Operation::Boot(Source::Default));
        bench
    }

    /// One whose host was found off, or on.
    fn found(state: State) -> Self {
        let mut bench = Self::new();
        bench.report(Report::State(state));
        bench.simulation.take_changes();
        bench
    }

    fn report(&mut self, report: Report) {
        self.simulation.report(self.now, &report);
    }

    fn state(&mut self, state: State) {
        self.report(Report::State(state));
    }

    fn done(&mut self, order: Order) {
        self.report(Report::Done { id: order.id, result: Ok(()) });
    }

    fn fail(&mut self, order: Order, text: &str) {
        let result = Err(OperationError::Failed(text.to_owned()));
        self.report(Report::Done { id: order.id, result });
    }

    /// The next order, which there is.
    #[track_caller]
    fn order(&mut self) -> Order {
        self.orders.try_recv().expect("an order")
    }

    /// The next order, which is this operation.
    #[track_caller]
    fn expect(&mut self, operation: Operation) -> Order {
        let order = self.order();
        assert_eq!(order.operation, operation);
        order
    }

    #[track_caller]
    fn expect_nothing(&mut self) {
        assert!(self.orders.try_recv().is_err());
    }

    fn set<T: PropertyValue>(&mut self, path: &str, property: Property<T>, value: T) {
        let value = value.into_variant();
        self.simulation.set(self.now, path, property.interface, property.name, value).unwrap();
    }

    /// Requests a transition; returns the ticket of the reply.
    fn request(&mut self, transition: host::Transition) -> Option<Ticket> {
        self.set(host::PATH, host::REQUESTED_HOST_TRANSITION, transition);
        self.simulation.take_deferred()
    }

    fn request_chassis(&mut self, transition: chassis::Transition) -> Option<Ticket> {
        self.set(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION, transition);
        self.simulation.take_deferred()
    }

    fn pass(&mut self, time: Duration) {
        self.now.uptime += time;
        self.simulation.handle_timeout(self.now);
    }

    fn get<T: PropertyValue>(&mut self, path: &str, property: Property<T>) -> T {
        self.simulation.tree(self.now).get(path, property).unwrap()
    }

    fn states(&mut self) -> (PowerState, HostState) {
        let power = self.get(chassis::PATH, chassis::CURRENT_POWER_STATE);
        (power, self.get(host::PATH, host::CURRENT_HOST_STATE))
    }

    fn cause(&mut self) -> RestartCause {
        self.get(host::PATH, host::RESTART_CAUSE)
    }

    fn logged(&mut self) -> Vec<SelEvent> {
        let mut logged = Vec::new();
        while let Some(effect) = self.simulation.poll_effect() {
            if let Effect::LogEvent(event) = effect {
                logged.push(event);
            }
        }
        logged
    }
}

const OFF: State = State::Off(OffCause::Unknown);
const IS_ON: (PowerState, HostState) = (PowerState::On, HostState::Running);
const IS_OFF: (PowerState, HostState) = (PowerState::Off, HostState::Off);

#[test]
fn a_host_is_published_as_it_is_found() {
    for (state, states) in [
        (State::On, IS_ON),
        (State::Paused, (PowerState::On, HostState::Standby)),
        (State::Panicked, (PowerState::On, HostState::Quiesced)),
        (OFF, IS_OFF),
    ] {
        let mut bench = Bench::new();
        bench.set(ONE_TIME_PATH, enable::ENABLED, true);
        bench.state(state);
        assert_eq!(bench.states(), states);
        assert!(bench.get(ONE_TIME_PATH, enable::ENABLED), "nothing has started");
        bench.expect_nothing();
        assert_eq!(bench.logged(), []);
    }
}

#[test]
fn on_is_replied_to_when_the_host_is_on() {
    let mut bench = Bench::found(OFF);
    let ticket = bench.request(host::Transition::On).unwrap();
    let order = bench.expect(Operation::On);
    assert_eq!(bench.states(), (PowerState::TransitioningToOn, HostState::Off));
    assert_eq!(bench.simulation.take_settled(), []);
    bench.state(State::On);
    assert_eq!(bench.states(), IS_ON);
    assert_eq!(bench.cause(), RestartCause::RemoteCommand);
    bench.done(order);
    assert_eq!(bench.simulation.take_settled(), [(ticket, Ok(()))]);
    assert_eq!(bench.request(host::Transition::On), None, "it is on already");
    bench.expect_nothing();
}

#[test]
fn a_failure_is_the_reply_and_the_states_are_true_again() {
    let mut bench = Bench::found(OFF);
    let ticket = bench.request(host::Transition::On).unwrap();
    let order = bench.expect(Operation::On);
    bench.fail(order, "no such program");
    let settled = bench.simulation.take_settled();
    let [(of, Err(fault))] = settled.as_slice() else { panic!("{settled:?}") };
    assert_eq!((*of, fault.name), (ticket, error::INTERNAL_FAILURE));
    assert_eq!(fault.text, "no such program");
    assert_eq!(bench.states(), IS_OFF);
    assert_eq!(bench.logged(), [events::SOFT_POWER_CONTROL_FAILURE]);
    let mut bench = Bench::found(State::On);
    let _ticket = bench.request(host::Transition::Off);
    let order = bench.expect(Operation::SoftOff);
    let result = Err(OperationError::Unsupported("no program".to_owned()));
    bench.report(Report::Done { id: order.id, result });
    let settled = bench.simulation.take_settled();
    let [(_, Err(fault))] = settled.as_slice() else { panic!("{settled:?}") };
    assert_eq!(fault.name, error::NOT_ALLOWED);
    assert_eq!(bench.states(), IS_ON);
    bench.expect_nothing();
}

#[test]
fn a_reply_does_not_wait_for_ever() {
    let mut bench = Bench::found(OFF);
    let ticket = bench.request(host::Transition::On).unwrap();
    assert_eq!(bench.simulation.poll_timeout(), Some(REPLY_LIMIT));
    bench.pass(REPLY_LIMIT);
    assert_eq!(bench.simulation.take_settled(), [(ticket, Ok(()))]);
    let order = bench.expect(Operation::On);
    bench.fail(order, "late");
    assert_eq!(bench.simulation.take_settled(), []);
    assert_eq!(bench.states(), IS_OFF);
}

#[test]
fn a_soft_off_ends_with_the_shutdown_or_with_the_time_limit() {
    let mut bench = Bench::found(State::On);
    let ticket = bench.request(host::Transition::Off).unwrap();
    let order = bench.expect(Operation::SoftOff);
    assert_eq!(bench.states(), (PowerState::On, HostState::TransitioningToOff));
    bench.done(order);
    assert_eq!(bench.simulation.take_settled(), [(ticket, Ok(()))]);
    bench.state(State::Off(OffCause::Guest));
    assert_eq!(bench.states(), IS_OFF);
    assert_eq!(bench.logged(), [events::GRACEFUL_SHUTDOWN]);
    bench.expect_nothing();

    let mut bench = Bench::found(State::On);
    bench.request(host::Transition::Off);
    let order = bench.expect(Operation::SoftOff);
    bench.done(order);
    bench.pass(Duration::from_secs(59));
    bench.expect_nothing();
    bench.pass(Duration::from_secs(1));
    let order = bench.expect(Operation::Off);
    assert_eq!(bench.states().0, PowerState::TransitioningToOff);
    bench.state(State::Off(OffCause::Order));
    bench.done(order);
    assert_eq!(bench.states(), IS_OFF);
    assert_eq!(bench.logged(), []);
}

#[test]
fn a_cycle_is_off_a_pause_and_on() {
    let mut bench = Bench::found(State::On);
    bench.request_chassis(chassis::Transition::PowerCycle);
    let order = bench.expect(Operation::Off);
    bench.state(State::Off(OffCause::Order));
    bench.done(order);
    bench.expect_nothing();
    bench.pass(Duration::from_secs(1));
    let order = bench.expect(Operation::On);
    bench.state(State::On);
    bench.done(order);
    assert_eq!(bench.states(), IS_ON);
    // IPMI's power cycle requests the host's transition.
    bench.request(host::Transition::Reboot);
    bench.expect(Operation::Off);
}

#[test]
fn a_driver_that_cycles_gets_one_order() {
    let mut bench = Bench::with(SavedValues::new(), true);
    bench.state(State::On);
    bench.request_chassis(chassis::Transition::PowerCycle);
    let order = bench.expect(Operation::Cycle);
    bench.report(Report::Restarted { by_guest: false });
    bench.done(order);
    assert_eq!((bench.states(), bench.cause()), (IS_ON, RestartCause::RemoteCommand));
    // A host that is off is switched on.
    bench.state(OFF);
    bench.request(host::Transition::Reboot);
    bench.expect(Operation::On);
}

#[test]
fn a_cycle_that_was_cut_off_by_a_restart_goes_on() {
    let mut bench = Bench::found(State::On);
    bench.request_chassis(chassis::Transition::PowerCycle);
    let saved = bench.simulation.take_unsaved().unwrap().clone();
    let mut again = Bench::with(saved.clone(), false);
    again.state(State::Off(OffCause::Unknown));
    again.expect(Operation::On);
    // Where the power is still on there is nothing to go on with.
    let mut again = Bench::with(saved, false);
    again.state(State::On);
    again.expect_nothing();
    // After the end of the plan neither.
    let order = bench.expect(Operation::Off);
    bench.state(State::Off(OffCause::Order));
    bench.done(order);
    bench.pass(Duration::from_secs(1));
    let order = bench.expect(Operation::On);
    bench.state(State::On);
    bench.done(order);
    let saved = bench.simulation.take_unsaved().unwrap().clone();
    let mut again = Bench::with(saved, false);
    again.state(State::Off(OffCause::Unknown));
    again.expect_nothing();
}

#[test]
fn a_reset_is_a_start_with_its_cause() {
    let mut bench = Bench::found(State::On);
    bench.request(host::Transition::ForceWarmReboot);
    let order = bench.expect(Operation::Reset);
    bench.report(Report::Restarted { by_guest: false });
    bench.done(order);
    assert_eq!((bench.states(), bench.cause()), (IS_ON, RestartCause::RemoteCommand));
    bench.report(Report::Restarted { by_guest: true });
    assert_eq!((bench.states(), bench.cause()), (IS_ON, RestartCause::SoftReset));
    assert_eq!(bench.logged(), [events::WARM_RESET]);
    // By another client of the hypervisor.
    bench.report(Report::Restarted { by_guest: false });
    assert_eq!(bench.cause(), RestartCause::Unknown);
    bench.state(OFF);
    assert_eq!(bench.request(host::Transition::ForceWarmReboot), None);
    bench.expect_nothing();
}

#[test]
fn panics_losses_and_shutdowns_are_logged() {
    let mut bench = Bench::found(State::On);
    bench.report(Report::Panicked);
    assert_eq!(bench.states(), (PowerState::On, HostState::Quiesced));
    assert_eq!(bench.logged(), [events::CRITICAL_STOP]);
    bench.report(Report::Restarted { by_guest: true });
    assert_eq!((bench.states(), bench.cause()), (IS_ON, RestartCause::HostCrash));
    bench.logged();
    bench.report(Report::Panicked);
    bench.state(State::Off(OffCause::Panic));
    assert_eq!(bench.states(), IS_OFF);
    assert_eq!(bench.logged(), [events::CRITICAL_STOP]);
    bench.state(State::On);
    bench.state(State::Off(OffCause::Lost("killed".to_owned())));
    assert_eq!(bench.states(), IS_OFF);
    assert_eq!(bench.logged(), [events::POWER_UNIT_FAILURE]);
}

#[test]
fn a_boot_override_is_ordered_before_the_start_that_uses_it_up() {
    let mut bench = Bench::found(OFF);
    bench.set(ONE_TIME_PATH, source::BOOT_SOURCE, Source::Network);
    bench.expect_nothing();
    bench.set(ONE_TIME_PATH, enable::ENABLED, true);
    bench.expect(Operation::Boot(Source::Network));
    bench.set(PERSISTENT_PATH, source::BOOT_SOURCE, Source::Disk);
    bench.set(PERSISTENT_PATH, enable::ENABLED, true);
    bench.expect_nothing();
    bench.request(host::Transition::On);
    let order = bench.expect(Operation::On);
    bench.state(State::On);
    bench.done(order);
    // It is used up, and the next boot is the persistent one.
    assert!(!bench.get(ONE_TIME_PATH, enable::ENABLED));
    bench.expect(Operation::Boot(Source::Disk));
    bench.set(PERSISTENT_PATH, enable::ENABLED, false);
    bench.expect(Operation::Boot(Source::Default));
}

#[test]
fn an_interrupt_is_replied_to_by_the_driver() {
    use openbmc_dbus::control::host_nmi::{NMI, PATH};
    let call = Invocation { path: PATH, method: &NMI, arguments: &[] };
    let mut bench = Bench::found(OFF);
    assert_eq!(bench.simulation.call(bench.now, &call).unwrap_err().name, error::NOT_ALLOWED);
    bench.state(State::On);
    bench.simulation.call(bench.now, &call).unwrap();
    let ticket = bench.simulation.take_deferred().unwrap();
    let order = bench.expect(Operation::Interrupt);
    bench.fail(order, "no NMI");
    let settled = bench.simulation.take_settled();
    assert_eq!(settled, [(ticket, Err(Fault::failed("no NMI")))]);
    assert_eq!(bench.states(), IS_ON);
}

#[test]
fn a_new_request_replaces_the_plan_and_ignores_its_orders() {
    let mut bench = Bench::found(State::On);
    let first = bench.request(host::Transition::Off).unwrap();
    let old = bench.expect(Operation::SoftOff);
    let second = bench.request_chassis(chassis::Transition::Off).unwrap();
    assert_eq!(bench.simulation.take_settled(), [(first, Ok(()))]);
    let new = bench.expect(Operation::Off);
    bench.fail(old, "not asked for any more");
    assert_eq!(bench.simulation.take_settled(), []);
    bench.state(State::Off(OffCause::Order));
    bench.done(new);
    assert_eq!(bench.simulation.take_settled(), [(second, Ok(()))]);
    assert_eq!(bench.states(), IS_OFF);
}

#[test]
fn more_requests_than_the_driver_takes_are_refused() {
    let mut bench = Bench::found(OFF);
    let mut refused = None;
    for _ in 0..200 {
        bench.request_chassis(chassis::Transition::On);
        bench.state(State::On);
        bench.request_chassis(chassis::Transition::Off);
        bench.state(State::Off(OffCause::Order));
        let settled = bench.simulation.take_settled();
        refused = refused.or(settled.into_iter().find_map(|(_, result)| result.err()));
    }
    assert_eq!(refused.unwrap().name, error::UNAVAILABLE);
}

#[test]
fn facts_are_in_the_inventory_and_the_uuid_is_remembered() {
    let mut bench = Bench::new();
    let id = "11111111-2222-3333-4444-555555555555".to_owned();
    bench.report(Report::Facts(Facts {
        uuid: Some(id.clone()),
        memory_bytes: Some(64 << 20),
        cpus: Some(2),
        cpu_model: Some("A CPU".to_owned()),
    }));
    let system = crate::parts::identity::SYSTEM_PATH;
    assert_eq!(bench.get(system, openbmc_dbus::common::uuid::UUID), id);
    let name = openbmc_dbus::inventory::item::PRETTY_NAME;
    let inventory = |name: &str| format!("{}/system/{name}", openbmc_dbus::inventory::ROOT);
    assert_eq!(bench.get(&inventory("vm_cpu"), name), "2 x A CPU");
    assert_eq!(bench.get(&inventory("vm_memory"), name), "64 MiB");
    bench.report(Report::Facts(Facts { memory_bytes: Some(32 << 20), ..Facts::default() }));
    assert_eq!(bench.get(&inventory("vm_memory"), name), "32 MiB");
    let saved = bench.simulation.take_unsaved().unwrap().clone();
    let mut again = Bench::with(saved, false);
    assert_eq!(again.get(system, openbmc_dbus::common::uuid::UUID), id);
}
