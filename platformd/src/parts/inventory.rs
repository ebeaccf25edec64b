//! The parts that the system is made of.

use openbmc_dbus::interface::Interface;
use openbmc_dbus::inventory::decorator::{asset, i2c_device, ipmi, revision};
use openbmc_dbus::inventory::{
    self, board, chassis, cpu, dimm, fan, item, motherboard, power_supply,
};

use crate::config::{Part as Described, PartKind};
use crate::part::{Context, Part};
use crate::tree::Instance;

/// The kind that an inventory gives a chassis that stands in a rack.
const RACK_MOUNT: &str = "xyz.openbmc_project.Inventory.Item.Chassis.ChassisType.RackMount";

/// The inventory.
#[derive(Debug)]
pub(crate) struct Inventory {
    parts: Vec<Described>,
}

impl Inventory {
    pub(crate) fn new(parts: &[Described]) -> Self {
        Self { parts: parts.to_vec() }
    }
}

impl Part for Inventory {
    fn start(&mut self, context: &mut Context<'_>) {
        for part in &self.parts {
            for number in 0..part.count {
                let path = numbered(&part.path, number);
                let path = format!("{}/{path}", inventory::ROOT);
                let instances = instances(part, &path, number);
                context.tree.add(inventory::SERVICE, &path, instances);
            }
        }
    }
}

fn numbered(text: &str, number: u32) -> String {
    text.replace("{n}", &number.to_string())
}

fn instances(part: &Described, path: &str, number: u32) -> Vec<Instance> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let name =
        if part.name.is_empty() { last.replace('_', " ") } else { numbered(&part.name, number) };
    let mut instances = vec![
        kind(part.kind),
        Instance::new(&item::INTERFACE)
            .with(item::PRETTY_NAME, name)
            .with(item::PRESENT, part.present),
        Instance::new(&asset::INTERFACE)
            .with(asset::MANUFACTURER, part.manufacturer.clone())
            .with(asset::MODEL, part.model.clone())
            .with(asset::PART_NUMBER, part.part_number.clone())
            .with(asset::SERIAL_NUMBER, numbered(&part.serial_number, number))
            .with(asset::BUILD_DATE, part.build_date.clone()),
        Instance::new(&revision::INTERFACE).with(revision::VERSION, part.version.clone()),
    ];
    if let Some(id) = part.entity_id {
        let first = u64::from(part.entity_instance.unwrap_or(1));
        instances.push(
            Instance::new(&ipmi::INTERFACE)
                .with(ipmi::ENTITY_ID, u64::from(id))
                .with(ipmi::ENTITY_INSTANCE, first + u64::from(number)),
        );
    }
    if let Some((bus, address)) = part.i2c {
        instances.push(
            Instance::new(&i2c_device::INTERFACE)
                .with(i2c_device::BUS, u64::from(bus))
                .with(i2c_device::ADDRESS, u64::from(address)),
        );
    }
    instances
}

fn kind(kind: PartKind) -> Instance {
    let interface: &'static Interface = match kind {
        PartKind::Chassis => {
            return Instance::new(&chassis::INTERFACE).with(chassis::TYPE, RACK_MOUNT.to_owned());
        }
        PartKind::Board => &board::INTERFACE,
        PartKind::Cpu => &cpu::INTERFACE,
        PartKind::Dimm => &dimm::INTERFACE,
        PartKind::Fan => &fan::INTERFACE,
        PartKind::Motherboard => &motherboard::INTERFACE,
        PartKind::PowerSupply => &power_supply::INTERFACE,
    };
    Instance::new(interface)
}
