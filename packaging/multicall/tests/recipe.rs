//! The Yocto recipe's crates: those of `Cargo.lock`, in the form that bitbake's fetcher takes.
//!
//! `CAUSEWAY_WRITE_CRATES=1 cargo test -p causeway --test recipe` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A value of one package of `Cargo.lock`.
fn value<'a>(package: &'a str, key: &str) -> Option<&'a str> {
    let (_, found) =
        package.lines().filter_map(|line| line.split_once(" = ")).find(|(name, _)| *name == key)?;
    Some(found.trim_matches('"'))
}

/// The include file of a lock file.
fn crates(lock: &str) -> String {
    let mut uris = String::new();
    let mut checksums = String::new();
    for package in lock.split("[[package]]").skip(1) {
        let Some(source) = value(package, "source") else { continue };
        let name = value(package, "name").expect("a name");
        assert!(source.starts_with("registry+"), "{name} is from {source}");
        let version = value(package, "version").expect("a version");
        let checksum = value(package, "checksum").expect("a checksum");
        uris += &format!("    crate://${{CAUSEWAY_CRATES}}/{name}/{version} \\\n");
        checksums += &format!("SRC_URI[{name}-{version}.sha256sum] = \"{checksum}\"\n");
    }
    format!(
        "# The crates of Cargo.lock, written by `CAUSEWAY_WRITE_CRATES=1 cargo test -p causeway --test recipe`.\n\
         SRC_URI += \"\\\n{uris}\"\n\n{checksums}"
    )
}

#[test]
fn crates_of_the_recipe_are_those_of_the_lock_file() {
    let wanted = crates(&read("../../Cargo.lock"));
    let file = "../yocto/causeway-crates.inc";
    if std::env::var_os("CAUSEWAY_WRITE_CRATES").is_some() {
        fs::write(path(file), wanted).expect("the crates");
    } else {
        assert!(
            read(file) == wanted,
            "causeway-crates.inc is not up to date: CAUSEWAY_WRITE_CRATES=1 cargo test -p causeway --test recipe"
        );
    }
}

#[test]
fn recipe_unpacks_where_it_builds_and_follows_no_branch() {
    let recipe = read("../yocto/causeway_git.bb");
    assert!(!recipe.contains("AUTOREV"), "a recipe names its revision");
    // The default of S is where the fetcher unpacks to, whatever the release calls that folder.
    assert!(!recipe.lines().any(|line| line.starts_with("S =")), "S has its default");
    assert!(recipe.contains(";destsuffix=${BP}"), "the repository is unpacked to S");
    let version = format!("PV = \"{}+git\"", env!("CARGO_PKG_VERSION"));
    assert!(recipe.contains(&version), "{version}");
    assert!(recipe.contains("\"CAUSEWAY_CRATES\""), "the registry is the layer's to set");
}
