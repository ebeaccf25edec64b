//! FRU images by device id: the machine's, and what clients wrote over them (IPMI v2.0 §34).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use durable::Folder;
use ipmi_proto::CompletionCode;
use ipmi_proto::sdr::Entity;
use tokio::sync::MutexGuard;

use crate::model::health::{Fault, Health};
use crate::model::persistent::{Persistent, lock};

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

/// The devices by FRU id.
pub type FruDevices = BTreeMap<u8, FruDevice>;

/// For how long the inventory is taken to be as it was read.
const FRESH: Duration = Duration::from_secs(5);
/// The least size of a device. Where an image has no memory of its own, sizes are multiples of this,
const SIZE_UNIT: usize = 256;
/// and at least so much larger than the image, so that there is room to write longer fields.
const ROOM: usize = 128;
/// The greatest FRU id; FFh is reserved.
const MAX_ID: u8 = 0xfe;

/// The FRU images.
#[derive(Debug)]
pub struct FruStore {
    devices: Mutex<FruDevices>,
    read: Mutex<Option<Instant>>,
    /// Which path has which id: ids stay when units come and go.
    ids: Persistent<BTreeMap<String, u8>>,
    /// Images that clients wrote, by path.
    written: Persistent<BTreeMap<String, Vec<u8>>>,
    health: OnceLock<Arc<Health>>,
    writing: tokio::sync::Mutex<()>,
}

impl FruStore {
    /// With ids and written images in files of `folder`.
    #[must_use]
    pub fn open(folder: &Folder) -> Self {
        Self::new(
            Persistent::open(folder.clone(), "fru-ids.json"),
            Persistent::open(folder.clone(), "fru-images.json"),
        )
    }

    /// Kept nowhere.
    #[must_use]
    pub fn volatile() -> Self {
        Self::new(Persistent::volatile(), Persistent::volatile())
    }

    fn new(
        ids: Persistent<BTreeMap<String, u8>>,
        written: Persistent<BTreeMap<String, Vec<u8>>>,
    ) -> Self {
        Self {
            devices: Mutex::default(),
            read: Mutex::default(),
            ids,
            written,
            health: OnceLock::new(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Tells `health`, from now on, whether the inventory can be read and images can be written.
    pub fn report_to(&self, health: Arc<Health>) {
        self.health.get_or_init(|| health);
    }

    /// Notes whether the inventory or an image could not be reached.
    pub fn report(&self, failed: bool) {
        if let Some(health) = self.health.get() {
            health.report(Fault::Fru, failed);
        }
    }

    /// Whether the devices were read a moment ago.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        lock(&self.read).is_some_and(|at| at.elapsed() < FRESH)
    }

    /// Whether the devices were ever read.
    #[must_use]
    pub fn was_read(&self) -> bool {
        lock(&self.read).is_some()
    }

    /// The devices.
    #[must_use]
    pub fn devices(&self) -> FruDevices {
        lock(&self.devices).clone()
    }

    /// The image of device `id`: what was written over it last, else the machine's.
    #[must_use]
    pub fn image(&self, id: u8) -> Option<Vec<u8>> {
        let devices = lock(&self.devices);
        let device = devices.get(&id)?;
        let mut image = device.image.clone();
        if let Some(written) = self.written.get().get(&device.path) {
            for (byte, over) in image.iter_mut().zip(written) {
                *byte = *over;
            }
        }
        Some(image)
    }

    /// The one writer, once those before it have finished.
    pub async fn writer(&self) -> FruWriter<'_> {
        FruWriter { store: self, _turn: self.writing.lock().await }
    }

    /// The one writer, unless there is another.
    pub fn try_writer(&self) -> Option<FruWriter<'_>> {
        let turn = self.writing.try_lock().ok()?;
        Some(FruWriter { store: self, _turn: turn })
    }
}

/// The one who changes images: a client that writes, or who has just read the inventory. So no image that was read
/// before a write replaces what was written.
#[derive(Debug)]
pub struct FruWriter<'a> {
    store: &'a FruStore,
    _turn: MutexGuard<'a, ()>,
}

