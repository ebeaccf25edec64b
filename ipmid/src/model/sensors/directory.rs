//! Number and name of each sensor. They belong to its path, and stay the same across restarts of its service and of
//! ipmid.

use std::collections::{BTreeMap, BTreeSet};

use ipmi_proto::Lun;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::basis::Basis;
use super::record::segment;
use crate::model::names;

/// Sensor numbers of one LUN that are for sensors on the bus: 1 to 253. FFh is reserved (IPMI v2.0 §43.1), and FEh is for what the BMC itself sends events of.
const PER_LUN: u16 = 253;
/// The LUNs that sensors are on; 2 is the system interface's.
const LUNS: [u8; 3] = [0, 1, 3];
/// All numbers there are.
pub const CAPACITY: u16 = PER_LUN * 3;

/// The index of a sensor among all sensor numbers, 0 to 758.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SensorIndex(u16);

impl SensorIndex {
    /// The sensor with this number on `lun`.
    #[must_use]
    pub fn of(lun: Lun, number: u8) -> Option<Self> {
        let block = (0..).zip(LUNS).find(|(_, of)| *of == lun.value())?.0;
        let within = u16::from(number).checked_sub(1).filter(|n| *n < PER_LUN)?;
        Some(Self(block * PER_LUN + within))
    }

    /// Its LUN, and its sensor number on that LUN.
    #[must_use]
    pub fn lun_and_number(self) -> (Lun, u8) {
        let block = usize::from(self.0 / PER_LUN);
        let lun = LUNS.get(block).copied().and_then(Lun::new);
        let number = u8::try_from(self.0 % PER_LUN + 1).unwrap_or(u8::MAX);
        (lun.unwrap_or(Lun::BMC), number)
    }

    /// The index itself.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }
}

/// Number and name of one sensor, and what its record is made of.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Listing {
    /// Its number.
    pub index: SensorIndex,
    /// Its name, unique among sensors.
    pub name: String,
    /// Its range and initial limits.
    #[serde(default)]
    pub(super) basis: Basis,
}

/// All listings by path.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Directory(BTreeMap<String, Listing>);

/// Where parts are that are sensors too.
const INVENTORY: &str = "/xyz/openbmc_project/inventory/";
/// The objects of a chassis' power, and what people call it.
const CHASSIS: &str = "/xyz/openbmc_project/state/chassis";
const POWER_UNIT: &str = "Power Unit";

impl Directory {
    /// Whether `path` has a number.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The listing of `path`, which is added if it is new. When all numbers are taken, one of a sensor
    /// that is not among `present` is taken over; `None` if all are present.
    pub fn list(&mut self, path: &str, present: impl Fn(&str) -> bool) -> Option<Listing> {
        if let Some(listing) = self.0.get(path) {
            return Some(listing.clone());
        }
        let taken: BTreeSet<u16> = self.0.values().map(|listing| listing.index.0).collect();
        let is_free = |index: &u16| !taken.contains(index);
        // Objects outside the sensor root take the last numbers of the first LUN, so that they do not shift the numbers
        // of sensors.
        let free = if path.starts_with(CHASSIS) || path.starts_with(INVENTORY) {
            (0..PER_LUN).rev().chain(PER_LUN..CAPACITY).find(is_free)
        } else {
            (0..CAPACITY).find(is_free)
        };
        let index = match free {
            Some(index) => SensorIndex(index),
            None => self.take_over(path, present)?,
        };
        let name = self.unique_name(path);
        let listing = Listing { index, name, basis: Basis::default() };
        self.0.insert(path.to_owned(), listing.clone());
        Some(listing)
    }

    /// Saves what the record of the sensor at `path` is made of.
    pub(super) fn set_basis(&mut self, path: &str, basis: Basis) {
        if let Some(listing) = self.0.get_mut(path) {
            listing.basis = basis;
        }
    }

    fn take_over(&mut self, path: &str, present: impl Fn(&str) -> bool) -> Option<SensorIndex> {
        let gone = self.0.keys().find(|path| !present(path))?.clone();
        warn!(path, gone, "no sensor number is left; the number of an absent sensor is reused");
        self.0.remove(&gone).map(|listing| listing.index)
    }

