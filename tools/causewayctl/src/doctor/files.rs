//! The configuration file and the state folder.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Finding;
use super::services::Owner;
use crate::config::{self, Outcome};

pub(super) fn check(config: &Path, state: &Path, owners: &[Owner]) -> Vec<Finding> {
    let mut findings = configuration(config);
    let access = state.join("access");
    let Ok(metadata) = fs::metadata(&access) else {
        let problem = format!("{} cannot be read or does not exist", access.display());
        let remedy = "systemd-tmpfiles --create && systemctl restart ipmid, and run this as root, \
            or name the daemons' folder with --state-dir";
        findings.push(Finding::new("state", problem, remedy));
        return findings;
    };
    findings.extend(ownership(&access, &metadata, owners));
    for folder in [access, state.join("ipmid")] {
        findings.extend(entries(&folder));
    }
    findings
}

/// What the daemons refuse of the file.
fn configuration(file: &Path) -> Vec<Finding> {
    if !file.exists() {
        // The built-in configuration counts.
        if file == Path::new(config::FILE) {
            return Vec::new();
        }
        let problem = format!("{} does not exist", file.display());
        return vec![Finding::new("configuration", problem, "name another file with --config")];
    }
    let mut findings: Vec<Finding> = Vec::new();
    for verdict in config::check(file) {
        if verdict.result != Outcome::Refused {
            continue;
        }
        let place = match (verdict.file, verdict.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            _ => String::new(),
        };
        let problem = format!("{place}{}", verdict.error.unwrap_or_default());
        // Daemons that read the same section say the same.
        if !findings.iter().any(|finding| finding.problem == problem) {
            let remedy = format!("mend the line, then causewayctl config check {}", file.display());
            findings.push(Finding::new("configuration", problem, remedy));
        }
    }
    findings
}

/// Whether `ipmid` may write and netipmid read the accounts.
fn ownership(access: &Path, metadata: &Metadata, owners: &[Owner]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let path = access.display();
    let remedy = format!("chown -R ipmid:ipmi-access {path}, or systemd-tmpfiles --create");
    let identity = |process: &str| {
        let owner = owners.iter().find(|owner| owner.process == process)?;
        Identity::of(owner.pid)
    };
    if let Some(ipmid) = identity("ipmid")
        && ipmid.uid != 0
        && ipmid.uid != metadata.uid()
    {
        let problem = format!("{path} is not of ipmid's user, which cannot change accounts");
        findings.push(Finding::new("state", problem, remedy.clone()));
    }
    if let Some(netipmid) = identity("netipmid")
        && !netipmid.may_read(metadata)
    {
        let problem = format!("netipmid's user may not read {path}: no user can log in");
        findings.push(Finding::new("state", problem, remedy));
    }
    if metadata.mode() & 0o007 != 0 {
        let problem = format!("{path} is open to every user, with sealed passwords and their key");
        findings.push(Finding::new("state", problem, format!("chmod 2750 {path}")));
    }
    findings
}

/// Files that are open to others, and damaged ones that were set aside.
fn entries(folder: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "corrupt") {
            findings.push(Finding::new(
                "state",
                format!("{} was damaged: the copy before it or defaults serve", path.display()),
                "restore a backup (docs/state-files.md), then remove that file",
            ));
        } else if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
            && metadata.mode() & 0o007 != 0
        {
            let problem = format!("{} is open to every user", path.display());
            findings.push(Finding::new("state", problem, format!("chmod o= {}", path.display())));
        }
    }
    findings
}

/// The user and groups of a process.
#[derive(Debug)]
struct Identity {
    uid: u32,
    groups: Vec<u32>,
}

impl Identity {
    fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let numbers = |name: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.into_iter()
                .flat_map(str::split_whitespace)
                .filter_map(|n| n.parse().ok())
                .collect()
        };
        // Real, effective, saved and file system ids.
        let uid = *numbers("Uid:").get(1)?;
        let groups = [numbers("Gid:").get(1).copied().into_iter().collect(), numbers("Groups:")];
        Some(Self { uid, groups: groups.concat() })
    }

    fn may_read(&self, metadata: &Metadata) -> bool {
        let needed = if self.uid == metadata.uid() {
            0o500
        } else if self.groups.contains(&metadata.gid()) {
            0o050
        } else {
            0o005
        };
        self.uid == 0 || metadata.mode() & needed == needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_is_judged_as_owner_group_or_other() {
        let folder = std::env::temp_dir();
        // Sticky and open to all, root's.
        let metadata = fs::metadata(folder).unwrap();
        let stranger = Identity { uid: 4711, groups: vec![4711] };
        assert_eq!(stranger.may_read(&metadata), metadata.mode() & 0o005 == 0o005);
        assert!(Identity { uid: 0, groups: Vec::new() }.may_read(&metadata));
        let own = Identity::of(std::process::id()).unwrap();
        assert_eq!(own.uid, fs::metadata("/proc/self").unwrap().uid());
    }
}
