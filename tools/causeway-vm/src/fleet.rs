//! A file that describes BMCs, and `run --file`: all of them in one process, as the first process of a container does it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use daemon::{Invalid, Validate};
use report::error::Error;
use ring::digest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use uuid::Builder;

use crate::definition::Definition;
use crate::name::Name;
use crate::new::{self, Group, Known, Planned};
use crate::password::{self, Source};
use crate::places::{Place, Places};
use crate::supervisor::log::Log;
use crate::supervisor::record::Lock;
use crate::supervisor::together::{self, Bmc};

/// The descriptors that this process needs for a BMC (its lock, what its processes write, their readiness), and for itself.
const DESCRIPTORS: u64 = 16;
const OWN_DESCRIPTORS: u64 = 64;

/// A file that describes BMCs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fleet {
    #[serde(default)]
    bmc: Vec<Group>,
}

impl Validate for Fleet {
    fn validate(&self) -> Result<(), Invalid> {
        if self.bmc.is_empty() { Err(Invalid::at("bmc", "there is no [[bmc]]")) } else { Ok(()) }
    }
}

impl Fleet {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is invalid.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::usage(format_args!("{}: {error}", path.display())))?;
        daemon::parse_toml(&path.display().to_string(), &text)
            .map_err(|failure| Error::usage(&failure))
    }

    /// All of its BMCs.
    ///
    /// # Errors
    ///
    /// When one could not start.
    pub(crate) fn expand(&self, known: &mut Known) -> Result<Vec<Planned>, Error> {
        let mut planned = Vec::new();
        for group in &self.bmc {
            planned.extend(group.expand(known)?);
        }
        Ok(planned)
    }

    fn names(&self) -> Result<BTreeSet<Name>, Error> {
        let mut names = BTreeSet::new();
        for group in &self.bmc {
            for index in 0..group.count {
                names.insert(group.name(index)?);
            }
        }
        Ok(names)
    }

    /// All of its BMCs, of which some have run before: these keep UUID and port.
    fn plan(
        &self,
        folder: PathBuf,
        places: &Places,
        existing: Vec<Definition>,
    ) -> Result<Vec<Planned>, Error> {
        let names = self.names()?;
        let mut known = Known::new(folder);
        for definition in existing {
            // One of `run NAME` that was killed is somebody else's.
            if names.contains(&definition.name) && !definition.temporary {
                known.earlier.insert(definition.name.clone(), definition);
            } else {
                known.taken.push((definition.name.clone(), definition.socket()));
            }
        }
        let mut planned = self.expand(&mut known)?;
        for Planned { definition, .. } in &mut planned {
            if !known.earlier.contains_key(&definition.name) {
                definition.uuid = uuid(&host_name(), &places.bmc(&definition.name)?);
            }
        }
        Ok(planned)
    }
}

/// Runs the BMCs of the file `path` until a signal ends them.
///
/// # Errors
///
/// When the file is wrong, one of them runs already, or one does not start.
pub(crate) async fn run(path: &Path, places: &Places) -> Result<(), Error> {
    let wrong = |error: Error| Error::usage(format_args!("{}: {error}", path.display()));
    let (fleet, folder) = (Fleet::read(path)?, new::folder_of(path)?);
    let planned = fleet.plan(folder, places, new::definitions(places)?).map_err(wrong)?;
    raise_limit(planned.len() as u64);
    let mut found = Vec::new();
    let mut locks = Vec::new();
    for planned in planned {
        let place = places.bmc(&planned.definition.name)?;
        place.make_state()?;
        locks.push(Lock::of(&planned.definition.name, &place)?);
        found.push((planned, place));
    }
    let mut bmcs = Vec::new();
    for (planned, place) in found {
        keep_password(&planned, &place).map_err(wrong)?;
        planned.definition.replace(&place)?;
        let log = Log::shown(&planned.definition.name);
        bmcs.push(Bmc { definition: planned.definition, place, log });
    }
    let count = bmcs.len();
    together::run(bmcs, || {
        let _closed = writeln!(io::stderr(), "{}: {count} BMCs serve", crate::NAME);
        let _no_manager = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    })
    .await
}

