//! What the sensor table makes of what D-Bus tells.

use super::*;

const TEMPERATURE: &str = "/xyz/openbmc_project/sensors/temperature/CPU0";
const VALUE: &str = "xyz.openbmc_project.Sensor.Value";
const CRITICAL: &str = "xyz.openbmc_project.Sensor.Threshold.Critical";

fn number(name: &str, value: f64) -> (String, Value) {
    (name.to_owned(), Value::Number(value))
}

fn object(value: f64, alarm: Option<bool>) -> Interfaces {
    let unit = Value::Text(format!("{VALUE}.Unit.DegreesC"));
    let mut critical = vec![number("CriticalHigh", 90.0)];
    if let Some(alarm) = alarm {
        critical.push(("CriticalAlarmHigh".to_owned(), Value::Flag(alarm)));
    }
    let reading = vec![
        number("Value", value),
        number("MinValue", -128.0),
        number("MaxValue", 127.0),
        ("Unit".to_owned(), unit),
    ];
    vec![(VALUE.to_owned(), reading), (CRITICAL.to_owned(), critical)]
}

struct Bench {
    table: SensorTable,
    directory: Directory,
}

impl Bench {
    fn with(value: f64, alarm: Option<bool>) -> Self {
        let mut bench = Self { table: SensorTable::default(), directory: Directory::default() };
        bench.add(&object(value, alarm));
        bench
    }

    fn add(&mut self, interfaces: &Interfaces) {
        let fresh = |_: &str| (Settings::default(), ThresholdSet::EMPTY);
        assert!(self.table.add(TEMPERATURE, interfaces, &mut self.directory, fresh));
    }

    fn value(&mut self, value: f64) -> Vec<[u8; 7]> {
        self.table.change(TEMPERATURE, VALUE, &vec![number("Value", value)]);
        self.events()
    }

    fn alarm(&mut self, alarm: bool) -> Vec<[u8; 7]> {
        let alarm = ("CriticalAlarmHigh".to_owned(), Value::Flag(alarm));
        self.table.change(TEMPERATURE, CRITICAL, &vec![alarm]);
        self.events()
    }

    fn events(&mut self) -> Vec<[u8; 7]> {
        self.table.take_events().iter().map(|event| event.event.to_bytes()).collect()
    }

    fn sensor(&self) -> &Sensor {
        self.table.iter().next().unwrap()
    }
}

#[test]
fn sensor_without_alarms_is_judged_by_its_reading_with_hysteresis() {
    let mut bench = Bench::with(50.0, None);
    assert!(bench.table.judges_readings());
    let index = bench.sensor().listing.index;
    bench.table.set(index, |settings| settings.positive_hysteresis = 3);
    assert_eq!(bench.value(89.0), [[0; 7]; 0]);
    assert_eq!(bench.value(91.0), [[4, 1, 1, 0x01, 0x59, 91, 90]]);
    assert_eq!(bench.value(95.0), [[0; 7]; 0]);
    assert_eq!(bench.value(88.0), [[0; 7]; 0]);
    assert_eq!(bench.sensor().states.bits(), 0x10);
    assert_eq!(bench.value(86.0), [[4, 1, 1, 0x81, 0x59, 86, 90]]);
}

#[test]
fn sensor_with_alarms_is_followed_and_not_judged() {
    let mut bench = Bench::with(50.0, Some(false));
    assert!(!bench.table.judges_readings());
    assert_eq!(bench.value(95.0), [[0; 7]; 0]);
    assert_eq!(bench.alarm(true), [[4, 1, 1, 0x01, 0x59, 95, 90]]);
    assert_eq!(bench.alarm(true), [[0; 7]; 0]);
    assert_eq!(bench.alarm(false), [[4, 1, 1, 0x81, 0x59, 95, 90]]);
}

#[test]
fn event_tells_no_reading_that_is_not_of_now() {
    let mut bench = Bench::with(50.0, Some(false));
    bench.table.set_stale(true);
    assert_eq!(bench.alarm(true), [[4, 1, 1, 0x01, 0x19, 0xff, 90]]);
}

#[test]
fn state_that_was_reported_before_a_restart_is_not_reported_again() {
    let mut table = SensorTable::default();
    let mut directory = Directory::default();
    let states = ThresholdSet::from_bits(0x10);
    let known = |_: &str| (Settings::default(), states);
    assert!(table.add(TEMPERATURE, &object(95.0, Some(true)), &mut directory, known));
    assert_eq!(table.take_events(), []);
}

#[test]
fn disabled_and_masked_events_are_not_sent() {
    let mut bench = Bench::with(50.0, None);
    let index = bench.sensor().listing.index;
    bench.table.set(index, |settings| settings.masked_deassertions = 1 << 9);
    assert_eq!(bench.value(91.0).len(), 1);
    assert_eq!(bench.value(50.0).len(), 0);
    bench.table.set(index, |settings| settings.events = false);
    assert_eq!(bench.value(91.0).len(), 0);
    assert_eq!(bench.sensor().states.bits(), 0x10);
}

