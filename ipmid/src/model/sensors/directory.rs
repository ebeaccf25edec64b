//! Number and name of each sensor. They belong to its path, and stay the same across restarts of its service and of
//! ipmid.

use std::collections::{BTreeMap, BTreeSet};

use ipmi_proto::{IdString, Lun};
use serde::{Deserialize, Serialize};

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

/// Number and name of one sensor.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Listing {
    /// Its number.
    pub index: SensorIndex,
    /// Its name, unique among sensors.
    pub name: String,
}

/// All listings by path.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Directory(BTreeMap<String, Listing>);

/// What names are shortened by before they are cut, as OpenBMC does for some of them.
const SHORTER: [(&str, &str); 8] = [
    ("Temperature", "Temp"),
    ("temperature", "temp"),
    ("Voltage", "Volt"),
    ("voltage", "volt"),
    ("Current", "Curr"),
    ("current", "curr"),
    ("Output", "Out"),
    ("Input", "In"),
];

/// Where parts are that are sensors too.
const INVENTORY: &str = "/xyz/openbmc_project/inventory/";
/// The objects of a chassis' power, and what people call it.
const CHASSIS: &str = "/xyz/openbmc_project/state/chassis";
const POWER_UNIT: &str = "Power Unit";

impl Directory {
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
            None => self.take_over(present)?,
        };
        let name = self.unique_name(path);
        let listing = Listing { index, name };
        self.0.insert(path.to_owned(), listing.clone());
        Some(listing)
    }

    fn take_over(&mut self, present: impl Fn(&str) -> bool) -> Option<SensorIndex> {
        let path = self.0.keys().find(|path| !present(path))?.clone();
        self.0.remove(&path).map(|listing| listing.index)
    }

    fn unique_name(&self, path: &str) -> String {
        let plain = plain_name(path);
        let used: BTreeSet<&str> = self.0.values().map(|listing| listing.name.as_str()).collect();
        if !used.contains(plain.as_str()) {
            return plain;
        }
        let numbered = |number: usize| {
            let suffix = format!("#{number}");
            let length = IdString::MAX - suffix.len();
            plain.chars().take(length).collect::<String>() + &suffix
        };
        let mut number = 2;
        while used.contains(numbered(number).as_str()) {
            number += 1;
        }
        numbered(number)
    }
}

/// The last part of a path, with spaces for underscores, within what a record's name holds: known words
/// are shortened first, then spaces left out, and what is still too long is cut.
#[must_use]
fn plain_name(path: &str) -> String {
    let is_long = |name: &str| name.chars().count() > IdString::MAX;
    if path.starts_with(CHASSIS) {
        return POWER_UNIT.to_owned();
    }
    let mut name = path.rsplit('/').next().unwrap_or_default().replace('_', " ");
    for (long, short) in SHORTER {
        if is_long(&name) {
            name = name.replace(long, short);
        }
    }
    while is_long(&name)
        && let Some(space) = name.find(' ')
    {
        name.remove(space);
    }
    name.chars().take(IdString::MAX).collect()
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
    fn long_names_are_shortened_then_cut_and_still_unique() {
        assert_eq!(plain_name("/s/t/CPU1_Core_Temperature"), "CPU1 Core Temp");
        assert_eq!(plain_name("/s/i/Chassis_Intrusion"), "ChassisIntrusion");
        assert_eq!(plain_name("/s/t/A_Long_Name_of_17"), "ALong Name of 17");
        assert_eq!(plain_name("/s/t/abcdefghijklmnopqrst"), "abcdefghijklmnop");
        let mut directory = Directory::default();
        for n in 0..12 {
            let path = format!("/s/t/abcdefghijklmnopqrst{n}");
            let name = directory.list(&path, |_| true).unwrap().name;
            assert!(name.len() <= 16, "{name}");
        }
        let names: BTreeSet<&str> = directory.0.values().map(|l| l.name.as_str()).collect();
        assert_eq!(names.len(), 12);
        assert!(names.contains("abcdefghijklm#12"));
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
