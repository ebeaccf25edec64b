//! The sensor table after changes on D-Bus.

use ipmi_proto::sdr::SdrBody;

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

struct TestSensors {
    table: SensorTable,
    directory: Directory,
}

impl TestSensors {
    fn with(value: f64, alarm: Option<bool>) -> Self {
        let mut sensors = Self { table: SensorTable::default(), directory: Directory::default() };
        sensors.add(&object(value, alarm));
        sensors
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
fn sensor_without_alarms_is_compared_with_its_limits_with_hysteresis() {
    let mut sensors = TestSensors::with(50.0, None);
    assert!(sensors.table.judges_readings());
    let index = sensors.sensor().listing.index;
    sensors.table.set(index, |settings| settings.positive_hysteresis = 3);
    assert_eq!(sensors.value(89.0), [[0; 7]; 0]);
    assert_eq!(sensors.value(91.0), [[4, 1, 1, 0x01, 0x59, 91, 90]]);
    assert_eq!(sensors.value(95.0), [[0; 7]; 0]);
    assert_eq!(sensors.value(88.0), [[0; 7]; 0]);
    assert_eq!(sensors.sensor().states.bits(), 0x10);
    assert_eq!(sensors.value(86.0), [[4, 1, 1, 0x81, 0x59, 86, 90]]);
}

#[test]
fn sensor_with_alarms_is_followed_and_not_judged() {
    let mut sensors = TestSensors::with(50.0, Some(false));
    assert!(!sensors.table.judges_readings());
    assert_eq!(sensors.value(95.0), [[0; 7]; 0]);
    assert_eq!(sensors.alarm(true), [[4, 1, 1, 0x01, 0x59, 95, 90]]);
    assert_eq!(sensors.alarm(true), [[0; 7]; 0]);
    assert_eq!(sensors.alarm(false), [[4, 1, 1, 0x81, 0x59, 95, 90]]);
}

#[test]
fn event_waits_for_a_reading_that_is_not_stale() {
    let mut sensors = TestSensors::with(50.0, Some(false));
    sensors.table.set_stale(true);
    let none = [[0; 7]; 0];
    assert_eq!(sensors.alarm(true), none);
    assert_eq!(sensors.table.take_wanted(), [TEMPERATURE]);
    assert_eq!(sensors.alarm(false), none);
    sensors.table.release(TEMPERATURE, Some(93.0));
    let both = [[4, 1, 1, 0x01, 0x59, 93, 90], [4, 1, 1, 0x81, 0x59, 93, 90]];
    assert_eq!(sensors.events(), both);
    assert_eq!(sensors.table.take_wanted(), [""; 0]);
    // A service that gives none: the event comes without it.
    assert_eq!(sensors.alarm(true), none);
    sensors.table.release(TEMPERATURE, None);
    assert_eq!(sensors.events(), [[4, 1, 1, 0x01, 0x19, 0xff, 90]]);
    // A value that comes by itself serves too.
    assert_eq!(sensors.alarm(false), none);
    assert_eq!(sensors.value(60.0), [[4, 1, 1, 0x81, 0x59, 60, 90]]);
    // And so does the end of the time in which readings were not followed.
    assert_eq!(sensors.alarm(true), none);
    sensors.table.set_stale(false);
    // 60 contradicts an alarm above 90, so that it is older than the alarm.
    assert_eq!(sensors.events(), [[4, 1, 1, 0x01, 0x19, 0xff, 90]]);
}

#[test]
fn sensor_that_is_found_in_alarm_sends_its_reading_or_waits_for_one() {
    let mut sensors =
        TestSensors { table: SensorTable::default(), directory: Directory::default() };
    sensors.table.set_stale(true);
    sensors.add(&object(95.0, Some(true)));
    assert_eq!(sensors.events(), [[4, 1, 1, 0x01, 0x59, 95, 90]], "the object has the reading");

    let mut sensors =
        TestSensors { table: SensorTable::default(), directory: Directory::default() };
    sensors.table.set_stale(true);
    sensors.add(&object(f64::NAN, Some(true)));
    assert_eq!(sensors.events(), [[0; 7]; 0]);
    assert!(sensors.table.judges_readings(), "its first reading is waited for");
    assert_eq!(sensors.value(96.0), [[4, 1, 1, 0x01, 0x59, 96, 90]]);
    assert!(!sensors.table.judges_readings());
}

#[test]
fn reading_beyond_the_range_is_unavailable_and_its_event_has_the_last_byte() {
    let mut sensors = TestSensors::with(50.0, Some(false));
    assert_eq!(sensors.value(127.4), [[0; 7]; 0]);
    assert_eq!(sensors.sensor().raw_reading(), Some(127));
    sensors.value(300.0);
    assert_eq!(sensors.sensor().raw_reading(), None);
    assert!(!sensors.sensor().is_available());
    assert_eq!(sensors.alarm(true), [[4, 1, 1, 0x01, 0x59, 0x7f, 90]]);
    sensors.value(-128.0);
    assert!(sensors.sensor().is_available());
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
    let mut sensors = TestSensors::with(50.0, None);
    let index = sensors.sensor().listing.index;
    sensors.table.set(index, |settings| settings.masked_deassertions = 1 << 9);
    assert_eq!(sensors.value(91.0).len(), 1);
    assert_eq!(sensors.value(50.0).len(), 0);
    sensors.table.set(index, |settings| settings.events = false);
    assert_eq!(sensors.value(91.0).len(), 0);
    assert_eq!(sensors.sensor().states.bits(), 0x10);
}

#[test]
fn neither_readings_nor_limits_nor_settings_change_a_record() {
    let mut sensors = TestSensors::with(50.0, None);
    let before = sensors.table.generation();
    let record = sensors.sensor().body.clone();
    let index = sensors.sensor().listing.index;
    sensors.value(60.0);
    sensors.table.set(index, |settings| settings.positive_hysteresis = 3);
    sensors.table.change(TEMPERATURE, CRITICAL, &vec![number("CriticalHigh", 80.0)]);
    assert_eq!(sensors.sensor().raw_thresholds().get(Threshold::UpperCritical), 80);
    // A limit that is taken away, and one that no raw byte means.
    for limit in [f64::NAN, 300.0] {
        sensors.table.change(TEMPERATURE, CRITICAL, &vec![number("CriticalHigh", limit)]);
        assert!(sensors.sensor().readable_thresholds().is_empty(), "{limit}");
    }
    assert_eq!(sensors.table.generation(), before);
    assert_eq!(sensors.sensor().body, record);
    // A threshold that it had not is of another record.
    sensors.table.change(TEMPERATURE, CRITICAL, &vec![number("CriticalLow", 5.0)]);
    assert_eq!(sensors.table.generation(), before + 1);
    // As is a range that its service names later.
    sensors.table.change(TEMPERATURE, VALUE, &vec![number("MaxValue", 500.0)]);
    assert_eq!(sensors.table.generation(), before + 2);
}

#[test]
fn service_that_leaves_and_returns_keeps_number_name_and_record() {
    let mut sensors = TestSensors::with(50.0, None);
    let listing = sensors.sensor().listing.clone();
    let before = sensors.table.generation();
    sensors.table.set_offline(|_| true);
    assert_eq!(sensors.sensor().raw_reading(), None);
    assert!(!sensors.sensor().is_available());
    sensors.add(&object(51.0, None));
    assert_eq!(sensors.sensor().raw_reading(), Some(51));
    assert_eq!(sensors.table.generation(), before);
    sensors.table.remove(TEMPERATURE);
    assert_eq!(sensors.table.generation(), before + 1);
    sensors.add(&object(52.0, None));
    assert_eq!(sensors.sensor().listing, listing);
}

#[test]
fn chassis_intrusion_is_a_discrete_sensor() {
    let mut sensors = TestSensors::with(50.0, None);
    let path = "/xyz/openbmc_project/sensors/intrusion/Lid";
    let status = |value: &str| {
        let text = Value::Text(format!("xyz.openbmc_project.Chassis.Intrusion.Status.{value}"));
        vec![("Status".to_owned(), text)]
    };
    let interface = "xyz.openbmc_project.Chassis.Intrusion";
    let intrusion = vec![(interface.to_owned(), status("Normal"))];
    let fresh = |_: &str| (Settings::default(), ThresholdSet::EMPTY);
    assert!(sensors.table.add(path, &intrusion, &mut sensors.directory, fresh));
    assert_eq!(sensors.events(), [[0; 7]; 0]);
    sensors.table.change(path, interface, &status("HardwareIntrusion"));
    assert_eq!(sensors.events(), [[4, 5, 2, 0x6f, 0, 0xff, 0xff]]);
}

#[test]
fn power_supply_sends_events_when_it_fails_and_is_removed() {
    let mut sensors = TestSensors::with(50.0, None);
    let path = "/xyz/openbmc_project/inventory/system/PSU1";
    let item = "xyz.openbmc_project.Inventory.Item";
    let flag = |name: &str, value: bool| vec![(name.to_owned(), Value::Flag(value))];
    let supply =
        vec![(format!("{item}.PowerSupply"), Vec::new()), (item.to_owned(), flag("Present", true))];
    let fresh = |_: &str| (Settings::default(), ThresholdSet::EMPTY);
    assert!(sensors.table.add(path, &supply, &mut sensors.directory, fresh));
    assert_eq!(sensors.events(), [[0; 7]; 0], "presence is a normal state, not an event");
    let sensor = sensors.table.find(path).unwrap();
    let (lun, number) = sensor.listing.index.lun_and_number();
    assert_eq!((lun.value(), number, sensor.states.bits()), (0, 253, 1));
    let SdrBody::Compact(record) = &sensor.body else {
        panic!("{:?}", sensor.body);
    };
    assert_eq!((record.entity.id, record.entity.instance), (0x0a, 2));
    assert_eq!((record.masks.assertion, record.masks.reading), (3, 3));
    let status = "xyz.openbmc_project.State.Decorator.OperationalStatus";
    sensors.table.change(path, status, &flag("Functional", false));
    assert_eq!(sensors.events(), [[4, 8, 253, 0x6f, 1, 0xff, 0xff]]);
    sensors.table.change(path, item, &flag("Present", false));
    assert_eq!(
        sensors.events(),
        [[4, 8, 253, 0xef, 0, 0xff, 0xff], [4, 8, 253, 0xef, 1, 0xff, 0xff]]
    );
}

#[test]
fn power_unit_logs_lost_input_and_not_that_it_is_off() {
    let mut sensors = TestSensors::with(50.0, None);
    let path = "/xyz/openbmc_project/state/chassis0";
    let interface = "xyz.openbmc_project.State.Chassis";
    let property = |name: &str, value: &str| {
        let text = Value::Text(format!("{interface}.{name}.{value}"));
        vec![(name.to_owned(), text)]
    };
    let state = property("CurrentPowerState", "On");
    let unit = vec![(interface.to_owned(), state)];
    let fresh = |_: &str| (Settings::default(), ThresholdSet::EMPTY);
    assert!(sensors.table.add(path, &unit, &mut sensors.directory, fresh));
    let name = sensors.table.find(path).unwrap().listing.name.clone();
    assert_eq!(name, "Power Unit");
    let off = property("CurrentPowerState", "Off");
    sensors.table.change(path, interface, &off);
    assert_eq!(sensors.events(), [[0; 7]; 0]);
    assert_eq!(sensors.table.find(path).unwrap().states.bits(), 0x01);
    let lost = property("CurrentPowerStatus", "BrownOut");
    sensors.table.change(path, interface, &lost);
    assert_eq!(sensors.events(), [[4, 9, 253, 0x6f, 4, 0xff, 0xff]]);
}
