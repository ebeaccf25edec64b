//! A FRU image built from the inventory's properties of a part.

use std::collections::BTreeMap;

use ipmi_proto::Field;
use ipmi_proto::fru::{Board, Chassis, FruImage, MfgDate, MultiRecord, Product};
use ipmi_proto::sdr::{Entity, entity};
use openbmc_dbus::client::Properties;
use openbmc_dbus::common::uuid;
use openbmc_dbus::interface::{Property, PropertyValue};
use openbmc_dbus::inventory::decorator::{asset, asset_tag, i2c_device, ipmi, revision};
use openbmc_dbus::inventory::{
    bmc, board, chassis, cpu, dimm, fan, item, motherboard, power_supply, system,
};
use tracing::debug;
use zbus::wire::OwnedVariant;

use super::super::bmc::parse_uuid;
use super::{Slot, last_name};
use crate::model::fru::FruDevice;

/// SMBIOS chassis type "rack mount", where the inventory does not say.
const RACK_MOUNT: u8 = 0x17;
/// Language code for English.
const ENGLISH: u8 = 0;
/// The multirecord type for management access, and its subtypes (FRU v1.3 §18.4).
const MANAGEMENT_ACCESS: u8 = 0x03;
const SYSTEM_NAME: u8 = 0x02;
const SYSTEM_UNIQUE_ID: u8 = 0x07;

/// A part of the inventory that has asset data.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: String,
    /// Its device, if it has one on an I2C bus.
    pub(super) slot: Option<Slot>,
    entity: Entity,
    name: String,
    manufacturer: String,
    model: String,
    part_number: String,
    serial: String,
    version: String,
    asset_tag: String,
    built: MfgDate,
    /// The system's unique id, as text.
    uuid: String,
    /// Whether it is the board that carries the processors.
    is_main_board: bool,
}

impl Part {
    /// Reads an object; `None` when it has no asset data or is not present.
    pub(super) fn read(
        path: &str,
        interfaces: BTreeMap<String, BTreeMap<String, OwnedVariant>>,
    ) -> Option<Self> {
        let bags = ObjectInterfaces(
            interfaces
                .into_iter()
                .map(|(name, properties_of)| (name, Properties::from(properties_of)))
                .collect(),
        );
        if !bags.has(asset::NAME) || bags.get(item::PRESENT) == Some(false) {
            return None;
        }
        let text = |property| bags.get(property).unwrap_or_default();
        let slot = match (bags.get(i2c_device::BUS), bags.get(i2c_device::ADDRESS)) {
            (Some(bus), Some(address)) => {
                Some((u32::try_from(bus).ok()?, u32::try_from(address).ok()?))
            }
            _ => None,
        };
        let pretty = text(item::PRETTY_NAME);
        Some(Self {
            path: path.to_owned(),
            slot,
            entity: bags.entity(),
            name: if pretty.is_empty() { last_name(path) } else { pretty },
            manufacturer: text(asset::MANUFACTURER),
            model: text(asset::MODEL),
            part_number: text(asset::PART_NUMBER),
            serial: text(asset::SERIAL_NUMBER),
            version: text(revision::VERSION),
            asset_tag: text(asset_tag::ASSET_TAG),
            built: built(&text(asset::BUILD_DATE)).unwrap_or(MfgDate::UNSPECIFIED),
            uuid: text(uuid::UUID),
            is_main_board: bags.has(motherboard::NAME),
        })
    }

    /// The first of `parts` that is the main board.
    pub(super) fn main_board(parts: &[Self]) -> Option<Board> {
        let found = parts.iter().find(|part| part.is_main_board)?;
        Some(found.board())
    }

    /// The device with an image of this; `None` when an image cannot hold it. A whole system shows
    /// `main_board`, where that is known, for its board.
    pub(super) fn into_device(self, main_board: Option<&Board>) -> Option<FruDevice> {
        let image = self
            .image(main_board)
            .to_bytes()
            .inspect_err(|error| debug!(%error, path = self.path, "a FRU image cannot hold this part; it is left out"))
            .ok()?;
        Some(FruDevice {
            path: self.path,
            name: self.name,
            entity: self.entity,
            image,
            writable: false,
        })
    }

    fn image(&self, main_board: Option<&Board>) -> FruImage {
        let product = Some(self.product());
        match self.entity.id {
            entity::CHASSIS => FruImage {
                chassis: Some(self.chassis()),
                board: main_board.cloned().or_else(|| Some(self.board())),
                product,
                multirecords: self.management_access(),
                ..FruImage::default()
            },
            // Sold alone, as one piece.
            entity::POWER_SUPPLY => FruImage { product, ..FruImage::default() },
            _ => FruImage { board: Some(self.board()), product, ..FruImage::default() },
        }
    }

