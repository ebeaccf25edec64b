//! What the bus owner has assigned, kept over a restart: without it the first start after an endpoint's
//! reset would renumber the endpoint.

use std::path::Path;
use std::sync::{Arc, Mutex};

use daemon::lock;
use durable::{Folder, Modes, Retention, StateFile};
use mctp_proto::control::bus_owner::Assignment;
use mctp_proto::{Address, BusPath, Eid, LinkId, Medium};
use serde::{Deserialize, Serialize};

use crate::engine::EngineHandle;

/// The file in the state directory.
const NAME: &str = "mctp-assignments.json";

/// One assignment as it is written. Bindings are named, since their numbers change with the
/// configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Entry {
    binding: String,
    /// 0 where the medium has no addresses.
    address: u16,
    eid: u8,
    /// The first id of a bridge's pool, and the number of ids.
    pool: Option<(u8, u8)>,
}

/// The file, and the names of the links.
#[derive(Clone, Debug)]
pub(crate) struct Assignments {
    /// `None` where nothing can be kept.
    file: Option<Arc<Mutex<StateFile<Vec<Entry>>>>>,
    /// Each link's binding, and its medium.
    links: Vec<(String, Medium)>,
}

impl Assignments {
    /// Opens the file in the state directory, which has to be there.
    pub(crate) fn open(folder: &Path, links: Vec<(String, Medium)>) -> Self {
        let file = match Folder::open(folder, Modes::PRIVATE) {
            Ok(folder) => {
                let file = StateFile::open(folder, NAME, Retention::Previous);
                Some(Arc::new(Mutex::new(file)))
            }
            Err(error) => {
                tracing::warn!(%error, "assigned endpoint ids cannot be kept over a restart");
                None
            }
        };
        Self { file, links }
    }

    /// What was assigned on the links that there are now.
    pub(crate) fn load(&self) -> Vec<Assignment> {
        let entries = self.file.as_ref().map(|file| lock(file).value().clone());
        entries.unwrap_or_default().iter().filter_map(|entry| self.read(entry)).collect()
    }

    /// Writes what is assigned whenever that has changed, for ever.
    pub(crate) async fn keep(self, handle: Arc<EngineHandle>) {
        let Some(file) = self.file.clone() else {
            return;
        };
        loop {
            handle.assignments_changed().await;
            let assigned: Vec<Assignment> = handle.with(|engine| {
                engine.demux.owner().map(|o| o.assignments().collect()).unwrap_or_default()
            });
            let mut entries: Vec<Entry> =
                assigned.iter().filter_map(|assignment| self.write(assignment)).collect();
            entries.sort_by(|a, b| (&a.binding, a.address).cmp(&(&b.binding, b.address)));
            let file = Arc::clone(&file);
            let saved = tokio::task::spawn_blocking(move || {
                let mut file = lock(&file);
                if *file.value() == entries { Ok(()) } else { file.save(entries) }
            });
            if let Ok(Err(error)) = saved.await {
                tracing::warn!(%error, "cannot keep the assigned endpoint ids; they stay until a restart");
            }
        }
    }

    fn read(&self, entry: &Entry) -> Option<Assignment> {
        let named = |(_, (name, _)): &(usize, &(String, Medium))| *name == entry.binding;
        let (index, (_, medium)) = self.links.iter().enumerate().find(named)?;
        let link = LinkId(u8::try_from(index).ok()?);
        let address = Address::of_number(*medium, entry.address)?;
        let eid = Eid(entry.eid);
        let pool = entry.pool.map(|(first, size)| (Eid(first), size));
        eid.is_assignable().then_some(Assignment { path: BusPath::new(link, address), eid, pool })
    }

    fn write(&self, assignment: &Assignment) -> Option<Entry> {
        let (binding, _) = self.links.get(usize::from(assignment.path.link.0))?.clone();
        let address = assignment.path.address.number();
        let pool = assignment.pool.map(|(first, size)| (first.0, size));
        Some(Entry { binding, address, eid: assignment.eid.0, pool })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_follow_their_binding_to_another_number() {
        let folder = tempfile::tempdir().unwrap();
        let (serial, vdm) =
            (("serial:/a".to_owned(), Medium::Serial), ("pcie:/b".to_owned(), Medium::PcieVdm));
        let pcie = BusPath::new(LinkId(1), Address::Pcie(0x0218));
        let assignment = Assignment { path: pcie, eid: Eid(9), pool: Some((Eid(20), 4)) };
        let before = Assignments::open(folder.path(), vec![serial.clone(), vdm.clone()]);
        let entry = before.write(&assignment).unwrap();
        lock(before.file.as_ref().unwrap()).save(vec![entry]).unwrap();
        let after = Assignments::open(folder.path(), vec![vdm]);
        let path = BusPath { link: LinkId(0), ..pcie };
        assert_eq!(after.load(), [Assignment { path, ..assignment }]);
        let without = Assignments::open(folder.path(), vec![serial]);
        assert!(without.load().is_empty());
    }
}
