//! FRU images in memory devices, as OpenBMC's scanner shows them.

use std::collections::BTreeMap;

use ipmi_proto::Field;
use ipmi_proto::fru::{Board, Chassis, FruImage, MfgDate, Product};
use openbmc_dbus::fru_device::{self, device, manager};
use zbus::wire::Variant;

use crate::config::{Fru, FruBoard, FruChassis, FruProduct};
use crate::fault::Fault;
use crate::part::{Context, Invocation, Part, Returned};
use crate::tree::Instance;

/// Language code for English.
const ENGLISH: u8 = 0;
/// The name under which a written image outlives the process.
const KEPT: &str = "image";

/// The devices, by bus and address.
#[derive(Debug)]
pub(crate) struct Frus {
    config: Vec<Fru>,
    devices: BTreeMap<(u16, u8), Device>,
}

#[derive(Debug)]
struct Device {
    path: String,
    image: Vec<u8>,
}

impl Frus {
    pub(crate) fn new(config: &[Fru]) -> Self {
        Self { config: config.to_vec(), devices: BTreeMap::new() }
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        slot: (u16, u8),
        written: &[u8],
    ) -> Result<(), Fault> {
        let device = self.devices.get_mut(&slot).ok_or_else(|| no_device(slot))?;
        if written.len() > device.image.len() {
            return Err(Fault::invalid("the image is larger than the device"));
        }
        FruImage::parse(written).map_err(|error| Fault::invalid(error.to_string()))?;
        for (byte, written) in device.image.iter_mut().zip(written) {
            *byte = *written;
        }
        let kept = Variant::from(device.image.clone());
        context.tree.keep(&device.path, KEPT, kept);
        show(context, slot, device);
        Ok(())
    }
}

fn no_device((bus, address): (u16, u8)) -> Fault {
    Fault::invalid(format!("no device at {address:#04x} of bus {bus}"))
}

impl Part for Frus {
    fn start(&mut self, context: &mut Context<'_>) {
        if self.config.is_empty() {
            return;
        }
        let scanner = Instance::new(&manager::INTERFACE);
        context.tree.add(fru_device::SERVICE, fru_device::PATH, [scanner]);
        for fru in std::mem::take(&mut self.config) {
            let path = format!("{}/{}", fru_device::PATH, fru.name);
            let kept = context.tree.recall(&path, KEPT);
            let image = kept.and_then(|image| image.downcast().ok());
            let image = image.unwrap_or_else(|| built(&fru));
            let device = Device { path, image };
            show(context, (fru.bus, fru.address), &device);
            self.devices.insert((fru.bus, fru.address), device);
        }
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        match (*call.method, call.arguments) {
            (manager::RE_SCAN, _) => Some(Ok(Vec::new())),
            (manager::GET_RAW_FRU, [Variant::U16(bus), Variant::U8(address)]) => {
                let slot = (*bus, *address);
                let device = self.devices.get(&slot).ok_or_else(|| no_device(slot));
                Some(device.map(|device| vec![Variant::from(device.image.clone())]))
            }
            (manager::WRITE_FRU, [Variant::U16(bus), Variant::U8(address), image]) => {
                let image = image.clone().downcast::<Vec<u8>>().unwrap_or_default();
                let written = self.write(context, (*bus, *address), &image);
                Some(written.map(|()| Vec::new()))
            }
            _ => None,
        }
    }
}

/// Shows a device with the fields of its image.
fn show(context: &mut Context<'_>, (bus, address): (u16, u8), of: &Device) {
    let image = FruImage::parse(&of.image).unwrap_or_default();
    let text = |field: &Field| field.to_text(ENGLISH);
    let mut instance = Instance::new(&device::INTERFACE)
        .with(device::BUS, u32::from(bus))
        .with(device::ADDRESS, u32::from(address))
        .with(device::COMMON_FORMAT_VERSION, "1".to_owned());
    if let Some(chassis) = &image.chassis {
        instance = instance
            .with(device::CHASSIS_TYPE, chassis.kind.to_string())
            .with(device::CHASSIS_PART_NUMBER, text(&chassis.part_number))
            .with(device::CHASSIS_SERIAL_NUMBER, text(&chassis.serial));
    }
    if let Some(board) = &image.board {
        instance = instance
            .with(device::BOARD_MANUFACTURER, text(&board.manufacturer))
            .with(device::BOARD_PRODUCT_NAME, text(&board.product))
            .with(device::BOARD_SERIAL_NUMBER, text(&board.serial))
            .with(device::BOARD_PART_NUMBER, text(&board.part_number));
    }
    if let Some(product) = &image.product {
        instance = instance
            .with(device::PRODUCT_MANUFACTURER, text(&product.manufacturer))
            .with(device::PRODUCT_PRODUCT_NAME, text(&product.name))
            .with(device::PRODUCT_PART_NUMBER, text(&product.part_number))
            .with(device::PRODUCT_SERIAL_NUMBER, text(&product.serial))
            .with(device::PRODUCT_ASSET_TAG, text(&product.asset_tag));
    }
    context.tree.add(fru_device::SERVICE, &of.path, [instance]);
}

/// The image that a file describes, in a device of its size.
fn built(fru: &Fru) -> Vec<u8> {
    let mut bytes = image(fru);
    bytes.resize(fru.size.max(bytes.len()), 0);
    bytes
}

/// The image that a file describes.
pub(crate) fn image(fru: &Fru) -> Vec<u8> {
    let image = FruImage {
        chassis: fru.chassis.as_ref().map(chassis),
        board: fru.board.as_ref().map(board),
        product: fru.product.as_ref().map(product),
        ..FruImage::default()
    };
    // Fields are cut at what they hold, so that areas always fit.
    image.to_bytes().unwrap_or_default()
}

fn field(text: &str) -> Field {
    if text.is_empty() { Field::empty() } else { Field::text(text) }
}

fn chassis(of: &FruChassis) -> Chassis {
    Chassis {
        kind: of.kind,
        part_number: field(&of.part_number),
        serial: field(&of.serial_number),
        custom: Vec::new(),
    }
}

fn board(of: &FruBoard) -> Board {
    Board {
        language: ENGLISH,
        manufactured: MfgDate::from_unix(of.manufactured).unwrap_or(MfgDate::UNSPECIFIED),
        manufacturer: field(&of.manufacturer),
        product: field(&of.product),
        serial: field(&of.serial_number),
        part_number: field(&of.part_number),
        file_id: Field::empty(),
        custom: Vec::new(),
    }
}

fn product(of: &FruProduct) -> Product {
    Product {
        language: ENGLISH,
        manufacturer: field(&of.manufacturer),
        name: field(&of.name),
        part_number: field(&of.part_number),
        version: field(&of.version),
        serial: field(&of.serial_number),
        asset_tag: field(&of.asset_tag),
        file_id: Field::empty(),
        custom: Vec::new(),
    }
}
