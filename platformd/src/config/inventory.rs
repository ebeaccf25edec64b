//! `[[inventory]]` and `[[fru]]`: what the system is made of.

use serde::Deserialize;

use super::MOST;

/// One of `[[inventory]]`: a part, or a row of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Part {
    /// Its path below the inventory; `{n}` stands for the number in a row.
    pub(crate) path: String,
    /// How many there are of it.
    #[serde(default = "one", deserialize_with = "daemon::range::number::<0, MOST, _, _>")]
    pub(crate) count: u32,
    pub(crate) kind: PartKind,
    /// Its name for people; by default the last name of its path.
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) manufacturer: String,
    #[serde(default)]
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) part_number: String,
    /// Its serial number; `{n}` stands for the number in a row.
    #[serde(default)]
    pub(crate) serial_number: String,
    #[serde(default)]
    pub(crate) build_date: String,
    #[serde(default)]
    pub(crate) version: String,
    /// Whether it is there.
    #[serde(default = "yes")]
    pub(crate) present: bool,
    /// The IPMI entity that it is.
    #[serde(default, deserialize_with = "daemon::range::optional::<0, 255, _, _>")]
    pub(crate) entity_id: Option<u8>,
    /// Its instance; each next one in a row is the next.
    #[serde(default, deserialize_with = "daemon::range::optional::<0, 127, _, _>")]
    pub(crate) entity_instance: Option<u8>,
    /// The I2C bus and the 7-bit address of its own memory, which a `[[fru]]` may show.
    pub(crate) i2c: Option<(u16, u8)>,
}

const fn one() -> u32 {
    1
}

const fn yes() -> bool {
    true
}

/// The kind of a part.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PartKind {
    Board,
    Chassis,
    Cpu,
    Dimm,
    Fan,
    Motherboard,
    PowerSupply,
}

/// One of `[[fru]]`: a memory device with a FRU image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Fru {
    /// The last name of its path.
    pub(crate) name: String,
    /// The I2C bus it is on.
    #[serde(deserialize_with = "daemon::range::number::<0, 65535, _, _>")]
    pub(crate) bus: u16,
    /// Its 7-bit address there.
    #[serde(deserialize_with = "daemon::range::number::<1, 127, _, _>")]
    pub(crate) address: u8,
    /// The device's size in bytes.
    #[serde(default = "fru_size", deserialize_with = "daemon::range::number::<8, 65535, _, _>")]
    pub(crate) size: usize,
    pub(crate) chassis: Option<FruChassis>,
    pub(crate) board: Option<FruBoard>,
    pub(crate) product: Option<FruProduct>,
}

const fn fru_size() -> usize {
    512
}

/// The chassis area of an image.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FruChassis {
    /// SMBIOS chassis type.
    #[serde(deserialize_with = "daemon::range::number::<0, 255, _, _>")]
    pub(crate) kind: u8,
    pub(crate) part_number: String,
    pub(crate) serial_number: String,
}

impl Default for FruChassis {
    fn default() -> Self {
        // Rack mount.
        Self { kind: 0x17, part_number: String::new(), serial_number: String::new() }
    }
}

/// The board area of an image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FruBoard {
    /// When it was made, in seconds since the epoch.
    pub(crate) manufactured: u64,
    pub(crate) manufacturer: String,
    pub(crate) product: String,
    pub(crate) serial_number: String,
    pub(crate) part_number: String,
}

/// The product area of an image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FruProduct {
    pub(crate) manufacturer: String,
    pub(crate) name: String,
    pub(crate) part_number: String,
    pub(crate) version: String,
    pub(crate) serial_number: String,
    pub(crate) asset_tag: String,
}
