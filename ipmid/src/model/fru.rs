//! FRU images by device id: the machine's, and what clients wrote over them (IPMI v2.0 §34).

mod edits;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use durable::Folder;
use ipmi_proto::sdr::Entity;
use tokio::sync::{MutexGuard, watch};
use tokio::time;

use self::edits::Edit;
use crate::model::StoreError;
use crate::model::health::{Fault, Health};
use crate::model::persistent::{Persistent, lock};

/// One unit that has, or is described by, a FRU image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FruDevice {
    /// Its object's path, which its FRU id belongs to.
    pub path: String,
    /// Its name, for display.
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

/// How long an inventory that was read counts as current.
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
    /// FRU ids by path; a unit that is removed and returns has the id that it had.
    ids: Persistent<BTreeMap<String, u8>>,
    /// What clients wrote over images, by path.
    written: Persistent<BTreeMap<String, Edit>>,
    /// Whether the services that come up with the daemon have shown what they have.
    settled: OnceLock<watch::Receiver<bool>>,
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

    /// In memory only.
    #[must_use]
    pub fn volatile() -> Self {
        Self::new(Persistent::volatile(), Persistent::volatile())
    }

    fn new(
        ids: Persistent<BTreeMap<String, u8>>,
        written: Persistent<BTreeMap<String, Edit>>,
    ) -> Self {
        Self {
            devices: Mutex::default(),
            read: Mutex::default(),
            ids,
            written,
            settled: OnceLock::new(),
            health: OnceLock::new(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// From now on reports to `health` whether the inventory can be read and images can be written.
    pub fn report_to(&self, health: Arc<Health>) {
        self.health.get_or_init(|| health);
    }

    /// From now on gives out ids only once `settled` says so: two BMCs with the same units then give them the same ids,
    /// whichever service came first.
    pub fn number_when(&self, settled: watch::Receiver<bool>) {
        self.settled.get_or_init(|| settled);
    }

    /// Whether ids are given out to new units.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled.get().is_none_or(|settled| *settled.borrow())
    }

    /// Waits until ids are given out, or for `patience`.
    pub async fn until_settled(&self, patience: Duration) {
        if let Some(settled) = self.settled.get() {
            let mut settled = settled.clone();
            // Units that are new are left out of this read; the next one has them.
            let _late = time::timeout(patience, settled.wait_for(|settled| *settled)).await;
        }
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

    /// The image of device `id`: the machine's, with what clients wrote over it.
    #[must_use]
    pub fn image(&self, id: u8) -> Option<Vec<u8>> {
        let devices = lock(&self.devices);
        let device = devices.get(&id)?;
        self.written.look(|written| {
            let edited = written.get(&device.path).map(|edit| edit.over(&device.image).image);
            Some(edited.unwrap_or_else(|| device.image.clone()))
        })
    }

    /// Waits until no other writer exists.
    pub async fn writer(&self) -> FruWriter<'_> {
        FruWriter { store: self, _turn: self.writing.lock().await }
    }

    /// A writer, unless another exists.
    pub fn try_writer(&self) -> Option<FruWriter<'_>> {
        let turn = self.writing.try_lock().ok()?;
        Some(FruWriter { store: self, _turn: turn })
    }
}

/// Exclusive access for changing images: for a client's write, and for the devices of an inventory that was just read.
/// So an image that was read before a write never replaces the written one.
#[derive(Debug)]
pub struct FruWriter<'a> {
    store: &'a FruStore,
    _turn: MutexGuard<'a, ()>,
}

