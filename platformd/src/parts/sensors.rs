//! Sensors: values that move, limits and alarms.
//!
//! A value that a client sets stays as it was set, until "not a number" is set, which gives the
//! sensor back to its wave. Clients may set any value, as tests want to; `Mutable` says whether a
//! real sensor of the kind would let them.

mod kind;
mod limits;
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
use self::wave::Signal;
use crate::config::{Kind, Platform, Sensor};
use crate::fault::Fault;
use crate::part::{Context, Event, Part, Setting};
use crate::parts::intrusion;
use crate::tree::Instance;

/// All sensors.
#[derive(Debug)]
pub(crate) struct Sensors {
    config: Vec<Sensor>,
    interval: Duration,
    next: Option<Duration>,
    sensors: BTreeMap<String, Measured>,
}

/// A sensor with a value.
#[derive(Debug)]
struct Measured {
    signal: Signal,
    hysteresis: f64,
    needs_power: bool,
    /// A client set the value.
    held: Option<f64>,
}

impl Sensors {
    pub(crate) fn new(config: &Platform) -> Self {
        Self {
            config: config.sensor.clone(),
            interval: Duration::from_millis(config.sensors.update_ms),
            next: None,
            sensors: BTreeMap::new(),
        }
    }

    /// Measures one sensor, or all; those which stand only when `all` of them are to be.
    fn measure(&mut self, context: &mut Context<'_>, only: Option<&str>, all: bool) {
        let power = context.tree.get(chassis::PATH, chassis::CURRENT_POWER_STATE);
        let on = power == Some(PowerState::On);
        for (path, sensor) in &mut self.sensors {
            let wanted = only.is_none_or(|only| only == path.as_str());
            if !wanted || (sensor.signal.stands() && !all) {
                continue;
            }
            let there = on || !sensor.needs_power;
            let value = match sensor.held {
                Some(held) => held,
                None if there => sensor.signal.value(context.now.uptime),
                None => f64::NAN,
            };
            context.tree.set(path, availability::AVAILABLE, there);
            context.tree.set(path, value::VALUE, value);
            limits::evaluate(context.tree, path, value, sensor.hysteresis);
        }
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
        };
        self.sensors.insert(path, measured);
    }
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
        self.measure(context, None, true);
        if self.sensors.values().any(|sensor| !sensor.signal.stands()) {
            self.next = Some(context.now.uptime + self.interval);
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
        self.measure(context, Some(setting.path), true);
        Some(Ok(()))
    }

    fn handle_event(&mut self, context: &mut Context<'_>, event: Event) {
        if matches!(event, Event::PowerOn | Event::PowerOff) {
            self.measure(context, None, true);
        }
    }

    fn reconfigure(&mut self, context: &mut Context<'_>, config: &Platform) {
        self.interval = Duration::from_millis(config.sensors.update_ms);
        if let Some(next) = &mut self.next {
            *next = (*next).min(context.now.uptime + self.interval);
        }
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        if self.next.is_some_and(|next| next <= context.now.uptime) {
            self.measure(context, None, false);
            self.next = Some(context.now.uptime + self.interval);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.next
    }
}
