//! The pages of the manual and the completions are those of this build.
//!
//! `CAUSEWAY_WRITE_MAN=1 cargo test -p causewayctl --test pages` writes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap_mangen::Man;

fn packaging(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(folder)
}

/// The pages of `command` and of all below it, by file.
fn pages(command: &clap::Command, into: &mut BTreeMap<String, Vec<u8>>) {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let page = Man::new(command.clone()).section("8").source("Causeway").manual("Causeway");
    let mut text = Vec::new();
    page.render(&mut text).expect("a page");
    into.insert(format!("{name}.8"), text);
    for subcommand in command.get_subcommands() {
        pages(subcommand, into);
    }
}

/// Compares `folder`'s files of this program with `wanted`, or writes them anew.
fn check(folder: &str, wanted: &BTreeMap<String, Vec<u8>>) {
    let folder = packaging(folder);
    let is_ours = |name: &str| name.contains(causewayctl::NAME);
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
    let remedy = "CAUSEWAY_WRITE_MAN=1 cargo test -p causewayctl --test pages";
    assert_eq!(present.len(), wanted.len(), "{present:?}: {remedy}");
    for (name, text) in wanted {
        let file = fs::read(folder.join(name)).unwrap_or_default();
        assert!(file == *text, "{name} is not up to date: {remedy}");
    }
}

#[test]
fn pages_of_the_manual_are_those_of_the_command_line() {
    let mut command = causewayctl::command_line();
    command.build();
    let mut wanted = BTreeMap::new();
    pages(&command, &mut wanted);
    check("man", &wanted);
}

#[test]
fn completions_are_those_of_the_command_line() {
    let files = [("bash", "causewayctl"), ("fish", "causewayctl.fish"), ("zsh", "_causewayctl")];
    let script = |shell| causewayctl::completions(shell).expect("a shell that is known");
    let wanted = files.map(|(shell, file)| (file.to_owned(), script(shell)));
    check("completions", &wanted.into());
}
