//! `xyz.openbmc_project.Inventory.Decorator`: properties of a component.

/// `xyz.openbmc_project.Inventory.Decorator.Asset`.
pub mod asset {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Inventory.Decorator.Asset";
        properties {
            /// The part number.
            ReadWrite PART_NUMBER: String = "PartNumber";
            /// The number of this one.
            ReadWrite SERIAL_NUMBER: String = "SerialNumber";
            /// The manufacturer.
            ReadWrite MANUFACTURER: String = "Manufacturer";
            /// The date of manufacture.
            ReadWrite BUILD_DATE: String = "BuildDate";
            /// The model name.
            ReadWrite MODEL: String = "Model";
            /// The name of this variant.
            ReadWrite SUB_MODEL: String = "SubModel";
            /// The number to order another by.
            ReadWrite SPARE_PART_NUMBER: String = "SparePartNumber";
        }
    }
}

/// `xyz.openbmc_project.Inventory.Decorator.AssetTag`.
pub mod asset_tag {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Inventory.Decorator.AssetTag";
        properties {
            /// The asset tag.
            ReadWrite ASSET_TAG: String = "AssetTag";
        }
    }
}

/// `xyz.openbmc_project.Inventory.Decorator.Revision`.
pub mod revision {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Inventory.Decorator.Revision";
        properties {
            /// The part's revision.
            ReadWrite VERSION: String = "Version";
        }
    }
}

/// `xyz.openbmc_project.Inventory.Decorator.I2CDevice`.
pub mod i2c_device {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Inventory.Decorator.I2CDevice";
        properties {
            /// The number of the bus that it is on.
            ReadWrite BUS: u64 = "Bus";
            /// Its 7-bit address on that bus.
            ReadWrite ADDRESS: u64 = "Address";
        }
    }
}

/// `xyz.openbmc_project.Inventory.Decorator.Ipmi`.
pub mod ipmi {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Inventory.Decorator.Ipmi";
        properties {
            /// The IPMI entity id.
            ReadWrite ENTITY_ID: u64 = "EntityId";
            /// The IPMI entity instance.
            ReadWrite ENTITY_INSTANCE: u64 = "EntityInstance";
        }
    }
}
