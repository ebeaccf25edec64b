//! The words of QEMU's command line.

use std::path::Path;

/// Options of QEMU that have no value; what follows them is another option.
const WITHOUT_VALUE: [&str; 18] = [
    "-S",
    "-enable-kvm",
    "-no-acpi",
    "-no-fd-bootchk",
    "-no-hpet",
    "-no-reboot",
    "-no-shutdown",
    "-no-user-config",
    "-nodefaults",
    "-nographic",
    "-only-migratable",
    "-preconfig",
    "-s",
    "-snapshot",
    "-singlestep",
    "-usb",
    "-full-screen",
    "-daemonize",
];

/// A command line, in which the program may come after others, such as `timeout` or `nice`.
#[derive(Clone, Debug)]
pub(super) struct Words {
    words: Vec<String>,
    /// Where the program's arguments begin.
    begin: usize,
}

impl Words {
    pub(super) fn new(command: &[String]) -> Self {
        let is_qemu = |word: &String| {
            let name = Path::new(word).file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("qemu") || name == "kvm"
        };
        let program = command.iter().position(is_qemu).unwrap_or_default();
        Self { words: command.to_vec(), begin: (program + 1).min(command.len()) }
    }

    /// Whether the program emulates a PC.
    pub(super) fn is_x86(&self) -> bool {
        let program = self.begin.checked_sub(1).and_then(|at| self.words.get(at));
        let name =
            program.map(|word| Path::new(word).file_name().unwrap_or_default().to_string_lossy());
        name.is_some_and(|name| {
            ["x86_64", "i386"].iter().any(|arch| name.contains(arch))
                || matches!(&*name, "kvm" | "qemu-kvm")
        })
    }

    /// The places of options, each with the option as if it had one dash.
    fn options(&self) -> Vec<(usize, String)> {
        let mut options = Vec::new();
        let mut at = self.begin;
        while let Some(word) = self.words.get(at) {
            let option =
                word.strip_prefix('-').filter(|rest| rest.starts_with('-')).unwrap_or(word);
            if option.starts_with('-') {
                options.push((at, option.to_owned()));
                at += if WITHOUT_VALUE.contains(&option) { 1 } else { 2 };
            } else {
                at += 1;
            }
        }
        options
    }

    /// Whether one of these options is given.
    pub(super) fn has_option(&self, names: &[&str]) -> bool {
        self.options().iter().any(|(_, option)| names.contains(&option.as_str()))
    }

    /// The values of these options, with their places.
    pub(super) fn values(&self, names: &[&str]) -> Vec<(usize, String, String)> {
        let given =
            self.options().into_iter().filter(|(_, option)| names.contains(&option.as_str()));
        given
            .filter_map(|(at, option)| Some((at, option, self.words.get(at + 1)?.clone())))
            .collect()
    }

    /// Whether an argument has `part` in it.
    pub(super) fn has_part(&self, part: &str) -> bool {
        self.words.iter().skip(self.begin).any(|word| word.contains(part))
    }

    /// Adds arguments.
    pub(super) fn add(&mut self, words: &[&str]) {
        self.words.extend(words.iter().map(|word| (*word).to_owned()));
    }

    /// Adds arguments unless one of `options` is given.
    pub(super) fn add_unless_given(&mut self, options: &[&str], words: &[&str]) {
        if !self.has_option(options) {
            self.add(words);
        }
    }

    /// Puts other arguments in the place of an option and its value.
    pub(super) fn replace(&mut self, at: usize, words: &[&str]) {
        let words = words.iter().map(|word| (*word).to_owned());
        let end = (at + 2).min(self.words.len());
        self.words.splice(at..end, words);
    }

    pub(super) fn into_command(self) -> Vec<String> {
        self.words
    }
}

/// The parts of an option's value, which are separated by single commas.
pub(super) fn parts(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            (',', Some(',')) => {
                rest.next();
                if let Some(part) = parts.last_mut() {
                    part.push_str(",,");
                }
            }
            (',', _) => parts.push(String::new()),
            _ => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    parts
}

/// The value of the part `name=`.
pub(super) fn part<'a>(parts: &'a [String], name: &str) -> Option<&'a str> {
    parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Words::new(&words)
    }

    #[test]
    fn options_are_told_from_their_values() {
        let line = words("nice -n 5 qemu-system-x86_64 -S -append -serial --nographic -m 5");
        assert!(line.has_option(&["-nographic"]) && line.has_option(&["-m"]));
        assert!(!line.has_option(&["-serial"]), "a value of -append");
        assert!(!line.has_option(&["-n"]), "an option of nice");
        assert_eq!(line.values(&["-m"]), [(8, "-m".to_owned(), "5".to_owned())]);
        assert!(line.is_x86());
        assert!(!words("qemu-system-aarch64 -M virt").is_x86());
    }

    #[test]
    fn double_commas_are_no_separators() {
        let parts = parts("file=/a,,b,if=none,,");
        assert_eq!(parts, ["file=/a,,b", "if=none,,"]);
        assert_eq!(part(&parts, "file"), Some("/a,,b"));
        assert_eq!(part(&parts, "fil"), None);
    }

    #[test]
    fn an_option_is_replaced_with_its_value() {
        let mut line = words("qemu -hda x -m 5");
        line.replace(1, &["-drive", "file=x", "-device", "ide-hd"]);
        assert_eq!(line.into_command().join(" "), "qemu -drive file=x -device ide-hd -m 5");
        let mut line = words("qemu -hda");
        line.replace(1, &[]);
        assert_eq!(line.into_command(), ["qemu"]);
    }
}
