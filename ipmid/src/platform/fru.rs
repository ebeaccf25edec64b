//! Inventory of field-replaceable units: `Inventory.Item` with its decorators, and `FruDevice`.

use std::future::Future;

use super::PlatformResult;
use crate::model::fru::FruDevice;

/// The FRU devices of the machine.
pub trait Frus: Send + Sync + 'static {
    /// All devices that are present.
    fn frus(&self) -> impl Future<Output = PlatformResult<Vec<FruDevice>>> + Send;

    /// Writes the image of the device at `path`.
    fn write_fru(
        &self,
        path: &str,
        image: &[u8],
    ) -> impl Future<Output = PlatformResult<()>> + Send;
}
