//! Inventory of field-replaceable units: `Inventory.Item` with its decorators, and `FruDevice`.

use std::future::Future;

use ipmi_proto::sdr::Entity;

use super::PlatformResult;

/// One unit that has, or is described by, a FRU image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FruDevice {
    /// Its object's path, by which it keeps its id.
    pub path: String,
    /// Its name, for people.
    pub name: String,
    /// What it belongs to.
    pub entity: Entity,
    /// Its image: as the device holds it, or built from the inventory.
    pub image: Vec<u8>,
    /// Whether the image can be written back to the device.
    pub writable: bool,
}

/// The units of the machine.
pub trait Frus: Send + Sync + 'static {
    /// All units that are present.
    fn frus(&self) -> impl Future<Output = PlatformResult<Vec<FruDevice>>> + Send;

    /// Writes the image of the device at `path`.
    fn write_fru(
        &self,
        path: &str,
        image: &[u8],
    ) -> impl Future<Output = PlatformResult<()>> + Send;
}
