//! `[host]`: keys that the chosen backend does not have, and what it needs.

use std::collections::BTreeSet;
use std::path::Path;

use daemon::Invalid;

use super::Checked;
use crate::config::{BackendKind, Boot, BootDevice, Console, Host, LONGEST_MS};

/// The longest path of a socket (`sun_path`, with its NUL).
const SOCKET_PATH: usize = 107;

/// The most texts of a console's script, and the most bytes of one.
const MOST_LINES: usize = 1000;
const MOST_TEXT: usize = 4096;

/// Refuses what the backend cannot use.
pub(super) fn validate(host: &Host) -> Checked {
    let is_qemu = host.backend == BackendKind::Qemu;
    let is_simulated = host.backend == BackendKind::Simulated;
    let is_command = host.backend == BackendKind::Command;
    let given = [
        ("qmp", !host.qmp.as_os_str().is_empty(), is_qemu),
        ("command", !host.command.is_empty(), is_qemu),
        ("argument-file", !host.argument_file.as_os_str().is_empty(), is_qemu),
        ("boot", BootDevice::ALL.iter().any(|it| host.boot.device(*it).is_some()), is_qemu),
        ("console", host.console.path.is_some() || !host.console.script.is_empty(), is_simulated),
        ("commands", host.commands.all().iter().any(|(_, it)| it.is_some()), is_command),
    ];
    for (key, is_given, is_known) in given {
        if is_given && !is_known {
            let backend = host.backend.name();
            let text = format!("has no meaning with the backend `{backend}`");
            return Err(Invalid::at(format!("host.{key}"), text));
        }
    }
    match host.backend {
        BackendKind::Simulated => console(&host.console),
        BackendKind::Qemu => qemu(host),
        BackendKind::Command => commands(host),
    }
}

fn console(console: &Console) -> Checked {
    match &console.path {
        None if console.script.is_empty() => return Ok(()),
        None => return Err(missing("console.path").or_at("host.console.script")),
        Some(path) => socket("host.console.path", path)?,
    }
    if console.script.len() > MOST_LINES {
        let text = format!("has more than {MOST_LINES} texts");
        return Err(Invalid::at("host.console.script", text));
    }
    for (at, (ms, text)) in console.script.iter().enumerate() {
        let key = || format!("host.console.script[{at}]");
        let before = at.checked_sub(1).and_then(|at| console.script.get(at));
        if *ms > LONGEST_MS || before.is_some_and(|(before, _)| before > ms) {
            return Err(Invalid::at(key(), "is not in the order of time, or is later than a day"));
        }
        if text.len() > MOST_TEXT {
            return Err(Invalid::at(key(), format!("is longer than {MOST_TEXT} bytes")));
        }
    }
    Ok(())
}

/// The path of a socket.
fn socket(key: &str, path: &Path) -> Checked {
    let length = path.as_os_str().len();
    if length == 0 {
        return Err(Invalid::at(key, "is empty"));
    }
    if length > SOCKET_PATH {
        let text = format!("is longer than the {SOCKET_PATH} bytes of a socket's path");
        return Err(Invalid::at(key, text));
    }
    Ok(())
}

fn qemu(host: &Host) -> Checked {
    if host.qmp.as_os_str().is_empty() {
        return Err(missing("qmp"));
    }
    socket("host.qmp", &host.qmp)?;
    match (host.command.is_empty(), host.argument_file.as_os_str().is_empty()) {
        (false, false) => {
            return Err(Invalid::at("host.argument-file", "is given beside `command`"));
        }
        // Something else starts QEMU.
        (true, true) => {}
        _ => words("host.command", &host.command)?,
    }
    boot(&host.boot)
}

/// A key without which the backend cannot work.
fn missing(key: &str) -> Invalid {
    Invalid::at(format!("host.{key}"), "is missing; the backend needs it").or_at("host.backend")
}

/// The words of a command line, which may be absent.
fn words(key: &str, words: &[String]) -> Checked {
    if words.first().is_some_and(String::is_empty) {
        return Err(Invalid::at(format!("{key}[0]"), "is no program"));
    }
    match words.iter().position(|word| word.contains('\0')) {
        Some(at) => Err(Invalid::at(format!("{key}[{at}]"), "has a NUL")),
        None => Ok(()),
    }
}

fn boot(boot: &Boot) -> Checked {
    let mut seen = BTreeSet::new();
    for device in BootDevice::ALL {
        let Some(id) = boot.device(device) else { continue };
        let key = format!("host.boot.{}", device.name());
        if id.is_empty() || id.contains(char::is_control) {
            return Err(Invalid::at(key, format!("{id:?} is no id and no QOM path of a device")));
        }
        super::once(&mut seen, id, key, id)?;
    }
    let mut ranked = BTreeSet::new();
    for (at, device) in boot.order.iter().enumerate() {
        let key = format!("host.boot.order[{at}]");
        super::once(&mut ranked, device, key, device.name())?;
    }
    Ok(())
}

fn commands(host: &Host) -> Checked {
    for (name, program) in host.commands.all() {
        let key = format!("host.commands.{name}");
        match program {
            Some(program) if program.run.is_empty() => {
                return Err(Invalid::at(format!("{key}.run"), "is no program").or_at(key));
            }
            Some(program) => words(&format!("{key}.run"), &program.run)?,
            None if matches!(name, "on" | "off" | "status") => {
                let text = "is missing; the backend needs it";
                return Err(Invalid::at(key, text).or_at("host.commands").or_at("host.backend"));
            }
            None => {}
        }
    }
    Ok(())
}
