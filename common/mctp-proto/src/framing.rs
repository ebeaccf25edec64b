//! What goes around a packet on each medium. Packets here are header and payload together.

pub mod pcie_vdm;
pub mod serial;
pub mod smbus;
