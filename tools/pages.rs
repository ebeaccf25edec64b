//! For the tests of the tools: their pages of the manual and their completions in `packaging` are those of this build.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap_mangen::Man;

/// A tool's name and section, and what its completions are.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    pub(crate) command: clap::Command,
    pub(crate) completions: fn(&str) -> Option<Vec<u8>>,
}

impl Tool {
    /// Compares the pages, or writes them anew.
    pub(crate) fn check_pages(mut self) {
        self.command.build();
        let mut wanted = BTreeMap::new();
        self.add_pages(&self.command, &mut wanted);
        self.check("man", &wanted);
    }

    /// Compares the completions, or writes them anew.
    pub(crate) fn check_completions(self) {
        let name = self.name;
        let files = [
            ("bash", name.to_owned()),
            ("fish", format!("{name}.fish")),
            ("zsh", format!("_{name}")),
        ];
        let script = |shell| (self.completions)(shell).expect("a shell that is known");
        let wanted = files.map(|(shell, file)| (file, script(shell)));
        self.check("completions", &wanted.into());
    }

    /// The pages of `command` and of all below it, by file.
    fn add_pages(&self, command: &clap::Command, into: &mut BTreeMap<String, Vec<u8>>) {
        if command.is_hide_set() {
            return;
        }
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let page = Man::new(command.clone()).section(self.section);
        let page = page.source("Causeway").manual("Causeway");
        let mut text = Vec::new();
        page.render(&mut text).expect("a page");
        into.insert(format!("{name}.{}", self.section), text);
        for subcommand in command.get_subcommands() {
            self.add_pages(subcommand, into);
        }
    }

    /// Compares `folder`'s files of this program with `wanted`, or writes them anew.
    fn check(&self, folder: &str, wanted: &BTreeMap<String, Vec<u8>>) {
        let folder = packaging(folder);
        let is_ours = |name: &str| {
            let rest = name.trim_start_matches('_').strip_prefix(self.name);
            rest.is_some_and(|rest| !rest.starts_with(char::is_alphabetic))
        };
        let entries = fs::read_dir(&folder).into_iter().flatten();
        let present = entries.map(|entry| entry.expect("a file").file_name());
        let present = present.map(|name| name.to_string_lossy().into_owned());
        let present: Vec<_> = present.filter(|name| is_ours(name)).collect();
        if std::env::var_os("CAUSEWAY_WRITE_MAN").is_some() {
            fs::create_dir_all(&folder).expect("a folder");
            for name in present.iter().filter(|name| !wanted.contains_key(*name)) {
                fs::remove_file(folder.join(name)).expect("an old file");
            }
            for (name, text) in wanted {
                fs::write(folder.join(name), text).expect("a file");
            }
            return;
        }
        let remedy = format!("CAUSEWAY_WRITE_MAN=1 cargo test -p {} --test pages", self.name);
        assert_eq!(present.len(), wanted.len(), "{present:?}: {remedy}");
        for (name, text) in wanted {
            let file = fs::read(folder.join(name)).unwrap_or_default();
            assert!(file == *text, "{name} is not up to date: {remedy}");
        }
    }
}

fn packaging(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(folder)
}