    /// Management access records (FRU v1.3 §18.4): the system's name and unique id.
    fn management_access(&self) -> Vec<MultiRecord> {
        let named = !self.name.is_empty();
        let name = named.then(|| (SYSTEM_NAME, self.name.as_bytes().to_vec()));
        let id = parse_uuid(&self.uuid).map(|id| (SYSTEM_UNIQUE_ID, id.to_vec()));
        let records = name.into_iter().chain(id);
        records
            .map(|(what, value)| MultiRecord {
                kind: MANAGEMENT_ACCESS,
                data: [&[what][..], &value].concat(),
            })
            .collect()
    }

    fn chassis(&self) -> Chassis {
        Chassis {
            kind: RACK_MOUNT,
            part_number: field(&self.part_number),
            serial: field(&self.serial),
            custom: Vec::new(),
        }
    }

    fn board(&self) -> Board {
        Board {
            language: ENGLISH,
            manufactured: self.built,
            manufacturer: field(&self.manufacturer),
            product: field(self.product_name()),
            serial: field(&self.serial),
            part_number: field(&self.part_number),
            file_id: Field::empty(),
            custom: Vec::new(),
        }
    }

    fn product(&self) -> Product {
        Product {
            language: ENGLISH,
            manufacturer: field(&self.manufacturer),
            name: field(self.product_name()),
            part_number: field(&self.part_number),
            version: field(&self.version),
            serial: field(&self.serial),
            asset_tag: field(&self.asset_tag),
            file_id: Field::empty(),
            custom: Vec::new(),
        }
    }

    fn product_name(&self) -> &str {
        if self.model.is_empty() { &self.name } else { &self.model }
    }
}

fn field(text: &str) -> Field {
    if text.is_empty() { Field::empty() } else { Field::text(text) }
}

/// The interfaces of an object.
struct ObjectInterfaces(BTreeMap<String, Properties>);

impl ObjectInterfaces {
    fn has(&self, interface: &str) -> bool {
        self.0.contains_key(interface)
    }

    fn get<T: PropertyValue>(&self, property: Property<T>) -> Option<T> {
        self.0.get(property.interface)?.get(property).ok()
    }

    /// The entity of the decorator, or else of the kind of item.
    fn entity(&self) -> Entity {
        let small = |value: u64| u8::try_from(value).ok();
        if let Some(id) = self.get(ipmi::ENTITY_ID).and_then(small) {
            let instance = self.get(ipmi::ENTITY_INSTANCE).and_then(small).unwrap_or(1);
            return Entity { id, instance };
        }
        let kinds = [
            (system::NAME, entity::CHASSIS),
            (chassis::NAME, entity::CHASSIS),
            (cpu::NAME, entity::PROCESSOR),
            (dimm::NAME, entity::MEMORY_MODULE),
            (fan::NAME, entity::COOLING_DEVICE),
            (power_supply::NAME, entity::POWER_SUPPLY),
            (bmc::NAME, entity::MANAGEMENT_MODULE),
            (motherboard::NAME, entity::SYSTEM_BOARD),
            (board::NAME, entity::SYSTEM_BOARD),
        ];
        let id = kinds
            .into_iter()
            .find_map(|(kind, id)| self.has(kind).then_some(id))
            .unwrap_or(entity::SYSTEM_BOARD);
        Entity { id, instance: 1 }
    }
}

/// A build date as the inventory writes it: `2026-01-15` or `2026-01-15 - 12:00:00`, in GMT.
fn built(text: &str) -> Option<MfgDate> {
    let mut numbers = text
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|number| !number.is_empty())
        .map(str::parse::<u64>);
    let (year, month, day) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    let (hour, minute) = (next().min(23), next().min(59));
    if !(1996..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    MfgDate::from_unix(days * 86_400 + hour * 3600 + minute * 60)
}

/// Days from 1970-01-01 to the first of a month, in the Gregorian calendar; from 1970 on.
const fn days_before(year: u64, month: u64) -> u64 {
    // Years that begin in March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap = year / 4 - year / 100 + year / 400;
    // 719,468 days from 0000-03-01 to 1970-01-01.
    year * 365 + leap + (153 * month + 2) / 5 - 719_468
}

#[cfg(test)]
mod tests {
    use zbus::wire::Variant;

    use super::*;

    fn properties_of<const N: usize>(
        values: [(&str, Variant<'static>); N],
    ) -> BTreeMap<String, OwnedVariant> {
        values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.try_into().unwrap()))
            .collect()
    }

