//! The body of a backup: a manifest in JSON, and the contents of the files in its order.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::FOLDERS;
use super::product::Product;
use super::seal::LARGEST_BODY;
use crate::error::Error;

/// The most files and folders, and the longest path of one.
pub(super) const MOST_ENTRIES: usize = 8192;
const LONGEST_PATH: usize = 255;
/// The permissions that an entry may have: none beyond those of `chmod`, and no set-user-id.
const MODES: u32 = 0o3777;

/// What a backup has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// When it was made (RFC 3339, UTC).
    pub(super) created: String,
    /// The version of the suite that made it.
    pub(super) version: String,
    pub(super) product: Product,
    /// Folders before what is in them.
    pub(super) entries: Vec<Entry>,
}

/// A file or a folder.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// The state folder that it is in, by its name in [`FOLDERS`].
    pub(super) root: String,
    /// Its path in that folder; empty for the state folder itself.
    pub(super) path: String,
    pub(super) is_folder: bool,
    /// The bytes of a file.
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) user: String,
    pub(super) group: String,
}

/// A manifest, and the contents of its files.
pub(super) struct Archive {
    pub(super) manifest: Manifest,
    pub(super) contents: Vec<Zeroizing<Vec<u8>>>,
}

impl Manifest {
    pub(super) fn new(created: String, product: Product) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { created, version, product, entries: Vec::new() }
    }

    /// The state folders that it has, in their order.
    pub(super) fn roots(&self) -> Vec<String> {
        let has = |name: &str| self.entries.iter().any(|entry| entry.root == name);
        FOLDERS.iter().filter(|(name, _)| has(name)).map(|(name, _)| (*name).to_owned()).collect()
    }
}

impl Archive {
    /// The body of a backup.
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let manifest = serde_json::to_vec(&self.manifest).map_err(Error::failed)?;
        let length = u32::try_from(manifest.len()).map_err(Error::failed)?;
        let size: usize = self.contents.iter().map(|content| content.len()).sum();
        let mut body = Zeroizing::new(Vec::with_capacity(4 + manifest.len() + size));
        body.extend(length.to_be_bytes());
        body.extend(manifest);
        for content in &self.contents {
            body.extend_from_slice(content);
        }
        Ok(body)
    }

    /// Takes the body of a backup apart. What it names is checked: whoever knows the passphrase may have made it.
    pub(super) fn decode(body: &[u8]) -> Result<Self, String> {
        let truncated = || "its content ends early".to_owned();
        let (length, rest) = body.split_first_chunk().ok_or_else(truncated)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| truncated())?;
        let (manifest, mut rest) = rest.split_at_checked(length).ok_or_else(truncated)?;
        let manifest: Manifest =
            serde_json::from_slice(manifest).map_err(|error| format!("its manifest: {error}"))?;
        check(&manifest)?;
        let mut contents = Vec::new();
        for entry in manifest.entries.iter().filter(|entry| !entry.is_folder) {
            let size = usize::try_from(entry.size).map_err(|_| truncated())?;
            let (content, later) = rest.split_at_checked(size).ok_or_else(truncated)?;
            contents.push(Zeroizing::new(content.to_vec()));
            rest = later;
        }
        if !rest.is_empty() {
            return Err("it has content that no file is named for".to_owned());
        }
        Ok(Self { manifest, contents })
    }
}

/// Checks that entries are below their state folder, each below a folder that was named, and none twice.
fn check(manifest: &Manifest) -> Result<(), String> {
    let entries = &manifest.entries;
    if entries.len() > MOST_ENTRIES {
        return Err(format!("it has more than {MOST_ENTRIES} files"));
    }
    let mut sizes: u64 = 0;
    let mut folders = BTreeSet::new();
    let mut names = BTreeSet::new();
    for entry in entries {
        let Entry { root, path, is_folder, size, mode, .. } = entry;
        let wrong = |what: &str| Err(format!("its entry {root:?} {path:?} {what}"));
        if !FOLDERS.iter().any(|(name, _)| name == root) {
            return wrong("is in no state folder");
        }
        let parent = match path.rsplit_once('/') {
            None if path.is_empty() => None,
            None => Some(""),
            Some((parent, _)) => Some(parent),
        };
        if !is_plain(path) {
            return wrong("has a path that leads elsewhere");
        }
        if parent.is_some_and(|parent| !folders.contains(&(root.as_str(), parent))) {
            return wrong("is in no folder of the backup");
        }
        if path.is_empty() && !is_folder || *is_folder && *size != 0 {
            return wrong("is no folder");
        }
        if mode & !MODES != 0 {
            return wrong("has permissions that state has not");
        }
        if !names.insert((root.as_str(), path.as_str())) {
            return wrong("is there twice");
        }
        if *is_folder {
            folders.insert((root.as_str(), path.as_str()));
        }
        sizes = sizes.saturating_add(*size);
    }
    if sizes > LARGEST_BODY as u64 {
        return Err("its files are larger than a backup can be".to_owned());
    }
    Ok(())
}