    fn unique_name(&self, path: &str) -> String {
        let used: BTreeSet<&str> = self.0.values().map(|listing| listing.name.as_str()).collect();
        let is_used = |name: &str| used.contains(name) || names::RESERVED.contains(&name);
        names::unique(&plain_name(path), kind_name(path), is_used)
    }
}

/// What people call the sensor at `path`: the last part of the path with spaces for underscores. That of a part of the
/// inventory is the part's status, because the part itself has that name.
fn plain_name(path: &str) -> String {
    if path.starts_with(CHASSIS) {
        return POWER_UNIT.to_owned();
    }
    let name = path.rsplit('/').next().unwrap_or_default().replace('_', " ");
    if path.starts_with(INVENTORY) { format!("{name} Status") } else { name }
}

/// What is added to the name of a sensor when another sensor has that name.
fn kind_name(path: &str) -> &'static str {
    match segment(path) {
        "temperature" => "Temp",
        "voltage" => "Volt",
        "current" => "Curr",
        "power" => "Power",
        "energy" => "Energy",
        "fan_tach" => "RPM",
        "fan_pwm" => "PWM",
        "humidity" => "Hum",
        "pressure" => "Pres",
        "airflow" => "Flow",
        "altitude" => "Alt",
        "utilization" => "Util",
        "intrusion" => "State",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_over_the_luns_that_have_sensors() {
        for index in 0..CAPACITY {
            let (lun, number) = SensorIndex(index).lun_and_number();
            assert_eq!(SensorIndex::of(lun, number), Some(SensorIndex(index)));
        }
        assert_eq!(SensorIndex(253).lun_and_number(), (Lun::new(1).unwrap(), 1));
        assert_eq!(SensorIndex::of(Lun::BMC, 0), None);
        assert_eq!(SensorIndex::of(Lun::BMC, 0xff), None);
        assert_eq!(SensorIndex::of(Lun::SMS, 1), None);
    }

    #[test]
    fn number_and_name_stay_with_the_path() {
        let mut directory = Directory::default();
        let fan = directory.list("/s/fan_tach/Fan_1", |_| true).unwrap();
        let other = directory.list("/s/fan_pwm/Fan_1", |_| true).unwrap();
        assert_eq!((fan.name.as_str(), other.name.as_str()), ("Fan 1", "Fan 1#2"));
        assert_eq!(directory.list("/s/fan_tach/Fan_1", |_| true), Some(fan));
        assert_eq!(other.index, SensorIndex(1));
    }

    #[test]
    fn names_are_unique_and_none_is_that_of_a_part() {
        let root = "/xyz/openbmc_project";
        let mut directory = Directory::default();
        let cases = [
            ("sensors/fan_pwm/Fan_1", "Fan 1"),
            ("sensors/fan_tach/Fan_1", "Fan 1 RPM"),
            ("sensors/fan_tach2/Fan_1", "Fan 1#2"),
            ("sensors/temperature/BMC", "BMC Temp"),
            ("inventory/system/PSU0", "PSU0 Status"),
            ("inventory/system/PowerSupply0", "PowerSup0 Status"),
            ("inventory/other/PSU0", "PSU0 Status#2"),
            ("sensors/power/CPU0_VCCIN_Voltage_Regulator_Power", "CPU0VCCINVlRgPwr"),
            ("sensors/voltage/CPU0_VCCIN_Voltage_Regulator", "CPU0VCCINVoltReg"),
            ("state/chassis0", "Power Unit"),
        ];
        for (path, name) in cases {
            let listing = directory.list(&format!("{root}/{path}"), |_| true).unwrap();
            assert_eq!(listing.name, name, "{path}");
        }
    }

    #[test]
    fn numbers_of_absent_sensors_are_taken_over_when_none_is_left() {
        let mut directory = Directory::default();
        for n in 0..CAPACITY {
            assert!(directory.list(&format!("/s/t/{n:03}"), |_| true).is_some());
        }
        assert_eq!(directory.list("/s/t/new", |_| true), None);
        let gone = directory.list("/s/t/007", |_| true).unwrap();
        let new = directory.list("/s/t/new", |path| path != "/s/t/007").unwrap();
        assert_eq!(new.index, gone.index);
    }
}
