//! The daemons as built: built once per test process, by Cargo, in the profile of the tests.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A folder with built daemons, to test those instead of building: `./check` sets it, and so can
/// to test a release build.
const VARIABLE: &str = "CAUSEWAY_BINARIES";

/// The path of the built program `name`.
///
/// # Panics
///
/// If the workspace does not build, or has no such program.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(folder).join(name);
    assert!(path.exists(), "no program {}", path.display());
    path
}

/// The folder of the built programs, after building them unless that was done.
fn folder() -> PathBuf {
    if let Some(folder) = env::var_os(VARIABLE) {
        return folder.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--bins"])
        .current_dir(root)
        .status()
        .expect("cargo");
    assert!(built.success(), "the workspace does not build");
    // Test programs lie in <target>/<profile>/deps, the daemons one folder above.
    let test = env::current_exe().expect("the path of this test");
    test.ancestors().nth(2).expect("<profile>/deps/<test>").to_owned()
}

/// A program of the system, where it is installed.
#[must_use]
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.exists())
}
