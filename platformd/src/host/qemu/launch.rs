//! The command line that starts QEMU.

use std::path::Path;

use crate::config::Host;

/// The program and its arguments, with what this daemon needs: its QMP socket, and a start without running, so
/// that the boot order is set before the firmware looks at it.
///
/// # Errors
///
/// Text for a log line, when the file with the arguments cannot be read.
pub(super) fn command_line(host: &Host) -> Result<Vec<String>, String> {
    if host.command.is_empty() && host.argument_file.as_os_str().is_empty() {
        let text = "no QEMU is at the socket, and no `command` to start one is configured";
        return Err(text.to_owned());
    }
    let mut words = if host.command.is_empty() {
        let file = host.argument_file.display();
        let text = std::fs::read_to_string(&host.argument_file);
        parse(&text.map_err(|error| format!("the argument file {file}: {error}"))?)
    } else {
        host.command.clone()
    };
    if words.is_empty() {
        return Err("no program that starts QEMU is configured".to_owned());
    }
    let socket = option_value(&host.qmp);
    if !words.iter().any(|word| word.contains(&socket)) {
        words.extend(["-qmp".to_owned(), format!("unix:{socket},server=on,wait=off")]);
    }
    if !words.iter().any(|word| word == "-S") {
        words.push("-S".to_owned());
    }
    Ok(words)
}

/// The machine's UUID, if the command line has one.
pub(super) fn uuid(host: &Host) -> Option<String> {
    let words = command_line(host).ok()?;
    let option = words.iter().position(|word| word == "-uuid" || word == "--uuid")?;
    words.get(option + 1).filter(|id| is_uuid(id)).cloned()
}

/// Whether `id` is a UUID that is set.
pub(super) fn is_uuid(id: &str) -> bool {
    uuid::Uuid::try_parse(id).is_ok_and(|id| !id.is_nil())
}

/// The words of an argument file: one a line; a line that begins with `#` and an empty line are none.
fn parse(text: &str) -> Vec<String> {
    let is_word = |line: &&str| !line.is_empty() && !line.starts_with('#');
    text.lines().map(str::trim).filter(is_word).map(str::to_owned).collect()
}

/// A path as a value of QEMU's options, where a comma ends a value.
fn option_value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Platform;

    fn host(text: &str) -> Host {
        let text = format!("[host]\nbackend = \"qemu\"\nqmp = \"/run/a,b\"\n{text}");
        Platform::parse("test.toml", &text).unwrap().host
    }

    #[test]
    fn socket_and_start_option_are_added_once() {
        let line = command_line(&host("command = [\"qemu\", \"-m\", \"64\"]")).unwrap();
        let own = ["-qmp", "unix:/run/a,,b,server=on,wait=off", "-S"];
        assert_eq!(line, [&["qemu", "-m", "64"][..], &own].concat());
        let given = "command = [\"qemu\", \"-chardev\", \"socket,id=q,path=/run/a,,b\", \"-S\"]";
        assert_eq!(command_line(&host(given)).unwrap().len(), 4);
    }

    #[test]
    fn uuid_of_the_command_line_is_known_before_qemu_runs() {
        let id = "11111111-2222-3333-4444-555555555555";
        let given = |id: &str| uuid(&host(&format!("command = [\"qemu\", \"-uuid\", \"{id}\"]")));
        assert_eq!(given(id).as_deref(), Some(id));
        assert_eq!(given("00000000-0000-0000-0000-000000000000"), None);
        assert_eq!(given("nonsense"), None);
        assert_eq!(uuid(&host("command = [\"qemu\", \"-uuid\"]")), None);
    }

    #[test]
    fn an_argument_file_has_a_word_in_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("arguments");
        let text = format!("argument-file = \"{}\"", path.display());
        assert!(command_line(&host(&text)).unwrap_err().contains("No such file"));
        std::fs::write(&path, "# a guest\nqemu\n-name\n  two words \n\n-S\n").unwrap();
        let line = command_line(&host(&text)).unwrap();
        assert_eq!(line.get(..4).unwrap(), ["qemu", "-name", "two words", "-S"]);
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(command_line(&host(&text)).is_err());
    }
}