impl FruWriter<'_> {
    /// Takes the machine's devices. A new one gets the lowest id that no other ever had.
    ///
    /// # Errors
    ///
    /// When the ids cannot be kept.
    pub async fn set_devices(&self, found: Vec<FruDevice>) -> Result<(), CompletionCode> {
        let store = self.store;
        let is_known = |ids: &BTreeMap<String, u8>| {
            found.iter().all(|device| ids.contains_key(&device.path)) || ids.len() > MAX_ID.into()
        };
        if !store.ids.look(is_known) {
            let paths = found.iter().map(|device| &device.path);
            let kept = store.ids.update(|ids| paths.for_each(|path| give_id(ids, path))).await;
            store.report(kept.is_err());
            kept?;
        }
        let mut devices = FruDevices::new();
        store.ids.look(|ids| {
            for mut device in found {
                let Some(id) = ids.get(&device.path) else { continue };
                let length = device.image.len();
                let size = if device.writable {
                    length.max(SIZE_UNIT)
                } else {
                    (length + ROOM).next_multiple_of(SIZE_UNIT)
                };
                device.image.resize(size, 0);
                devices.insert(*id, device);
            }
        });
        *lock(&store.devices) = devices;
        *lock(&store.read) = Some(Instant::now());
        Ok(())
    }

    /// Writes `data` at `offset` of device `id`, and returns the device and its whole image.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent device, `C9h` beyond its end, or when the medium refuses.
    pub async fn write(
        &self,
        id: u8,
        offset: usize,
        data: &[u8],
    ) -> Result<(FruDevice, Vec<u8>), CompletionCode> {
        let store = self.store;
        let mut image = store.image(id).ok_or(CompletionCode::NOT_PRESENT)?;
        let device = store.devices().remove(&id).ok_or(CompletionCode::NOT_PRESENT)?;
        let range = offset..offset + data.len();
        let place = image.get_mut(range).ok_or(CompletionCode::PARAMETER_OUT_OF_RANGE)?;
        place.copy_from_slice(data);
        let (path, whole) = (device.path.clone(), image.clone());
        let written = store.written.update(|written| written.insert(path, whole)).await;
        store.report(written.is_err());
        written?;
        Ok((device, image))
    }

    /// The device `id` itself holds `image` now: it serves in place of what was written over it.
    ///
    /// # Errors
    ///
    /// When the medium refuses.
    pub async fn settle(&self, id: u8, image: Vec<u8>) -> Result<(), CompletionCode> {
        let store = self.store;
        let path = {
            let mut devices = lock(&store.devices);
            let Some(device) = devices.get_mut(&id) else {
                return Ok(());
            };
            device.image = image;
            device.path.clone()
        };
        let kept = store.written.update(|written| written.remove(&path)).await;
        store.report(kept.is_err());
        kept.map(drop)
    }
}

/// Gives a path the lowest id that no other has, while there is one.
fn give_id(ids: &mut BTreeMap<String, u8>, path: &String) {
    let free = (0..=MAX_ID).find(|id| !ids.values().any(|used| used == id));
    if let (false, Some(id)) = (ids.contains_key(path), free) {
        ids.insert(path.clone(), id);
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::sdr::Entity;

    use super::*;

    fn device(path: &str, image: &[u8]) -> FruDevice {
        FruDevice {
            path: path.to_owned(),
            name: path.to_owned(),
            entity: Entity { id: 7, instance: 1 },
            image: image.to_vec(),
            writable: false,
        }
    }

    #[tokio::test]
    async fn ids_stay_with_their_paths() {
        let store = FruStore::volatile();
        let writer = store.writer().await;
        writer.set_devices(vec![device("/b", &[1]), device("/a", &[2])]).await.unwrap();
        writer.set_devices(vec![device("/c", &[3]), device("/a", &[2])]).await.unwrap();
        let paths: Vec<(u8, String)> =
            store.devices().into_iter().map(|(id, device)| (id, device.path)).collect();
        assert_eq!(paths, [(1, "/a".to_owned()), (2, "/c".to_owned())]);
        assert_eq!(store.image(0), None);
        assert_eq!(store.image(1).unwrap()[..2], [2, 0]);
        assert_eq!(store.image(1).unwrap().len(), 256);
    }

    #[tokio::test]
    async fn written_bytes_serve_from_then_on() {
        let store = FruStore::volatile();
        let writer = store.writer().await;
        writer.set_devices(vec![device("/b", &[1, 2, 3])]).await.unwrap();
        writer.write(0, 1, &[9, 8]).await.unwrap();
        writer.set_devices(vec![device("/b", &[1, 2, 3])]).await.unwrap();
        assert_eq!(store.image(0).unwrap()[..4], [1, 9, 8, 0]);
        writer.settle(0, vec![7; 256]).await.unwrap();
        assert_eq!(store.image(0).unwrap()[..4], [7, 7, 7, 7]);
        let beyond = writer.write(0, 255, &[1, 2]).await;
        assert_eq!(beyond.unwrap_err(), CompletionCode::PARAMETER_OUT_OF_RANGE);
        assert_eq!(writer.write(3, 0, &[1]).await.unwrap_err(), CompletionCode::NOT_PRESENT);
    }
}
