//! OpenBMC's own bridges, and ours beside them, on sockets in place of devices.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

use crate::process::Process;
use crate::programs;
use crate::suite::Suite;

/// A folder with OpenBMC's `kcsbridged`, `btbridged`, `ssifbridged` and `ipmbbridged`, as far as they
/// have been built.
const VARIABLE: &str = "OPENBMC_BRIDGES";

/// Source of the library that is preloaded into a bridge so that its device is a socket.
const DEVICE: &str = include_str!("../data/bridge_device.c");

/// The path of OpenBMC's bridge `name`; `None`, with a line on stderr, if it is missing.
#[must_use]
pub fn openbmc_bridge(name: &str) -> Option<PathBuf> {
    let program = env::var_os(VARIABLE).map(|folder| Path::new(&folder).join(name));
    let program = program.filter(|program| program.exists());
    if program.is_none() {
        eprintln!("skipped: {VARIABLE} names no folder with OpenBMC's {name}");
    }
    program
}

/// The preloaded library that replaces devices by sockets.
#[derive(Debug)]
pub struct Devices {
    library: PathBuf,
    _folder: TempDir,
}

impl Devices {
    /// Builds it.
    ///
    /// # Panics
    ///
    /// If that fails.
    #[must_use]
    pub fn build() -> Self {
        let daemons = programs::program("ipmid");
        let beside = daemons.parent().expect("a program's folder");
        // Where programs may be loaded from.
        let folder = tempfile::tempdir_in(beside).expect("a folder");
        let source = folder.path().join("bridge_device.c");
        let library = folder.path().join("bridge_device.so");
        fs::write(&source, DEVICE).expect("the source");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler");
        assert!(built.success(), "the library does not build");
        Self { library, _folder: folder }
    }

    /// Starts the bridge `program` beside `suite`, in whose folder a socket `device` is or will be.
    #[must_use]
    pub fn start(
        &self,
        suite: &Suite,
        program: &Path,
        device: &str,
        arguments: &[&str],
    ) -> Process {
        let environment = [
            ("DBUS_SYSTEM_BUS_ADDRESS", suite.bus.address()),
            ("LD_PRELOAD", self.library.display().to_string()),
            ("BRIDGE_FOLDER", suite.dir().display().to_string()),
            ("BRIDGE_DEVICE", device.to_owned()),
        ];
        let arguments: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
        Process::start(device, suite.dir(), program, &arguments, &environment)
    }
}