#[test]
fn readings_change_no_record_and_limits_do() {
    let mut bench = Bench::with(50.0, None);
    let before = bench.table.generation();
    bench.value(60.0);
    assert_eq!(bench.table.generation(), before);
    bench.table.change(TEMPERATURE, CRITICAL, &vec![number("CriticalHigh", 80.0)]);
    assert_eq!(bench.table.generation(), before + 1);
    assert_eq!(bench.sensor().raw_thresholds().get(Threshold::UpperCritical), 80);
}

#[test]
fn service_that_leaves_and_returns_keeps_number_name_and_record() {
    let mut bench = Bench::with(50.0, None);
    let listing = bench.sensor().listing.clone();
    let before = bench.table.generation();
    bench.table.set_offline(|_| true);
    assert_eq!(bench.sensor().raw_reading(), None);
    assert!(!bench.sensor().is_available());
    bench.add(&object(51.0, None));
    assert_eq!(bench.sensor().raw_reading(), Some(51));
    assert_eq!(bench.table.generation(), before);
    bench.table.remove(TEMPERATURE);
    assert_eq!(bench.table.generation(), before + 1);
    bench.add(&object(52.0, None));
    assert_eq!(bench.sensor().listing, listing);
}

#[test]
fn lid_is_a_sensor_of_states() {
    let mut bench = Bench::with(50.0, None);
    let path = "/xyz/openbmc_project/sensors/intrusion/Lid";
    let status = |value: &str| {
        let text = Value::Text(format!("xyz.openbmc_project.Chassis.Intrusion.Status.{value}"));
        vec![("Status".to_owned(), text)]
    };
    let interface = "xyz.openbmc_project.Chassis.Intrusion";
    let lid = vec![(interface.to_owned(), status("Normal"))];
    let fresh = |_: &str| (Settings::default(), ThresholdSet::EMPTY);
    assert!(bench.table.add(path, &lid, &mut bench.directory, fresh));
    assert_eq!(bench.events(), [[0; 7]; 0]);
    bench.table.change(path, interface, &status("HardwareIntrusion"));
    assert_eq!(bench.events(), [[4, 5, 2, 0x6f, 0, 0xff, 0xff]]);
}

#[test]
fn power_supply_tells_when_it_fails_and_goes() {
    let mut bench = Bench::with(50.0, None);
    let path = "/xyz/openbmc_project/inventory/system/PSU1";
    let item = "xyz.openbmc_project.Inventory.Item";
    let flag = |name: &str, value: bool| vec![(name.to_owned(), Value::Flag(value))];
    let supply =
        vec![(format!("{item}.PowerSupply"), Vec::new()), (item.to_owned(), flag("Present", true))];
    let fresh = |_: &str| (Settings::default(), ThresholdSet::EMPTY);
    assert!(bench.table.add(path, &supply, &mut bench.directory, fresh));
    assert_eq!(bench.events(), [[0; 7]; 0], "that it is there is no news");
    let sensor = bench.table.find(path).unwrap();
    let (lun, number) = sensor.listing.index.place();
    assert_eq!((lun.value(), number, sensor.states.bits()), (0, 253, 1));
    let SdrBody::Compact(record) = &sensor.body else {
        panic!("{:?}", sensor.body);
    };
    assert_eq!((record.entity.id, record.entity.instance), (0x0a, 2));
    assert_eq!((record.masks.assertion, record.masks.reading), (3, 3));
    let status = "xyz.openbmc_project.State.Decorator.OperationalStatus";
    bench.table.change(path, status, &flag("Functional", false));
    assert_eq!(bench.events(), [[4, 8, 253, 0x6f, 1, 0xff, 0xff]]);
    bench.table.change(path, item, &flag("Present", false));
    assert_eq!(
        bench.events(),
        [[4, 8, 253, 0xef, 0, 0xff, 0xff], [4, 8, 253, 0xef, 1, 0xff, 0xff]]
    );
}

#[test]
fn power_unit_logs_lost_input_and_not_that_it_is_off() {
    let mut bench = Bench::with(50.0, None);
    let path = "/xyz/openbmc_project/state/chassis0";
    let interface = "xyz.openbmc_project.State.Chassis";
    let property = |name: &str, value: &str| {
        let text = Value::Text(format!("{interface}.{name}.{value}"));
        vec![(name.to_owned(), text)]
    };
    let state = property("CurrentPowerState", "On");
    let unit = vec![(interface.to_owned(), state)];
    let fresh = |_: &str| (Settings::default(), ThresholdSet::EMPTY);
    assert!(bench.table.add(path, &unit, &mut bench.directory, fresh));
    let name = bench.table.find(path).unwrap().listing.name.clone();
    assert_eq!(name, "Power Unit");
    let off = property("CurrentPowerState", "Off");
    bench.table.change(path, interface, &off);
    assert_eq!(bench.events(), [[0; 7]; 0]);
    assert_eq!(bench.table.find(path).unwrap().states.bits(), 0x01);
    let lost = property("CurrentPowerStatus", "BrownOut");
    bench.table.change(path, interface, &lost);
    assert_eq!(bench.events(), [[4, 9, 253, 0x6f, 4, 0xff, 0xff]]);
}
