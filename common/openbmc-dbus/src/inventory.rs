//! `xyz.openbmc_project.Inventory`: the parts the system is made of.

pub mod decorator;

/// What all parts are under.
pub const ROOT: &str = "/xyz/openbmc_project/inventory";
/// The service that has the inventory where there is no entity manager.
pub const SERVICE: &str = "xyz.openbmc_project.Inventory.Manager";

/// `xyz.openbmc_project.Inventory.Item`.
pub mod item {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Inventory.Item";
        properties {
            /// The part's name for people.
            ReadWrite PRETTY_NAME: String = "PrettyName";
            /// Whether the part is present.
            ReadWrite PRESENT: bool = "Present";
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $module:ident = $name:literal;)+) => {$(
        $(#[$doc])*
        #[doc = concat!("\n\n`", $name, "`: says of a part what kind it is, and has no members.")]
        pub mod $module {
            use crate::interface::interface;

            interface! { $name }
        }
    )+};
}

kinds! {
    /// The whole system.
    system = "xyz.openbmc_project.Inventory.Item.System";
    /// A board.
    board = "xyz.openbmc_project.Inventory.Item.Board";
    /// A board with processors.
    motherboard = "xyz.openbmc_project.Inventory.Item.Board.Motherboard";
    /// The management controller.
    bmc = "xyz.openbmc_project.Inventory.Item.Bmc";
    /// A processor.
    cpu = "xyz.openbmc_project.Inventory.Item.Cpu";
    /// A memory module.
    dimm = "xyz.openbmc_project.Inventory.Item.Dimm";
    /// A fan.
    fan = "xyz.openbmc_project.Inventory.Item.Fan";
    /// A power supply.
    power_supply = "xyz.openbmc_project.Inventory.Item.PowerSupply";
}

/// `xyz.openbmc_project.Inventory.Item.Chassis`.
pub mod chassis {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Inventory.Item.Chassis";
        properties {
            /// The kind of chassis, as a fully qualified name.
            ReadWrite TYPE: String = "Type";
        }
    }
}
