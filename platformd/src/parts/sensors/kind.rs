//! What is usual for each kind of sensor.

use openbmc_dbus::sensor::value::Unit;

use crate::config::Kind;

/// What a kind of sensor is on the bus.
pub(super) struct Usual {
    /// The service that has such sensors in OpenBMC.
    pub(super) service: &'static str,
    /// The path's part before the name.
    pub(super) segment: &'static str,
    pub(super) unit: Unit,
    /// The least and the greatest value.
    pub(super) range: (f64, f64),
    /// The resolution of such sensors.
    pub(super) resolution: f64,
}

/// What is usual for `kind`.
pub(super) const fn usual(kind: Kind) -> Usual {
    const TEMPERATURE: &str = "xyz.openbmc_project.HwmonTempSensor";
    const VOLTAGE: &str = "xyz.openbmc_project.ADCSensor";
    const FAN: &str = "xyz.openbmc_project.FanSensor";
    const SUPPLY: &str = "xyz.openbmc_project.PSUSensor";
    const EXTERNAL: &str = "xyz.openbmc_project.ExternalSensor";
    const INTRUSION_SENSOR: &str = "xyz.openbmc_project.IntrusionSensor";
    let (service, segment, unit, range, resolution) = match kind {
        Kind::Airflow => (EXTERNAL, "airflow", Unit::CFM, (0.0, 255.0), 1.0),
        Kind::Altitude => (EXTERNAL, "altitude", Unit::Meters, (-500.0, 10_000.0), 1.0),
        Kind::Current => (SUPPLY, "current", Unit::Amperes, (0.0, 255.0), 0.001),
        Kind::Energy => (SUPPLY, "energy", Unit::Joules, (0.0, 4e9), 1.0),
        Kind::FanPwm => (FAN, "fan_pwm", Unit::Percent, (0.0, 100.0), 1.0),
        Kind::FanTach => (FAN, "fan_tach", Unit::RPMS, (0.0, 25_000.0), 10.0),
        Kind::Humidity => (EXTERNAL, "humidity", Unit::PercentRH, (0.0, 100.0), 0.5),
        Kind::Intrusion => (INTRUSION_SENSOR, "intrusion", Unit::Percent, (0.0, 1.0), 1.0),
        Kind::Power => (SUPPLY, "power", Unit::Watts, (0.0, 3000.0), 0.5),
        Kind::Pressure => (EXTERNAL, "pressure", Unit::Pascals, (30_000.0, 110_000.0), 10.0),
        Kind::Temperature => (TEMPERATURE, "temperature", Unit::DegreesC, (-128.0, 127.0), 0.25),
        Kind::Utilization => (EXTERNAL, "utilization", Unit::Percent, (0.0, 100.0), 0.5),
        Kind::Voltage => (VOLTAGE, "voltage", Unit::Volts, (0.0, 16.0), 0.001),
    };
    Usual { service, segment, unit, range, resolution }
}
