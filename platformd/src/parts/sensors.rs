//! Sensors: values that move, limits and alarms.
//!
//! A value that a client sets stays as it was set, until "not a number" is set, which gives the
//! sensor back to its wave. Clients may set any value, as tests want to; `Mutable` says whether a
//! real sensor of the kind would let them.
//!
//! Nothing is computed while nobody needs it. A value is that of the last measurement before it is read. Who has
//! subscribed to signals is known to the bus daemon alone, so that a client that reads a reading is taken for a
//! subscriber for a while, in which all changes are signalled. Without one, a timer runs for the next change of an
//! alarm only, if the sensor's movement can lead to one.

mod kind;
mod limits;
mod measured;
mod ticks;
mod wave;

use std::collections::BTreeMap;
use std::time::Duration;

use openbmc_dbus::chassis::intrusion::Status;
use openbmc_dbus::interface::PropertyValue;
use openbmc_dbus::inventory::{self, decorator};
use openbmc_dbus::mapper::definitions;
use openbmc_dbus::sensor::{self, value, value_mutability};
use openbmc_dbus::state::chassis::{self, PowerState};
use openbmc_dbus::state::decorator::{availability, operational_status};

use self::kind::{Usual, usual};
use self::measured::Measured;
use self::ticks::{Tick, Ticks};
use self::wave::{At, Signal};
use crate::config::{Kind, Platform, Sensor, SignalReadings};
use crate::fault::Fault;
use crate::part::{Context, Event, Part, Read, Setting};
use crate::parts::intrusion;
use crate::tree::Instance;

/// Changed readings are signalled for so long after a client has read one with `Get` or `GetAll`: `ipmid`, which
/// subscribes while its clients read sensors, reads one more often than this.
const SIGNALLED_AFTER_READ: Duration = Duration::from_secs(300);

/// All sensors.
#[derive(Debug)]
pub(crate) struct Sensors {
    config: Vec<Sensor>,
    ticks: Ticks,
    interval: Duration,
    signal_readings: SignalReadings,
    /// Until when somebody is taken for a subscriber.
    subscribed_until: Duration,
    /// When something is to be measured.
    next: Option<Duration>,
    /// The last measurement of all sensors that move.
    measured: Option<Tick>,
    sensors: BTreeMap<String, Measured>,
}

/// Which sensors are measured.
#[derive(Clone, Copy)]
enum Which<'a> {
    /// All, because what their values and alarms depend on has changed.
    All,
    /// One, for the same reason.
    Changed(&'a str),
    /// Those that move.
    Moving,
    /// Those whose alarms may change now.
    Due,
}

impl Sensors {
    pub(crate) fn new(config: &Platform) -> Self {
        let interval = Duration::from_millis(config.sensors.update_ms);
        Self {
            config: config.sensor.clone(),
            ticks: Ticks::new(Duration::ZERO, interval),
            interval,
            signal_readings: config.sensors.signal_readings,
            subscribed_until: Duration::ZERO,
            next: None,
            measured: None,
            sensors: BTreeMap::new(),
        }
    }

    fn has_subscribers(&self, uptime: Duration) -> bool {
        self.signal_readings == SignalReadings::Always || uptime < self.subscribed_until
    }

    fn measure(&mut self, context: &mut Context<'_>, which: Which<'_>) {
        let uptime = context.now.uptime;
        let tick = self.ticks.at(uptime);
        let at = At { tick, uptime: self.ticks.time(tick) };
        let is_on = is_on(context);
        // A change that time alone has brought is known to nobody but subscribers; the next read has it.
        let is_silent = matches!(which, Which::Moving) && !self.has_subscribers(uptime);
        if matches!(which, Which::All | Which::Moving) {
            self.measured = Some(tick);
        }
        for (path, sensor) in &mut self.sensors {
            let is_due = sensor.due.is_some_and(|due| due <= tick);
            let (is_wanted, is_changed) = match which {
                Which::All => (true, true),
                Which::Changed(only) => (only == path, true),
                Which::Moving => (sensor.moves(is_on), false),
                Which::Due => (is_due, false),
            };
            if !is_wanted {
                continue;
            }
            let value = sensor.value(at, is_on);
            if is_changed {
                context.tree.set(path, availability::AVAILABLE, is_on || !sensor.needs_power);
            }
            if is_silent && !is_due {
                context.tree.set_without_signal(path, value::VALUE, value);
            } else {
                context.tree.set(path, value::VALUE, value);
            }
            if is_changed || is_due {
                limits::evaluate(context.tree, path, value, sensor.hysteresis);
                sensor.look_ahead(context.tree, path, &self.ticks, at, is_on);
            }
        }
        self.schedule(uptime, is_on);
    }

    /// Sets the timer.
    fn schedule(&mut self, uptime: Duration, is_on: bool) {
        let next = if self.has_subscribers(uptime)
            && self.sensors.values().any(|sensor| sensor.moves(is_on))
        {
            Some(self.ticks.at(uptime) + 1)
        } else {
            self.sensors.values().filter_map(|sensor| sensor.due).min()
        };
        self.next = next.map(|tick| self.ticks.time(tick));
    }

