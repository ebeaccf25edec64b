//! Sensors: values, limits, power.

use openbmc_dbus::chassis::intrusion::{self, Status};
use openbmc_dbus::sensor::{critical, value, warning};
use openbmc_dbus::state::decorator::availability;
use openbmc_dbus::state::host;

use super::TestPlatform;

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
