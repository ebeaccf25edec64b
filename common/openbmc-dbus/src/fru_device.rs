//! `xyz.openbmc_project.FruDevice`: FRU images found on I2C buses, as entity-manager's scanner
//! shows them.

/// The scanner.
pub const SERVICE: &str = "xyz.openbmc_project.FruDevice";
/// The scanner's object; a device is `PATH/NAME`.
pub const PATH: &str = "/xyz/openbmc_project/FruDevice";

/// `xyz.openbmc_project.FruDevice`: one device. Besides these it has the fields of its image, such
/// as `PRODUCT_PRODUCT_NAME`.
pub mod device {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.FruDevice";
        properties {
            /// The bus it is on.
            Read BUS: u32 = "BUS";
            /// Its 7-bit address on that bus.
            Read ADDRESS: u32 = "ADDRESS";
            /// The common header's version, as text.
            Read COMMON_FORMAT_VERSION: String = "Common_Format_Version";
            /// The chassis' kind.
            Read CHASSIS_TYPE: String = "CHASSIS_TYPE";
            /// The chassis' part number.
            Read CHASSIS_PART_NUMBER: String = "CHASSIS_PART_NUMBER";
            /// The chassis' serial number.
            Read CHASSIS_SERIAL_NUMBER: String = "CHASSIS_SERIAL_NUMBER";
            /// Who made the board.
            Read BOARD_MANUFACTURER: String = "BOARD_MANUFACTURER";
            /// What the board is called.
            Read BOARD_PRODUCT_NAME: String = "BOARD_PRODUCT_NAME";
            /// The board's serial number.
            Read BOARD_SERIAL_NUMBER: String = "BOARD_SERIAL_NUMBER";
            /// The board's part number.
            Read BOARD_PART_NUMBER: String = "BOARD_PART_NUMBER";
            /// Who made the product.
            Read PRODUCT_MANUFACTURER: String = "PRODUCT_MANUFACTURER";
            /// What the product is called.
            Read PRODUCT_PRODUCT_NAME: String = "PRODUCT_PRODUCT_NAME";
            /// The product's part number.
            Read PRODUCT_PART_NUMBER: String = "PRODUCT_PART_NUMBER";
            /// The product's serial number.
            Read PRODUCT_SERIAL_NUMBER: String = "PRODUCT_SERIAL_NUMBER";
            /// The asset tag.
            Read PRODUCT_ASSET_TAG: String = "PRODUCT_ASSET_TAG";
        }
    }
}

/// `xyz.openbmc_project.FruDeviceManager`, on [`PATH`].
pub mod manager {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.FruDeviceManager";
        methods {
            /// Looks for devices again.
            RE_SCAN = "ReScan" ("") -> ("");
            /// The image at a bus and a 7-bit address.
            GET_RAW_FRU = "GetRawFru" ("qy") -> ("ay");
            /// Replaces the image at a bus and a 7-bit address.
            WRITE_FRU = "WriteFru" ("qyay") -> ("");
        }
    }
}
