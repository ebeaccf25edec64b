//! The state folders: read as they are at one time, and replaced one by one as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User, geteuid};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fchmod, fchown, fstat, mkdirat,
    openat, renameat_with, statat,
};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::archive::{Archive, Entry, MOST_ENTRIES, Manifest};
use super::seal::LARGEST_BODY;
use crate::error::Error;

/// How often the folders are read until nothing has changed meanwhile, and the pause between.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// The deepest folder.
const DEEPEST: usize = 16;

/// A file's identity and age, by which a change is seen.
type Age = (u64, u64, i64, i64, i64, u64);

/// What was read.
#[derive(Default)]
struct Snapshot {
    entries: Vec<Entry>,
    contents: Vec<Zeroizing<Vec<u8>>>,
    ages: Vec<Age>,
    size: u64,
}

/// Reads the folders that there are. Nothing in them changed while they were read.
pub(super) fn read<'a>(
    mut archive: Archive,
    folders: impl Iterator<Item = (&'a str, PathBuf)>,
) -> Result<Archive, Error> {
    let folders: Vec<_> = folders.collect();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::sleep(PAUSE);
        }
        let (Ok(first), Ok(second)) = (snapshot(&folders, true), snapshot(&folders, false)) else {
            // A file that has gone meanwhile, unless it is the same each time.
            continue;
        };
        if first.entries.is_empty() {
            let text = "there is no state: none of the daemons' folders exists";
            return Err(Error::failed(text).remedy("docs/state-files.md"));
        }
        if first.ages == second.ages {
            archive.manifest.entries = first.entries;
            archive.contents = first.contents;
            return Ok(archive);
        }
    }
    snapshot(&folders, false)?;
    Err(Error::failed("the state changes too often to be read as a whole")
        .remedy("systemctl stop ipmid platformd mctp-demuxd, and start them afterwards"))
}

/// Reads the folders, and with `contents` the files too.
fn snapshot(folders: &[(&str, PathBuf)], contents: bool) -> Result<Snapshot, Error> {
    let mut snapshot = Snapshot::default();
    for (root, path) in folders {
        let failed = |error: Errno| {
            let error = io::Error::from(error);
            let failure = Error::failed(format_args!("cannot read {}: {error}", path.display()));
            if error.kind() == io::ErrorKind::PermissionDenied {
                failure.remedy("run it as root")
            } else {
                failure
            }
        };
        let folder = match open(CWD, path, OFlags::DIRECTORY) {
            Err(Errno::NOENT) => continue,
            folder => folder.map_err(failed)?,
        };
        snapshot.add_folder(root, "", &folder, contents).map_err(|error| match error {
            Unreadable::Failed(errno) => failed(errno),
            Unreadable::Other(what) => Error::failed(format_args!("{}: {what}", path.display())),
        })?;
    }
    Ok(snapshot)
}

/// Why a folder cannot be read.
enum Unreadable {
    Failed(Errno),
    Other(String),
}

impl From<Errno> for Unreadable {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

impl Snapshot {
    fn add_folder(
        &mut self,
        root: &str,
        path: &str,
        folder: &OwnedFd,
        contents: bool,
    ) -> Result<(), Unreadable> {
        if path.split('/').count() > DEEPEST {
            return Err(Unreadable::Other(format!("{path} is too deep")));
        }
        let stat = fstat(folder)?;
        self.ages.push(age(&stat));
        self.entries.push(entry(root, path, &stat, true));
        let mut names = Vec::new();
        for item in Dir::read_from(folder)? {
            let item = item?;
            let name = item.file_name().to_str();
            let name = name.map_err(|_| Unreadable::Other("a name is no UTF-8".to_owned()))?;
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            // What it is now, whatever it becomes: nothing is followed.
            let stat = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    let inner = open(folder, &name, OFlags::DIRECTORY)?;
                    self.add_folder(root, &path, &inner, contents)?;
                }
                FileType::RegularFile => {
                    let file = open(folder, &name, OFlags::NONBLOCK)?;
                    self.add_file(root, &path, file, contents)?;
                }
                _ => return Err(Unreadable::Other(format!("{path} is neither file nor folder"))),
            }
            if self.entries.len() > MOST_ENTRIES {
                return Err(Unreadable::Other("there are too many files".to_owned()));
            }
        }
        Ok(())
    }

    fn add_file(
        &mut self,
        root: &str,
        path: &str,
        file: OwnedFd,
        contents: bool,
    ) -> Result<(), Unreadable> {
        let stat = fstat(&file)?;
        self.ages.push(age(&stat));
        let mut entry = entry(root, path, &stat, false);
        let most = LARGEST_BODY as u64;
        if contents {
            let mut content = Zeroizing::new(Vec::new());
            File::from(file).take(most + 1).read_to_end(&mut content)?;
            entry.size = content.len() as u64;
            self.size += entry.size;
            self.contents.push(content);
        }
        if self.size > most {
            return Err(Unreadable::Other("the files are larger than a backup can be".to_owned()));
        }
        self.entries.push(entry);
        Ok(())
    }
}