/// Keeps the password of the first start: later ones are set over IPMI.
fn keep_password(planned: &Planned, place: &Place) -> Result<(), Error> {
    if place.password().exists() {
        return Ok(());
    }
    let source = planned.password_file.as_deref().map(Source::file).unwrap_or_default();
    password::keep(place, &source.read()?.text)
}

/// The same for each start of a BMC, also where nothing of it was kept, and another for each BMC.
fn uuid(host: &str, place: &Place) -> String {
    let text = format!("{host}/{}", place.state.display());
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash.as_ref()) {
        *byte = *hashed;
    }
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// The name of this machine, which in a pod is the pod's.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Allows this process the descriptors of so many BMCs, as far as it may: what cannot be opened says so.
fn raise_limit(count: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = OWN_DESCRIPTORS + count * DESCRIPTORS;
    if current.is_some_and(|current| current < wanted) {
        let current = Some(maximum.map_or(wanted, |maximum| wanted.min(maximum)));
        let _refused = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &str, name: &str) -> Place {
        Places::find(Some(Path::new(folder))).unwrap().bmc(&name.parse().unwrap()).unwrap()
    }

    #[test]
    fn identities_are_the_same_each_time_and_differ() {
        let id = uuid("pod-0", &place("/v", "b1"));
        assert_eq!(id, uuid("pod-0", &place("/v", "b1")));
        for other in [("pod-1", "/v", "b1"), ("pod-0", "/w", "b1"), ("pod-0", "/v", "b2")] {
            assert_ne!(id, uuid(other.0, &place(other.1, other.2)), "{other:?}");
        }
        assert_eq!(id.len(), 36);
    }

    #[test]
    fn a_file_that_describes_nothing_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.toml");
        for (text, words) in [
            ("", "there is no [[bmc]]"),
            ("[[bmc]]\nname = \"b\"\nx = 1\n", "fleet.toml:3"),
            ("[[bmc]]\nname = \"b\"\ncount = 0\n", "fleet.toml:3"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Fleet::read(&path).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.exit_code(), report::error::USAGE);
        }
    }

    #[test]
    fn a_bmc_of_before_keeps_what_the_file_leaves_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.toml");
        let places = Places::find(Some(folder.path())).unwrap();
        fs::write(&path, "[[bmc]]\nname = \"b{n}\"\ncount = 2\naddress = \"127.77.5.1\"\n")
            .unwrap();
        let plan = || {
            let existing = new::definitions(&places).unwrap();
            Fleet::read(&path).unwrap().plan(folder.path().into(), &places, existing)
        };
        let first = plan().unwrap();
        for Planned { definition, .. } in &first {
            let place = places.bmc(&definition.name).unwrap();
            place.make_state().unwrap();
            definition.replace(&place).unwrap();
        }
        assert_eq!(plan().unwrap(), first);
        let text = fs::read_to_string(&path).unwrap().replace("b{n}", "a{n}");
        fs::write(&path, format!("{text}user = \"operator\"\n")).unwrap();
        let others = plan().unwrap();
        let ports = |planned: &[Planned]| -> BTreeSet<u16> {
            planned.iter().map(|planned| planned.definition.port).collect()
        };
        assert!(ports(&others).is_disjoint(&ports(&first)), "{others:?}");
        fs::write(&path, "[[bmc]]\nname = \"b2\"\nuser = \"operator\"\nport = 7001\n").unwrap();
        let changed = plan().unwrap().remove(0).definition;
        let earlier = &first[1].definition;
        assert_eq!((changed.uuid.as_str(), changed.port), (earlier.uuid.as_str(), 7001));
        assert_eq!(changed.user, "operator");
    }
}
