//! FRU images: those that OpenBMC's scanner read from devices, and those built from the inventory.

mod inventory;

use std::collections::BTreeSet;

use ipmi_proto::sdr::{Entity, entity};
use openbmc_dbus::client::{CallError, Client, ManagedObjects, Member, ObjectAt, Properties};
use openbmc_dbus::fru_device::{self, device, manager};
use openbmc_dbus::inventory::decorator::asset;
use openbmc_dbus::inventory::{self as parts};
use tracing::debug;

use self::inventory::Part;
use super::{Connected, DbusPlatform, locate};
use crate::model::fru::FruDevice;
use crate::platform::{Frus, PlatformResult};

/// I2C bus and 7-bit address of a device.
type Slot = (u32, u32);

impl Frus for DbusPlatform {
    async fn frus(&self) -> PlatformResult<Vec<FruDevice>> {
        let connected = self.connected()?;
        let (slots, mut devices) = scanned(&connected.client).await?;
        let described = described(&connected.client).await?;
        let board = Part::main_board(&described);
        let others = described
            .into_iter()
            .filter(|part| part.slot.is_none_or(|slot| !slots.contains(&slot)));
        devices.extend(others.filter_map(|part| part.into_device(board.as_ref())));
        // The system is to be FRU device 0, whose id is the first that is given out.
        devices.sort_by_key(|device| (rank(device.entity), device.path.clone()));
        Ok(devices)
    }

    async fn write_fru(&self, path: &str, image: &[u8]) -> PlatformResult<()> {
        let connected = self.connected()?;
        let owners = connected.client.object_owners(path, &[device::NAME]).await?;
        let service = owners.into_keys().next();
        let service =
            service.ok_or_else(|| CallError::no_object(path, Member::GetAll(device::NAME)))?;
        Ok(write(&connected, &ObjectAt::new(service, path), image).await?)
    }
}

async fn write(connected: &Connected, object: &ObjectAt, image: &[u8]) -> Result<(), CallError> {
    let (bus, address) = connected.client.read(object, device::NAME, slot).await?;
    let scanner = ObjectAt::new(object.service.as_str(), fru_device::PATH);
    let (bus, address) = device_address(bus, address);
    connected.client.call(&scanner, manager::WRITE_FRU, &(bus, address, image)).await
}

fn slot(properties: &Properties) -> Result<Slot, CallError> {
    Ok((properties.get(device::BUS)?, properties.get(device::ADDRESS)?))
}

/// Bus and address in the types of the scanner's methods; a value that does not fit names no device.
fn device_address(bus: u32, address: u32) -> (u16, u8) {
    (u16::try_from(bus).unwrap_or(u16::MAX), u8::try_from(address).unwrap_or(u8::MAX))
}

/// The devices that the scanner found. A device that cannot be read now is left out.
async fn scanned(client: &Client) -> PlatformResult<(BTreeSet<Slot>, Vec<FruDevice>)> {
    let mut slots = BTreeSet::new();
    let mut devices = Vec::new();
    for object in locate::subtree(client, "/", device::NAME).await? {
        match read(client, &object).await {
            Ok((slot, found)) => {
                slots.insert(slot);
                devices.push(found);
            }
            Err(error) => {
                debug!(%error, path = object.path, "cannot read a FRU device; it is left out")
            }
        }
    }
    Ok((slots, devices))
}

async fn read(client: &Client, object: &ObjectAt) -> Result<(Slot, FruDevice), CallError> {
    let read = |properties: &Properties| {
        let board = properties.get(device::BOARD_PRODUCT_NAME).unwrap_or_default();
        let product = properties.get(device::PRODUCT_PRODUCT_NAME).unwrap_or_default();
        Ok((slot(properties)?, [board, product].into_iter().find(|name| !name.is_empty())))
    };
    let (slot, name) = client.read(object, device::NAME, read).await?;
    let scanner = ObjectAt::new(object.service.as_str(), fru_device::PATH);
    let image: Vec<u8> =
        client.call(&scanner, manager::GET_RAW_FRU, &device_address(slot.0, slot.1)).await?;
    let device = FruDevice {
        path: object.path.clone(),
        name: name.unwrap_or_else(|| last_name(&object.path)),
        entity: Entity { id: entity::SYSTEM_BOARD, instance: 1 },
        image,
        writable: true,
    };
    Ok((slot, device))
}

/// The parts that the inventory describes.
async fn described(client: &Client) -> PlatformResult<Vec<Part>> {
    let objects = locate::subtree(client, parts::ROOT, asset::NAME).await?;
    let services: BTreeSet<String> = objects.into_iter().map(|object| object.service).collect();
    let mut found = Vec::new();
    for service in services {
        for (path, interfaces) in managed(client, &service).await {
            if path.starts_with(parts::ROOT) {
                found.extend(Part::read(&path, interfaces));
            }
        }
    }
    Ok(found)
}

/// All objects of an inventory service; its object manager is at the inventory or at the root.
async fn managed(client: &Client, service: &str) -> ManagedObjects {
    for root in [parts::ROOT, "/"] {
        match client.managed_objects(&ObjectAt::new(service, root)).await {
            Ok(objects) if !objects.is_empty() => return objects,
            Ok(_) => {}
            Err(error) => {
                debug!(%error, service, "cannot list the inventory objects of a service; they are left out")
            }
        }
    }
    ManagedObjects::new()
}

/// The order of devices: the system, then its boards, then the rest.
const fn rank(entity: Entity) -> u8 {
    match entity.id {
        entity::CHASSIS => 0,
        entity::SYSTEM_BOARD => 1,
        _ => 2,
    }
}

/// The last name of a path, for display.
fn last_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().replace('_', " ")
}
