//! A bus for one test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use zbus::Connection;
use zbus::connection::Builder;

/// A bus daemon without restrictions, which ends with its test.
#[derive(Debug)]
pub struct Bus {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Bus {
    /// Starts dbus-daemon.
    ///
    /// # Panics
    ///
    /// When there is no `dbus-daemon`.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = format!("unix:path={}", folder.path().join("bus").display());
        let config = folder.path().join("bus.conf");
        let text = format!(
            "<busconfig><listen>{address}</listen><policy context=\"default\">\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>\
             <allow user=\"*\"/></policy></busconfig>"
        );
        std::fs::write(&config, text).expect("a configuration");
        let mut process = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon");
        let mut line = String::new();
        let output = process.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("its address");
        Self { process, address, _folder: folder }
    }

    /// A connection to it.
    ///
    /// # Panics
    ///
    /// When the bus is gone.
    pub async fn connect(&self) -> Connection {
        self.builder().build().await.expect("a connection")
    }

    /// A connection to be.
    pub fn builder(&self) -> Builder<'_> {
        Builder::address(self.address.as_str())
    }

    /// Ends the bus daemon without warning.
    pub fn kill(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}