    fn board_interfaces() -> BTreeMap<String, BTreeMap<String, OwnedVariant>> {
        BTreeMap::from([
            (
                asset::NAME.to_owned(),
                properties_of([
                    ("Manufacturer", Variant::from("Causeway")),
                    ("Model", Variant::from("Main Board")),
                    ("SerialNumber", Variant::from("S1")),
                    ("BuildDate", Variant::from("2026-01-15 - 12:00:00")),
                ]),
            ),
            (motherboard::NAME.to_owned(), properties_of([])),
            (item::NAME.to_owned(), properties_of([("Present", Variant::from(true))])),
            (
                i2c_device::NAME.to_owned(),
                properties_of([
                    ("Bus", Variant::from(3_u64)),
                    ("Address", Variant::from(0x50_u64)),
                ]),
            ),
        ])
    }

    #[test]
    fn a_board_gets_a_board_and_a_product_area() {
        let part = Part::read("/xyz/openbmc_project/inventory/a/Main_Board", board_interfaces());
        let part = part.unwrap();
        assert_eq!(part.slot, Some((3, 0x50)));
        let device = part.into_device(None).unwrap();
        assert_eq!((device.name.as_str(), device.writable), ("Main Board", false));
        assert_eq!(device.entity, Entity { id: entity::SYSTEM_BOARD, instance: 1 });
        let image = FruImage::parse(&device.image).unwrap();
        let board = image.board.unwrap();
        assert_eq!(board.product.to_text(ENGLISH), "Main Board");
        assert_eq!(board.manufactured.to_unix(), Some(1_768_478_400));
        assert_eq!(image.product.unwrap().manufacturer.to_text(ENGLISH), "Causeway");
        assert_eq!(image.chassis, None);
    }

    #[test]
    fn a_system_has_every_area_and_shows_the_main_board() {
        let board = Part::read("/xyz/openbmc_project/inventory/a/b", board_interfaces()).unwrap();
        let board = Part::main_board(&[board]);
        let id = "8f0f3c5e-6b1d-4d0c-9c36-5a1f4e7b2d10";
        let system = || {
            let asset =
                properties_of([("Model", Variant::from("Box")), ("SerialNumber", "C1".into())]);
            let interfaces = BTreeMap::from([
                (asset::NAME.to_owned(), asset),
                (system::NAME.to_owned(), properties_of([])),
                (uuid::NAME.to_owned(), properties_of([("UUID", Variant::from(id))])),
            ]);
            Part::read("/xyz/openbmc_project/inventory/Box", interfaces).unwrap()
        };
        let image = |board: Option<&Board>| {
            let device = system().into_device(board).unwrap();
            FruImage::parse(&device.image).unwrap()
        };
        let shown = image(board.as_ref());
        assert_eq!(shown.board, board);
        assert_eq!(shown.chassis.unwrap().serial.to_text(ENGLISH), "C1");
        let records: Vec<Vec<u8>> = shown.multirecords.into_iter().map(|of| of.data).collect();
        assert_eq!(records[0], b"\x02Box");
        assert_eq!((records[1][0], &records[1][1..4]), (7, &[0x8f, 0x0f, 0x3c][..]));
        let own = image(None).board.unwrap();
        assert_eq!(own.serial.to_text(ENGLISH), "C1");
        for text in ["", "8f0f3c5e", "8f0f3c5e-6b1d-4d0c-9c36-5a1f4e7b2dxx"] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }

    #[test]
    fn absent_items_and_items_without_asset_data_are_no_parts() {
        let mut absent = board_interfaces();
        absent.insert(item::NAME.to_owned(), properties_of([("Present", Variant::from(false))]));
        assert!(Part::read("/x", absent).is_none());
        let mut bare = board_interfaces();
        bare.remove(asset::NAME);
        assert!(Part::read("/x", bare).is_none());
    }

    #[test]
    fn the_decorator_says_the_entity_before_the_kind() {
        let mut interfaces = board_interfaces();
        let decorator = properties_of([("EntityId", Variant::from(11_u64))]);
        interfaces.insert(ipmi::NAME.to_owned(), decorator);
        let part = Part::read("/x", interfaces).unwrap();
        assert_eq!(part.entity, Entity { id: entity::ADD_IN_CARD, instance: 1 });
    }

    #[test]
    fn dates_are_minutes_of_the_calendar() {
        let unix = |text| built(text).and_then(MfgDate::to_unix);
        assert_eq!(unix("2000-02-29"), Some(951_782_400));
        assert_eq!(unix("2024-03-01 - 00:01:00"), Some(1_709_251_260));
        for text in ["", "soon", "2026", "1990-01-01", "2026-13-01", "2026-01-99"] {
            assert_eq!(unix(text), None, "{text}");
        }
    }
}