fn open(
    folder: impl AsFd,
    name: impl rustix::path::Arg,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat(folder, name, flags, Mode::empty())
}

#[allow(clippy::useless_conversion, reason = "the types differ by architecture")]
fn age(stat: &Stat) -> Age {
    let Stat { st_ino, st_size, st_mtime, st_ctime, st_mtime_nsec, st_ctime_nsec, .. } = *stat;
    let nanoseconds = |part| u64::try_from(part).unwrap_or_default();
    (
        u64::from(st_ino),
        nanoseconds(st_mtime_nsec),
        i64::from(st_size),
        i64::from(st_mtime),
        i64::from(st_ctime),
        nanoseconds(st_ctime_nsec),
    )
}

/// An entry with the names of its owners, or their numbers where they have none.
fn entry(root: &str, path: &str, stat: &Stat, is_folder: bool) -> Entry {
    let user = User::from_uid(Uid::from_raw(stat.st_uid)).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(stat.st_gid)).ok().flatten();
    Entry {
        root: root.to_owned(),
        path: path.to_owned(),
        is_folder,
        size: 0,
        mode: stat.st_mode & 0o3777,
        user: user.map_or_else(|| stat.st_uid.to_string(), |user| user.name),
        group: group.map_or_else(|| stat.st_gid.to_string(), |group| group.name),
    }
}

/// The users and groups of a backup, by name, as numbers of this machine.
pub(super) struct Owners {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

/// Looks up the owners of a backup.
pub(super) fn owners(manifest: &Manifest) -> Result<Owners, String> {
    let (mut users, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for Entry { user, group, .. } in &manifest.entries {
        if !users.contains_key(user) {
            let known = User::from_name(user).ok().flatten().map(|user| user.uid.as_raw());
            let id = known.or_else(|| user.parse().ok());
            users.insert(user.clone(), id.ok_or(format!("this machine has no user {user}"))?);
        }
        if !groups.contains_key(group) {
            let known = Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw());
            let id = known.or_else(|| group.parse().ok());
            groups.insert(group.clone(), id.ok_or(format!("this machine has no group {group}"))?);
        }
    }
    Ok(Owners { users, groups })
}

/// Replaces the folders by those of the archive. On an error the old ones are there again.
pub(super) fn replace(
    archive: &Archive,
    folders: &[(String, PathBuf)],
    owners: &Owners,
) -> Result<(), Error> {
    let beside = |path: &Path| path.with_added_extension("restore");
    let mut staged = Vec::new();
    let result = folders.iter().try_for_each(|(root, path)| {
        let anew = beside(path);
        staged.push(anew.clone());
        remove(&anew).and_then(|()| stage(archive, root, &anew, owners)).map_err(|error| {
            Error::failed(format_args!("cannot write {}: {error}", anew.display()))
        })
    });
    let mut swapped: Vec<&Path> = Vec::new();
    let result = result.and_then(|()| {
        folders.iter().try_for_each(|(_, path)| {
            swap(path, &beside(path)).map_err(|error| {
                Error::failed(format_args!("cannot replace {}: {error}", path.display()))
            })?;
            swapped.push(path);
            Ok(())
        })
    });
    if result.is_err() {
        for path in swapped {
            // What cannot be undone is reported by the first error alone; both folders are still there.
            let _unchanged = swap(path, &beside(path));
        }
    }
    for anew in staged {
        // The old state, or the new one if it failed.
        let _left = remove(&anew);
    }
    result
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Writes a state folder of the archive to `anew`, which nobody else may enter until it is whole.
fn stage(archive: &Archive, root: &str, anew: &Path, owners: &Owners) -> io::Result<()> {
    if let Some(parent) = anew.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut contents = archive.contents.iter();
    let mut made: Vec<(&Entry, OwnedFd)> = Vec::new();
    for entry in &archive.manifest.entries {
        let content = if entry.is_folder { None } else { contents.next() };
        if entry.root != root {
            continue;
        }
        let private = Mode::RWXU;
        let path = if entry.path.is_empty() { anew.to_owned() } else { anew.join(&entry.path) };
        match content {
            None => {
                mkdirat(CWD, &path, private)?;
                made.push((entry, open(CWD, &path, OFlags::DIRECTORY)?));
            }
            Some(content) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let file = openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)?;
                let mut file = File::from(file);
                file.write_all(content)?;
                own(entry, &file, owners)?;
                file.sync_all()?;
            }
        }
    }
    // From the innermost out: a folder that was given away may not be writable any more.
    for (entry, folder) in made.iter().rev() {
        own(entry, folder, owners)?;
        rustix::fs::fsync(folder)?;
    }
    Ok(())
}

