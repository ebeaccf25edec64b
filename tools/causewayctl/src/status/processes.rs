//! What the kernel says of a process (proc(5)).

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::time;

/// Clock ticks in a second, as the kernel shows times to programs (`USER_HZ`): 100 on every architecture of ours.
const TICKS: u64 = 100;

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// Its name (comm).
    pub(super) name: String,
}

impl Process {
    pub(super) fn new(pid: u32) -> Self {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let name = name.trim_end();
        Self { pid, name: if name.is_empty() { "unknown" } else { name }.to_owned() }
    }

    /// When it was started; `None` where the kernel does not say.
    pub(super) fn started(&self) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let kernel = fs::read_to_string("/proc/stat").ok()?;
        let boot = kernel.lines().find_map(|line| line.strip_prefix("btime "))?;
        Some(time::utc(boot.trim().parse::<u64>().ok()? + ticks(&stat)? / TICKS))
    }

    /// The version that its program prints. Only a file that root or this user alone can write is run.
    pub(super) fn version(&self) -> Option<String> {
        let program = PathBuf::from(format!("/proc/{}/exe", self.pid));
        let file = fs::read_link(&program).ok()?;
        let file = file.file_name()?.to_str()?.trim_end_matches(" (deleted)");
        if file != self.name && file != "causeway" {
            return None;
        }
        // One file is looked at and run, whatever the process becomes meanwhile.
        let program = File::open(&program).ok()?;
        let metadata = program.metadata().ok()?;
        let own = fs::metadata("/proc/self").ok()?.uid();
        let is_safe = [0, own].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0;
        if !is_safe {
            return None;
        }
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.arg0(&self.name).arg("--version").env_clear();
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.strip_prefix(&self.name)?.trim().to_owned())
    }

    /// Whether its program is no longer the file of that name: it was upgraded while it ran.
    pub(super) fn is_replaced(&self) -> bool {
        let link = fs::read_link(format!("/proc/{}/exe", self.pid));
        link.is_ok_and(|file| file.to_string_lossy().ends_with(" (deleted)"))
    }
}

/// The start time of `/proc/PID/stat`, in ticks since the boot. The name before it may have spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_found_behind_any_name() {
        let fields = "S 1 7 7 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 4711 90000 100 0";
        for name in ["ipmid", "a) b (c", ""] {
            assert_eq!(ticks(&format!("7 ({name}) {fields}")), Some(4711), "{name}");
        }
        assert_eq!(ticks("7 (ipmid) S 1"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn own_process_has_a_start() {
        let own = Process::new(std::process::id());
        assert!(own.started().is_some());
        assert!(!own.is_replaced());
        assert_eq!(own.version(), None);
    }
}
