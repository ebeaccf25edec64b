//! `backup` and `restore`: the state of all daemons in one file, sealed under a passphrase.
//!
//! - [`seal`]: the file: a header, and a body that is encrypted as a whole.
//! - [`archive`]: the body: a manifest, and the contents of the files.
//! - [`tree`]: the state folders, read and replaced.
//! - [`writers`]: the daemons that write them.

mod archive;
mod product;
mod seal;
mod tree;
mod writers;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;

use self::archive::{Archive, Manifest};
use self::product::Product;
use crate::error::Error;
use crate::output::{Cell, Report, Style};
use crate::password::Passphrase;
use crate::{config, file as files, time};

/// The state folders of the daemons, by the name that a backup has for each.
const FOLDERS: [(&str, &str); 3] = [
    ("ipmi", "/var/lib/ipmi"),
    ("platformd", "/var/lib/platformd"),
    ("mctp-demuxd", "/var/lib/mctp-demuxd"),
];

/// Write the state of all daemons to one file, sealed under a passphrase
///
/// Has the event log, users with their passwords, and all settings that commands have made; not the configuration. The
/// daemons may run. The file is as secret as its passphrase is good.
#[derive(Args, Debug)]
pub(crate) struct BackupArguments {
    /// The file to write; an earlier one is replaced as a whole
    file: PathBuf,
    #[command(flatten)]
    here: Here,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Take a weak passphrase too
    #[arg(long)]
    allow_weak: bool,
}

/// Replace the state of all daemons by that of a backup
///
/// The daemons that write it have to be stopped. Folders that the backup does not have stay as they are. Refused where it
/// does not fit, with nothing changed: another format or product, a wrong passphrase, an altered file, a user that is missing
/// here.
#[derive(Args, Debug)]
pub(crate) struct RestoreArguments {
    /// The file of a backup
    file: PathBuf,
    #[command(flatten)]
    here: Here,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Show what would be replaced, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take the backup of another product too
    #[arg(long)]
    force: bool,
}

/// Where the state is.
#[derive(Args, Debug)]
struct Here {
    /// The configuration file of the daemons, which names the product
    #[arg(long, value_name = "FILE", default_value = config::FILE)]
    config: PathBuf,
    /// The folder that /var/lib is below, such as a mounted image
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Here {
    /// The state folder that a backup calls `name`.
    fn folder(&self, name: &str) -> Option<PathBuf> {
        let (_, path) = FOLDERS.iter().find(|(known, _)| *known == name)?;
        Some(self.root.join(path.trim_start_matches('/')))
    }
}

/// What was, or would be, done, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Done {
    file: String,
    created: String,
    version: String,
    product: Product,
    folders: Vec<Folder>,
    dry_run: bool,
}

/// A state folder, as JSON.
#[derive(Serialize)]
struct Folder {
    folder: String,
    files: usize,
    bytes: u64,
}

impl Done {
    fn new(file: &Path, manifest: &Manifest, here: &Here, dry_run: bool) -> Self {
        let folder = |name: &String| {
            let files =
                manifest.entries.iter().filter(|entry| entry.root == *name && !entry.is_folder);
            let sizes: Vec<u64> = files.map(|entry| entry.size).collect();
            let path = here.folder(name).unwrap_or_default().display().to_string();
            Folder { folder: path, files: sizes.len(), bytes: sizes.iter().sum() }
        };
        Self {
            file: file.display().to_string(),
            created: manifest.created.clone(),
            version: manifest.version.clone(),
            product: manifest.product,
            folders: manifest.roots().iter().map(folder).collect(),
            dry_run,
        }
    }

    fn report(&self, what: &str) -> Report {
        Report::new(self, |page| {
            let row = |folder: &Folder| {
                let Folder { folder, files, bytes } = folder;
                vec![Cell::from(folder.clone()), files.to_string().into(), bytes.to_string().into()]
            };
            page.table(&["FOLDER", "FILES", "BYTES"], self.folders.iter().map(row).collect());
            page.line(Cell::new(what, Style::Good));
        })
    }
}

pub(crate) fn backup(arguments: &BackupArguments) -> Result<Report, Error> {
    let BackupArguments { file, here, passphrase, allow_weak } = arguments;
    let product = Product::read(&here.config)?;
    let folders = FOLDERS.iter().filter_map(|(name, _)| Some((*name, here.folder(name)?)));
    let archive =
        Archive { manifest: Manifest::new(time::utc(now()), product), contents: Vec::new() };
    // Before the question for a passphrase.
    let archive = tree::read(archive, folders)?;
    let passphrase = passphrase.ask_twice(*allow_weak)?;
    let sealed = seal::seal(&passphrase, &archive.encode()?)?;
    files::replace(file, &sealed, 0o600)
        .map_err(|error| Error::failed(format_args!("cannot write {}: {error}", file.display())))?;
    let done = Done::new(file, &archive.manifest, here, false);
    Ok(done.report(&format!("{}: {} bytes, sealed", file.display(), sealed.len())))
}

pub(crate) fn restore(arguments: &RestoreArguments) -> Result<Report, Error> {
    let RestoreArguments { file, here, passphrase, dry_run, force } = arguments;
    let sealed = read(file)?;
    let header = seal::Header::parse(&sealed).map_err(|error| refused(file, error))?;
    let passphrase = passphrase.ask_once()?;
    let body = header.open(&passphrase, &sealed).map_err(|error| refused(file, error))?;
    let archive = Archive::decode(&body).map_err(|error| refused(file, error))?;
    let own = Product::read(&here.config)?;
    let theirs = archive.manifest.product;
    if theirs != own && !force {
        let text = format!("it is of another product: {theirs}, and this is {own}");
        return Err(refused(file, text).remedy("--force takes it nevertheless"));
    }
    let folders: Vec<(String, PathBuf)> = archive
        .manifest
        .roots()
        .into_iter()
        .filter_map(|name| Some((name.clone(), here.folder(&name)?)))
        .collect();
    let owners = tree::owners(&archive.manifest).map_err(|error| refused(file, error))?;
    writers::must_be_stopped(&folders)?;
    let done = Done::new(file, &archive.manifest, here, *dry_run);
    if *dry_run {
        return Ok(done.report("it fits; nothing was changed"));
    }
    tree::replace(&archive, &folders, &owners)?;
    Ok(done.report("restored; start the daemons again"))
}

fn refused(file: &Path, error: impl std::fmt::Display) -> Error {
    Error::failed(format_args!("{} is refused: {error}", file.display()))
}

/// Reads a backup, which is bounded.
fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error: io::Error| Error::failed(format_args!("{}: {error}", file.display()));
    let most = seal::LARGEST as u64;
    let mut sealed = Vec::new();
    File::open(file).map_err(failed)?.take(most + 1).read_to_end(&mut sealed).map_err(failed)?;
    if sealed.len() as u64 > most {
        return Err(refused(file, "it is larger than any backup"));
    }
    Ok(sealed)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
