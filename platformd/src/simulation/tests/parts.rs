//! What the platform is made of.

use ipmi_proto::fru::FruImage;
use openbmc_dbus::fru_device::{PATH, device, manager};
use openbmc_dbus::inventory::decorator::{asset, ipmi};
use openbmc_dbus::inventory::item;

use super::TestPlatform;

const PARTS: &str = "
[[inventory]]
path = \"platform/board/DIMM{n}\"
count = 2
kind = \"dimm\"
manufacturer = \"Causeway\"
serial-number = \"D{n}\"
entity-id = 32

[[fru]]
name = \"Mainboard\"
bus = 3
address = 0x50
size = 256
[fru.board]
manufacturer = \"Causeway\"
product = \"Board\"
serial-number = \"B1\"
[fru.product]
name = \"Server\"
";
const BOARD: &str = "/xyz/openbmc_project/FruDevice/Mainboard";

fn read(platform: &mut TestPlatform) -> Vec<u8> {
    let arguments = [3_u16.into(), 0x50_u8.into()];
    let returned = platform.try_call(PATH, &manager::GET_RAW_FRU, &arguments).unwrap();
    returned[0].clone().downcast().unwrap()
}

#[test]
fn a_row_of_parts_is_numbered() {
    let mut platform = TestPlatform::new(PARTS);
    let dimm = "/xyz/openbmc_project/inventory/platform/board/DIMM1";
    assert_eq!(platform.get(dimm, asset::SERIAL_NUMBER), "D1");
    assert_eq!(platform.get(dimm, item::PRETTY_NAME), "DIMM1");
    assert_eq!(platform.get(dimm, ipmi::ENTITY_INSTANCE), 2);
}

#[test]
fn an_image_is_built_shown_and_replaced() {
    let mut platform = TestPlatform::new(PARTS);
    assert_eq!(platform.get(BOARD, device::BOARD_SERIAL_NUMBER), "B1");
    let bytes = read(&mut platform);
    assert_eq!(bytes.len(), 256);
    let mut image = FruImage::parse(&bytes).unwrap();
    image.product.as_mut().unwrap().asset_tag = ipmi_proto::Field::text("mine");
    let written = image.to_bytes().unwrap();
    let arguments = [3_u16.into(), 0x50_u8.into(), written.clone().into()];
    platform.call(PATH, &manager::WRITE_FRU, &arguments);
    assert_eq!(platform.get(BOARD, device::PRODUCT_ASSET_TAG), "mine");
    let saved = platform.simulation.take_unsaved().unwrap().clone();
    let mut platform = TestPlatform::again(PARTS, saved, false);
    assert_eq!(read(&mut platform)[..written.len()], written);
}

#[test]
fn an_image_that_is_none_is_refused() {
    let mut platform = TestPlatform::new(PARTS);
    for (address, image) in [(0x50_u8, vec![0xff; 8]), (0x50, vec![1; 300]), (0x51, vec![])] {
        let arguments = [3_u16.into(), address.into(), image.into()];
        assert!(platform.try_call(PATH, &manager::WRITE_FRU, &arguments).is_err());
    }
    assert!(platform.try_call(PATH, &manager::GET_RAW_FRU, &[9_u16.into(), 1_u8.into()]).is_err());
}