/// Gives an entry its owners and permissions. Only root can give it away; elsewhere it stays this user's.
fn own(entry: &Entry, fd: impl AsFd, owners: &Owners) -> io::Result<()> {
    if geteuid().is_root() {
        let user = owners.users.get(&entry.user).copied().map(rustix::fs::Uid::from_raw);
        let group = owners.groups.get(&entry.group).copied().map(rustix::fs::Gid::from_raw);
        fchown(&fd, user, group)?;
    }
    Ok(fchmod(&fd, Mode::from_raw_mode(entry.mode))?)
}

/// Exchanges a folder and the new one in one step; without an old one the new one takes its name.
fn swap(path: &Path, anew: &Path) -> io::Result<()> {
    match renameat_with(CWD, anew, CWD, path, RenameFlags::EXCHANGE) {
        Err(Errno::NOENT) => renameat_with(CWD, anew, CWD, path, RenameFlags::NOREPLACE)?,
        swapped => swapped?,
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    Ok(rustix::fs::fsync(open(CWD, parent, OFlags::DIRECTORY)?)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::backup::product::Product;

    fn write(path: &Path, content: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn read_all(dir: &Path) -> Result<Archive, Error> {
        let manifest = Manifest::new(String::new(), Product::default());
        let folders = ["ipmi", "platformd"].map(|name| (name, dir.join(name)));
        read(Archive { manifest, contents: Vec::new() }, folders.into_iter())
    }

    fn folders(dir: &Path) -> Vec<(String, PathBuf)> {
        ["ipmi", "platformd"].map(|name| (name.to_owned(), dir.join(name))).to_vec()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn folders_are_replaced_with_contents_and_permissions() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("ipmi/access/key"), "secret", 0o640);
        fs::set_permissions(dir.path().join("ipmi/access"), fs::Permissions::from_mode(0o2750))
            .unwrap();
        write(&dir.path().join("platformd/state"), "old", 0o600);
        let archive = read_all(dir.path()).unwrap();
        write(&dir.path().join("ipmi/access/key"), "another", 0o600);
        write(&dir.path().join("ipmi/later"), "later", 0o600);
        fs::remove_dir_all(dir.path().join("platformd")).unwrap();
        let owners = owners(&archive.manifest).unwrap();
        replace(&archive, &folders(dir.path()), &owners).unwrap();
        let key = dir.path().join("ipmi/access/key");
        assert_eq!(fs::read_to_string(&key).unwrap(), "secret");
        assert_eq!((mode(&key), mode(key.parent().unwrap())), (0o640, 0o2750));
        assert!(!dir.path().join("ipmi/later").exists());
        assert_eq!(fs::read_to_string(dir.path().join("platformd/state")).unwrap(), "old");
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 2, "nothing is left beside them");
    }

    #[test]
    fn a_folder_that_cannot_be_replaced_leaves_all_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("ipmi/file"), "backup", 0o600);
        write(&dir.path().join("platformd/file"), "backup", 0o600);
        let archive = read_all(dir.path()).unwrap();
        write(&dir.path().join("ipmi/file"), "now", 0o600);
        let mut folders = folders(dir.path());
        // No folder can be made there.
        folders[1].1 = PathBuf::from("/proc/no-such-folder/platformd");
        let owners = owners(&archive.manifest).unwrap();
        assert!(replace(&archive, &folders, &owners).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("ipmi/file")).unwrap(), "now");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn links_and_other_special_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("ipmi/file"), "x", 0o600);
        symlink("/etc/passwd", dir.path().join("ipmi/link")).unwrap();
        assert!(read_all(dir.path()).err().unwrap().to_string().contains("link is neither"));
    }

    #[test]
    fn without_state_there_is_no_backup() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_all(dir.path()).err().unwrap().to_string().contains("there is no state"));
    }

    #[test]
    fn owners_are_found_by_name_or_number() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("ipmi/file"), "x", 0o600);
        let mut manifest = read_all(dir.path()).unwrap().manifest;
        manifest.entries[0].user = "root".to_owned();
        manifest.entries[0].group = "4711".to_owned();
        let found = owners(&manifest).unwrap();
        assert_eq!((found.users["root"], found.groups["4711"]), (0, 4711));
        manifest.entries[0].user = "no-such-user".to_owned();
        assert_eq!(owners(&manifest).err().unwrap(), "this machine has no user no-such-user");
    }
}
