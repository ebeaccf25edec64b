//! A QEMU that `platformd` starts: with a disk whose boot sector prints a line, and a network card.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::host::BOOT_SECTOR;
use crate::suite::Suite;
use crate::{client, programs, wait};

/// What the boot sector prints.
pub const DISK_BOOTS: &str = "boot sector here";
/// What the network card's firmware prints when the machine boots from it.
pub const NETWORK_BOOTS: &str = "starting execution";

/// The machine's UUID.
pub const MACHINE: &str = "11111111-2222-4333-8444-555555555555";

/// The longest that a QEMU may run, in seconds, also if a test that is killed leaves it behind.
const LIMIT: &str = "600";

/// The files of one virtual machine. Dropping it ends QEMU.
#[derive(Debug)]
pub struct Vm {
    dir: TempDir,
}

impl Vm {
    /// The files of a new machine; `None`, with a line that says so, without QEMU.
    ///
    /// # Panics
    ///
    /// If they cannot be written.
    #[must_use]
    pub fn new() -> Option<Self> {
        if programs::installed("qemu-system-x86_64").is_none() {
            eprintln!("skipped: no qemu-system-x86_64");
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let mut sector = BOOT_SECTOR.to_vec();
        sector.resize(510, 0);
        sector.extend(b"\x55\xaa");
        fs::write(dir.path().join("disk"), sector).expect("a disk");
        Some(Self { dir })
    }

    /// The machine's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The section `[host]` of a platform with a bare machine, with `lines` added.
    #[must_use]
    pub fn platform(&self, lines: &str) -> String {
        let dir = self.dir().display();
        let words = [
            "timeout --foreground --signal=KILL",
            LIMIT,
            "qemu-system-x86_64 -machine pc,accel=tcg -m 32 -nodefaults -nographic",
            &format!("-uuid {MACHINE}"),
            &format!("-pidfile {dir}/pid"),
            &format!("-chardev {},id=serial -serial chardev:serial", self.console()),
            "-netdev user,id=net,restrict=on",
            "-device virtio-net-pci,id=net0,netdev=net,bootindex=2",
            &format!("-drive if=none,id=drive,file={dir}/disk,format=raw"),
            "-device ide-hd,id=disk0,drive=drive,bootindex=1",
        ];
        let words = words.join(" ");
        let command: Vec<&str> = words.split(' ').collect();
        format!(
            "{}\n[host.boot]\ndisk = \"disk0\"\npxe = \"net0\"\n",
            self.host(&format!("command = {command:?}\n{lines}"))
        )
    }

    /// The section `[host]` of a platform whose machine is started as `lines` say.
    #[must_use]
    pub fn host(&self, lines: &str) -> String {
        format!(
            "[chassis]\ncycle-ms = 100\n[host]\nbackend = \"qemu\"\nqmp = \"{}\"\n{lines}\n",
            self.qmp().display()
        )
    }

    /// The path of the QMP socket.
    #[must_use]
    pub fn qmp(&self) -> PathBuf {
        self.dir().join("qmp")
    }

    /// The serial console as QEMU's character device, without its id: it dials netipmid, and is also in a file.
    #[must_use]
    pub fn console(&self) -> String {
        let dir = self.dir().display();
        format!("socket,path={dir}/console,reconnect=1,logfile={dir}/serial,logappend=on")
    }

    /// The configuration with which netipmid has the console, and shows all that it has of it.
    #[must_use]
    pub fn configuration(&self) -> String {
        let path = self.dir().join("console");
        format!("[sol]\nconsole = \"listen-unix:{}\"\nscrollback = 65536\n", path.display())
    }

    /// A suite whose host is a bare machine.
    #[must_use]
    pub fn suite(&self, lines: &str) -> Suite {
        Suite::configured(&self.configuration(), &self.platform(lines))
    }

    /// What the machine has printed.
    #[must_use]
    pub fn printed(&self) -> String {
        let printed = fs::read(self.dir().join("serial")).unwrap_or_default();
        String::from_utf8_lossy(&printed).into_owned()
    }

    /// Waits until the machine has printed `text`, `count` times in all.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn until_printed(&self, text: &str, count: usize) {
        let has = |printed: &str| without_dots(printed).matches(&without_dots(text)).count();
        wait::until_true_or_timeout(|| has(&self.printed()) >= count);
        let printed = self.printed();
        let count_is = has(&printed);
        assert!(count_is >= count, "{count_is} times {text:?}, not {count}:\n{printed}");
    }

    /// QEMU's process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<i32> {
        let pid = fs::read_to_string(self.dir().join("pid")).ok()?.trim().parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        name.starts_with("qemu").then_some(pid)
    }

    /// Waits until no QEMU runs.
    ///
    /// # Panics
    ///
    /// If one does.
    #[track_caller]
    pub fn until_ended(&self) {
        wait::until_true("QEMU has ended", || self.process().is_none());
    }

    /// Sends QEMU a signal.
    ///
    /// # Panics
    ///
    /// If none runs.
    pub fn signal(&self, signal: Signal) {
        let process = self.process().expect("a QEMU");
        signal::kill(Pid::from_raw(process), signal).expect("a process of ours");
    }
}

/// Text without what SeaBIOS still prints, by a timer, while the boot sector prints already: the dots behind "Booting".
fn without_dots(text: &str) -> String {
    text.replace(['.', '\r', '\n'], "")
}

impl Drop for Vm {
    fn drop(&mut self) {
        if let Some(process) = self.process() {
            let _ = signal::kill(Pid::from_raw(process), Signal::SIGKILL);
        }
    }
}

/// The processes whose parent is `parent` and which have ended without being waited for.
///
/// # Panics
///
/// If ps does not run.
#[must_use]
pub fn zombies(parent: u32) -> Vec<String> {
    let parent = parent.to_string();
    let listed = client::run(Command::new("ps").args(["-o", "stat=,comm=", "--ppid", &parent]));
    listed.stdout.lines().filter(|line| line.starts_with('Z')).map(str::to_owned).collect()
}