impl FruWriter<'_> {
    /// Replaces the devices by those `found`. A new one gets the lowest id that was never in use. Returns the ids of
    /// devices of which clients' edits were dropped, because the part is another one now.
    ///
    /// # Errors
    ///
    /// Those of [`Persistent::update`].
    pub async fn set_devices(&self, found: Vec<FruDevice>) -> Result<Vec<u8>, StoreError> {
        let store = self.store;
        let is_known = |ids: &BTreeMap<String, u8>| {
            found.iter().all(|device| ids.contains_key(&device.path)) || ids.len() > MAX_ID.into()
        };
        let is_complete = store.ids.look(is_known) || store.is_settled();
        if is_complete && !store.ids.look(is_known) {
            let paths = found.iter().map(|device| &device.path);
            let saved = store.ids.update(|ids| paths.for_each(|path| give_id(ids, path))).await;
            store.report(saved.is_err());
            saved?;
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
        let dropped = self.drop_edits(&devices).await?;
        *lock(&store.devices) = devices;
        *lock(&store.read) = is_complete.then(Instant::now);
        Ok(dropped)
    }

    /// Drops the edits of parts that are other ones now; returns the ids of their devices.
    async fn drop_edits(&self, devices: &FruDevices) -> Result<Vec<u8>, StoreError> {
        let store = self.store;
        let merged = store.written.look(|written| {
            let edited = devices.iter().filter_map(|(id, device)| {
                let merged = written.get(&device.path)?.over(&device.image);
                merged.dropped.then_some((*id, device, merged.image))
            });
            edited.collect::<Vec<_>>()
        });
        if merged.is_empty() {
            return Ok(Vec::new());
        }
        let change = |written: &mut BTreeMap<String, Edit>| {
            for (_, device, image) in &merged {
                written.remove(&device.path);
                if *image != device.image {
                    let edit = Edit { below: device.image.clone(), written: image.clone() };
                    written.insert(device.path.clone(), edit);
                }
            }
        };
        let saved = store.written.update(change).await;
        store.report(saved.is_err());
        saved?;
        Ok(merged.iter().map(|(id, ..)| *id).collect())
    }

    /// Writes `data` at `offset` of device `id`, and returns the device and its whole image.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] for an absent device, [`StoreError::OutOfRange`] beyond the end of its image, and those of
    /// [`Persistent::update`].
    pub async fn write(
        &self,
        id: u8,
        offset: usize,
        data: &[u8],
    ) -> Result<(FruDevice, Vec<u8>), StoreError> {
        let store = self.store;
        let mut image = store.image(id).ok_or(StoreError::NotFound)?;
        let device = store.devices().remove(&id).ok_or(StoreError::NotFound)?;
        let range = offset..offset + data.len();
        let range = image.get_mut(range).ok_or(StoreError::OutOfRange)?;
        range.copy_from_slice(data);
        let edit = Edit { below: device.image.clone(), written: image.clone() };
        let path = device.path.clone();
        let written = store.written.update(|written| written.insert(path, edit)).await;
        store.report(written.is_err());
        written?;
        Ok((device, image))
    }

    /// The device `id` itself now holds `image`: drops the copy that a client wrote.
    ///
    /// # Errors
    ///
    /// Those of [`Persistent::update`].
    pub async fn settle(&self, id: u8, image: Vec<u8>) -> Result<(), StoreError> {
        let store = self.store;
        let path = {
            let mut devices = lock(&store.devices);
            let Some(device) = devices.get_mut(&id) else {
                return Ok(());
            };
            device.image = image;
            device.path.clone()
        };
        let saved = store.written.update(|written| written.remove(&path)).await;
        store.report(saved.is_err());
        saved.map(drop)
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
    async fn ids_are_given_out_once_the_services_have_come_up() {
        let store = FruStore::volatile();
        let settled = watch::Sender::new(false);
        store.number_when(settled.subscribe());
        let writer = store.writer().await;
        writer.set_devices(vec![device("/b", &[1])]).await.unwrap();
        assert!(store.devices().is_empty() && !store.is_fresh());
        settled.send_replace(true);
        store.until_settled(Duration::from_secs(9)).await;
        writer.set_devices(vec![device("/a", &[2]), device("/b", &[1])]).await.unwrap();
        let paths: Vec<String> = store.devices().into_values().map(|device| device.path).collect();
        assert_eq!(
            (paths.as_slice(), store.is_fresh()),
            (&["/a".to_owned(), "/b".to_owned()][..], true)
        );
    }

    #[tokio::test]
    async fn edits_are_dropped_once_when_the_part_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("s"), durable::Modes::PRIVATE).unwrap();
        let part = |serial: &str| {
            let chassis = ipmi_proto::fru::Chassis {
                kind: 0x17,
                part_number: ipmi_proto::Field::text("CH"),
                serial: ipmi_proto::Field::text(serial),
                custom: Vec::new(),
            };
            let image = ipmi_proto::fru::FruImage { chassis: Some(chassis), ..Default::default() };
            device("/c", &image.to_bytes().unwrap())
        };
        let store = FruStore::open(&folder);
        let writer = store.writer().await;
        assert_eq!(writer.set_devices(vec![part("C1")]).await, Ok(vec![]));
        let kind = 8 + 2;
        // Another chassis type, and the checksum that goes with it.
        let sum = store.image(0).unwrap()[23];
        writer.write(0, kind, &[0x18]).await.unwrap();
        writer.write(0, 23, &[sum.wrapping_sub(1)]).await.unwrap();
        let again = FruStore::open(&folder);
        let writer = again.writer().await;
        assert_eq!(writer.set_devices(vec![]).await, Ok(vec![]), "absent is not replaced");
        assert_eq!(writer.set_devices(vec![part("C1")]).await, Ok(vec![]));
        assert_eq!(again.image(0).unwrap()[kind], 0x18);
        assert_eq!(writer.set_devices(vec![part("C2")]).await, Ok(vec![0]));
        assert_eq!(again.image(0).unwrap()[kind], 0x17);
        assert_eq!(writer.set_devices(vec![part("C1")]).await, Ok(vec![]));
        assert_eq!(again.image(0).unwrap()[kind], 0x17);
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
        assert_eq!(beyond.unwrap_err(), StoreError::OutOfRange);
        assert_eq!(writer.write(3, 0, &[1]).await.unwrap_err(), StoreError::NotFound);
    }
}