    fn add(&mut self, context: &mut Context<'_>, sensor: &Sensor, number: u32) {
        let usual = usual(sensor.kind);
        let name = sensor.numbered(number);
        let path = format!("{}/{}/{name}", sensor::ROOT, usual.segment);
        let mut instances = vec![
            Instance::new(&operational_status::INTERFACE)
                .with(operational_status::FUNCTIONAL, sensor.functional),
            Instance::new(&availability::INTERFACE).with(availability::AVAILABLE, true),
        ];
        instances.extend(belonging(sensor, number));
        if sensor.kind == Kind::Intrusion {
            instances.push(intrusion::instance(Status::Normal));
            context.tree.add(usual.service, &path, instances);
            return;
        }
        instances.push(measured(sensor, &usual));
        instances.push(
            Instance::new(&value_mutability::INTERFACE)
                .with(value_mutability::MUTABLE, sensor.mutable),
        );
        instances.extend(limits::instances(&sensor.limits()));
        context.tree.add(usual.service, &path, instances);
        let resolution = sensor.resolution.unwrap_or(usual.resolution);
        let measured = Measured {
            signal: Signal::new(sensor, number, resolution),
            hysteresis: sensor.hysteresis,
            needs_power: sensor.needs_power,
            held: None,
            due: None,
        };
        self.sensors.insert(path, measured);
    }
}

fn is_on(context: &Context<'_>) -> bool {
    context.tree.get(chassis::PATH, chassis::CURRENT_POWER_STATE) == Some(PowerState::On)
}

/// Whether there may be sensors below `path`.
fn has_sensors(path: &str) -> bool {
    let is_below =
        |path: &str, root: &str| path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    path == "/"
        || path == sensor::ROOT
        || is_below(path, sensor::ROOT)
        || is_below(sensor::ROOT, path)
}

fn measured(sensor: &Sensor, usual: &Usual) -> Instance {
    Instance::new(&value::INTERFACE)
        .with(value::VALUE, f64::NAN)
        .with(value::MIN_VALUE, sensor.min.unwrap_or(usual.range.0))
        .with(value::MAX_VALUE, sensor.max.unwrap_or(usual.range.1))
        .with(value::UNIT, usual.unit)
}

/// What says where a sensor belongs.
fn belonging(sensor: &Sensor, number: u32) -> Vec<Instance> {
    let mut instances = Vec::new();
    if let Some(id) = sensor.entity_id {
        let first = u64::from(sensor.entity_instance.unwrap_or(1));
        instances.push(
            Instance::new(&decorator::ipmi::INTERFACE)
                .with(decorator::ipmi::ENTITY_ID, u64::from(id))
                .with(decorator::ipmi::ENTITY_INSTANCE, first + u64::from(number)),
        );
    }
    if let Some(board) = &sensor.board {
        let board = format!("{}/{board}", inventory::ROOT);
        let triple = ("chassis".to_owned(), "all_sensors".to_owned(), board);
        instances.push(
            Instance::new(&definitions::INTERFACE).with(definitions::ASSOCIATIONS, vec![triple]),
        );
    }
    instances
}

/// Whether it is a property which alarms depend on.
fn is_limit(setting: &Setting<'_>) -> bool {
    limits::LEVELS.iter().any(|level| level.interface.name == setting.interface)
}

impl Part for Sensors {
    fn start(&mut self, context: &mut Context<'_>) {
        for sensor in std::mem::take(&mut self.config) {
            for number in 0..sensor.count {
                self.add(context, &sensor, number);
            }
        }
        self.ticks = Ticks::new(context.now.uptime, self.interval);
        self.measure(context, Which::All);
    }

    fn read(&mut self, context: &mut Context<'_>, read: Read<'_>) {
        let uptime = context.now.uptime;
        let is_reading = match read {
            Read::Object { path, interface } => {
                let has_value = interface.is_none_or(|interface| interface == value::NAME);
                has_value && self.sensors.contains_key(path)
            }
            Read::Below(root) => has_sensors(root),
        };
        // A program that wants to know what there is reads all objects at once, and is no subscriber.
        let subscribes = is_reading && matches!(read, Read::Object { .. });
        if subscribes {
            self.subscribed_until = uptime + SIGNALLED_AFTER_READ;
        }
        if is_reading && self.measured != Some(self.ticks.at(uptime)) {
            self.measure(context, Which::Moving);
        } else if subscribes {
            self.schedule(uptime, is_on(context));
        }
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        let sensor = self.sensors.get_mut(setting.path)?;
        if setting.is(setting.path, value::VALUE) {
            let value = match f64::from_variant(setting.value.clone()) {
                Ok(value) => value,
                Err(error) => return Some(Err(error.into())),
            };
            sensor.held = Some(value).filter(|value| !value.is_nan());
        } else if is_limit(setting) {
            let (interface, property) = (setting.interface, setting.property);
            context.tree.store(setting.path, interface, property, setting.value.clone());
        } else {
            return None;
        }
        self.measure(context, Which::Changed(setting.path));
        Some(Ok(()))
    }

    fn handle_event(&mut self, context: &mut Context<'_>, event: Event) {
        if matches!(event, Event::PowerOn | Event::PowerOff) {
            self.measure(context, Which::All);
        }
    }

    fn reconfigure(&mut self, context: &mut Context<'_>, config: &Platform) {
        self.interval = Duration::from_millis(config.sensors.update_ms);
        self.ticks.change(context.now.uptime, self.interval);
        self.signal_readings = config.sensors.signal_readings;
        self.measure(context, Which::All);
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        if self.next.is_some_and(|next| next <= context.now.uptime) {
            let subscribed = self.has_subscribers(context.now.uptime);
            self.measure(context, if subscribed { Which::Moving } else { Which::Due });
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.next
    }
}