/// Whether a path is empty, or names of files and nothing else.
fn is_plain(path: &str) -> bool {
    let is_name = |name: &str| {
        let mut components = Path::new(name).components();
        matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
    };
    let has_names = path.split('/').all(is_name);
    path.len() <= LONGEST_PATH && !path.contains('\0') && (path.is_empty() || has_names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, size: u64) -> Entry {
        let [root, user, group] = ["ipmi", "root", "root"].map(str::to_owned);
        let (is_folder, mode) = (false, 0o600);
        Entry { root, path: path.to_owned(), is_folder, size, mode, user, group }
    }

    fn folder(path: &str) -> Entry {
        Entry { is_folder: true, mode: 0o700, ..entry(path, 0) }
    }

    fn archive(entries: Vec<Entry>) -> Archive {
        let size = |entry: &Entry| vec![b'x'; usize::try_from(entry.size).unwrap()].into();
        let contents = entries.iter().filter(|entry| !entry.is_folder).map(size).collect();
        let manifest = Manifest::new("2026-11-28T19:00:00Z".to_owned(), Product::default());
        Archive { manifest: Manifest { entries, ..manifest }, contents }
    }

    fn decoded(entries: Vec<Entry>) -> Result<Manifest, String> {
        let body = archive(entries).encode().unwrap();
        Archive::decode(&body).map(|archive| archive.manifest)
    }

    #[test]
    fn archive_comes_back_as_it_was() {
        let entries = vec![folder(""), folder("access"), entry("access/key", 3), entry("empty", 0)];
        let body = archive(entries.clone()).encode().unwrap();
        let back = Archive::decode(&body).unwrap();
        assert_eq!(back.manifest.entries, entries);
        assert_eq!(back.contents.iter().map(|content| content.len()).collect::<Vec<_>>(), [3, 0]);
        for length in 0..body.len() {
            assert!(Archive::decode(&body[..length]).is_err(), "{length} bytes");
        }
        assert!(Archive::decode(&[&body[..], b"x"].concat()).is_err());
    }

    #[test]
    fn paths_that_lead_out_of_their_folder_are_refused() {
        for path in [
            "..",
            "../x",
            "access/../../x",
            "/etc/passwd",
            ".",
            "./x",
            "a//b",
            "a/",
            "a\0b",
            "a/./b",
        ] {
            let folders = ["", "access", "a", "a/.", ".", "..", "access/..", "access/../.."];
            let mut entries: Vec<_> = folders.iter().take(3).map(|path| folder(path)).collect();
            entries.push(entry(path, 1));
            assert!(decoded(entries).is_err(), "{path:?}");
        }
        let long = "n".repeat(LONGEST_PATH + 1);
        assert!(decoded(vec![folder(""), entry(&long, 1)]).is_err());
    }

    #[test]
    fn entries_that_fit_nowhere_are_refused() {
        let other = Entry { root: "etc".to_owned(), ..folder("") };
        let set_user_id = Entry { mode: 0o4755, ..entry("x", 1) };
        for entries in [
            vec![other],
            vec![entry("x", 1)],
            vec![folder(""), entry("no-folder/x", 1)],
            vec![folder(""), entry("x", 1), entry("x/y", 1)],
            vec![folder(""), entry("x", 1), entry("x", 1)],
            vec![entry("", 1)],
            vec![folder(""), set_user_id],
            vec![folder(""); 2],
        ] {
            assert!(decoded(entries.clone()).is_err(), "{entries:?}");
        }
        let many = (0..MOST_ENTRIES).map(|number| entry(&format!("{number}"), 0));
        let many: Vec<_> = std::iter::once(folder("")).chain(many).collect();
        assert!(decoded(many).is_err());
    }
}
