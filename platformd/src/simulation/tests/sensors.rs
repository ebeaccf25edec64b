//! Sensors: values, limits, power.

use openbmc_dbus::chassis::intrusion::{self, Status};
use openbmc_dbus::sensor::{critical, value, warning};
use openbmc_dbus::state::decorator::availability;
use openbmc_dbus::state::host;

use super::{Change, Duration, Read, TestPlatform};

const SENSORS: &str = "
[[sensor]]
kind = \"temperature\"
name = \"CPU{n}_Temp\"
count = 2
value = 50.0
step = 1.0
warning-high = 70.0
critical-high = 80.0
hysteresis = 2.0

[[sensor]]
kind = \"fan_tach\"
name = \"Fan0\"
value = 8000.0
needs-power = true
wave = { shape = \"sine\", amplitude = 500.0, period-ms = 10000 }

[[sensor]]
kind = \"intrusion\"
name = \"Lid\"
";
const CPU0: &str = "/xyz/openbmc_project/sensors/temperature/CPU0_Temp";
const CPU1: &str = "/xyz/openbmc_project/sensors/temperature/CPU1_Temp";
const FAN0: &str = "/xyz/openbmc_project/sensors/fan_tach/Fan0";

#[test]
fn a_sensor_is_set_from_outside_and_given_back() {
    let mut platform = TestPlatform::new(SENSORS);
    assert_eq!(platform.get(CPU1, value::VALUE), 51.0);
    platform.set(CPU0, value::VALUE, 85.0);
    platform.pass(5000);
    assert_eq!(platform.get(CPU0, value::VALUE), 85.0);
    assert!(platform.get(CPU0, warning::ALARM_HIGH) && platform.get(CPU0, critical::ALARM_HIGH));
    assert!(!platform.get(CPU1, warning::ALARM_HIGH));
    platform.set(CPU0, critical::HIGH, 90.0);
    assert!(!platform.get(CPU0, critical::ALARM_HIGH));
    platform.set(CPU0, value::VALUE, f64::NAN);
    assert_eq!(platform.get(CPU0, value::VALUE), 50.0);
    assert!(!platform.get(CPU0, warning::ALARM_HIGH));
}

#[test]
fn a_fan_turns_with_power_on_only() {
    let mut platform = TestPlatform::new(SENSORS);
    assert!(platform.get(FAN0, value::VALUE).is_nan());
    assert!(!platform.get(FAN0, availability::AVAILABLE));
    platform.request(host::Transition::On);
    platform.pass(5000);
    let before = platform.get(FAN0, value::VALUE);
    platform.simulation.take_changes();
    platform.pass(2000);
    let after = platform.get(FAN0, value::VALUE);
    assert!((7500.0..=8500.0).contains(&after) && (after - before).abs() > 10.0);
    assert!(platform.simulation.take_changes().len() >= 2);
    platform.request(host::Transition::Off);
    platform.pass(5000);
    assert!(platform.get(FAN0, value::VALUE).is_nan());
    platform.simulation.take_changes();
    platform.pass(5000);
    assert!(platform.simulation.take_changes().is_empty(), "no value is no news");
}

#[test]
fn the_lid_is_one_wherever_it_is_shown() {
    let mut platform = TestPlatform::new(SENSORS);
    let sensor = "/xyz/openbmc_project/sensors/intrusion/Lid";
    platform.set(sensor, intrusion::STATUS, Status::HardwareIntrusion);
    assert_eq!(platform.get(intrusion::PATH, intrusion::STATUS), Status::HardwareIntrusion);
    platform.set(intrusion::PATH, intrusion::STATUS, Status::Normal);
    assert_eq!(platform.get(sensor, intrusion::STATUS), Status::Normal);
}

const HOT: &str = "
[[sensor]]
kind = \"temperature\"
name = \"Hot\"
value = 50.0
warning-high = 70.0
hysteresis = 2.0
resolution = 0.5
wave = WAVE
";
const HOT_PATH: &str = "/xyz/openbmc_project/sensors/temperature/Hot";

fn hot(wave: &str) -> TestPlatform {
    TestPlatform::new(&HOT.replace("WAVE", wave))
}

impl TestPlatform {
    /// Lets so many milliseconds pass, and returns when the alarm for the upper limit changed.
    fn alarms_within(&mut self, milliseconds: u64) -> Vec<(u128, bool)> {
        let (mut changes, mut raised) = (Vec::new(), self.is_raised());
        for _ in 0..milliseconds / 500 {
            self.pass(500);
            let now = self.is_raised();
            if std::mem::replace(&mut raised, now) != now {
                changes.push((self.now.uptime.as_millis(), now));
            }
        }
        changes
    }

    fn is_raised(&mut self) -> bool {
        self.simulation.tree(self.now).get(HOT_PATH, warning::ALARM_HIGH).unwrap()
    }

    /// The readings that were signalled since the last call.
    fn signalled(&mut self) -> usize {
        let is_reading = |change: &Change| match change {
            Change::Changed { interface, .. } => *interface == value::NAME,
            _ => false,
        };
        self.simulation.take_changes().iter().filter(|change| is_reading(change)).count()
    }
}

#[test]
fn nothing_is_computed_while_nobody_reads() {
    let mut platform = hot("{ shape = \"sine\", amplitude = 10.0, period-ms = 60000 }");
    assert_eq!(platform.simulation.poll_timeout(), None);
    platform.pass(3_600_000);
    assert_eq!(platform.signalled(), 0);
    assert!((40.0..=60.0).contains(&platform.get(HOT_PATH, value::VALUE)));
}

#[test]
fn readings_are_signalled_for_a_while_after_one_is_read() {
    let mut platform = hot("{ shape = \"walk\", amplitude = 10.0 }");
    platform.get(HOT_PATH, value::VALUE);
    platform.pass(299_000);
    let signalled = platform.signalled();
    assert!(signalled > 200, "{signalled}");
    platform.pass(5000);
    platform.signalled();
    platform.pass(600_000);
    assert_eq!((platform.signalled(), platform.simulation.poll_timeout()), (0, None));
    let always = "[sensors]\nsignal-readings = \"always\"\n";
    let wave = "{ shape = \"walk\", amplitude = 10.0 }";
    let mut platform = TestPlatform::new(&format!("{always}{}", HOT.replace("WAVE", wave)));
    platform.pass(600_000);
    assert!(platform.signalled() > 400);
}

#[test]
fn reading_all_objects_gives_current_values_and_is_no_subscription() {
    let wave = "{ shape = \"script\", points = [[0, 1.0], [2000, 2.0], [4000, 3.0]] }";
    let mut platform = hot(wave);
    for (milliseconds, expected) in [(0, 1.0), (2000, 2.0), (2000, 3.0)] {
        platform.pass(milliseconds);
        let tree = platform.simulation.read(platform.now, Read::Below("/xyz"));
        assert_eq!(tree.get(HOT_PATH, value::VALUE), Some(expected));
    }
    assert_eq!((platform.signalled(), platform.simulation.poll_timeout()), (0, None));
}

#[test]
fn an_alarm_that_the_movement_raises_comes_at_its_time_whether_anybody_reads_or_not() {
    for (wave, count) in [
        (
            "{ shape = \"script\", points = [[0, 50.0], [30000, 75.0], [1800000, 69.0], [2500000, 50.0]] }",
            2,
        ),
        ("{ shape = \"sine\", amplitude = 25.0, period-ms = 600000 }", 12),
        ("{ shape = \"ramp\", amplitude = 21.0, period-ms = 1000000 }", 6),
        ("{ shape = \"walk\", amplitude = 30.0 }", 10),
    ] {
        let (mut read, mut unread) = (hot(wave), hot(wave));
        read.get(HOT_PATH, value::VALUE);
        let mut expected = Vec::new();
        for _ in 0..15 {
            read.get(HOT_PATH, value::VALUE);
            expected.extend(read.alarms_within(240_000));
        }
        let found = unread.alarms_within(3_600_000);
        assert!(expected.len() >= count, "{wave}: {expected:?}");
        assert_eq!(found, expected, "{wave}");
    }
}

#[test]
fn the_timer_runs_for_changes_of_alarms_alone() {
    let wave = "{ shape = \"script\", points = [[0, 50.0], [30000, 75.0], [40000, 50.0]] }";
    let mut platform = hot(wave);
    let due = |platform: &TestPlatform| platform.simulation.poll_timeout();
    assert_eq!(due(&platform), Some(Duration::from_secs(30)));
    platform.pass(30_000);
    assert_eq!(platform.signalled(), 1, "with an alarm comes its reading");
    assert_eq!(due(&platform), Some(Duration::from_secs(40)));
    platform.pass(10_000);
    assert_eq!(due(&platform), None);
    platform.set(HOT_PATH, warning::HIGH, 45.0);
    assert!(platform.get(HOT_PATH, warning::ALARM_HIGH), "the value stands beyond the new limit");
}
