//! Rules about the source text that no compiler checks: where `unsafe` may appear (ARCHITECTURE.md, "Dependency
//! rules"). Which module may use which is in `layers.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// All Rust files below `folder`, by path relative to the root, with their text. Build output and
/// hidden folders are left out.
fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.map(|entry| entry.expect("a folder entry")) {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                files.push((path.strip_prefix(&root).expect("below the root").to_owned(), text));
            }
        }
    }
    files
}

/// Whether `line`, less its comment, has `word` as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// The lines that have `word` in code, in the files that `applies` picks.
fn offences(folder: &str, word: &str, applies: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in rust_files(folder).iter().filter(|(path, _)| applies(path)) {
        let lines = text.lines().enumerate().filter(|(_, line)| has_word(line, word));
        found.extend(lines.map(|(at, line)| format!("{}:{}: {line}", path.display(), at + 1)));
    }
    found
}

#[test]
fn unsafe_is_in_one_crate_only() {
    let this = Path::new("tests/tests/sources.rs");
    let found = offences(".", "unsafe", |path| path != this && !path.starts_with("common/sys"));
    assert!(found.is_empty(), "unsafe outside common/sys:\n{}", found.join("\n"));
}

#[test]
fn protocol_crates_deny_panics() {
    for name in ["ipmi-proto", "rmcp-proto", "mctp-proto"] {
        let path = root().join("common").join(name).join("src/lib.rs");
        let text = fs::read_to_string(path).expect("a crate");
        let denied = "#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]";
        assert!(text.lines().any(|line| line == denied), "{name}");
    }
}

/// SECURITY.md names the tests of each of its rules: a file, and functions in it.
#[test]
fn the_tests_that_security_md_names_exist() {
    let text = fs::read_to_string(root().join("SECURITY.md")).expect("SECURITY.md");
    let rules = text.rsplit("|---|---|\n").next().unwrap_or_default();
    let rules: Vec<&str> = rules.lines().filter(|line| line.starts_with('|')).collect();
    assert!(rules.len() >= 15, "{} rules", rules.len());
    for rule in rules {
        let tests = rule.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap_or_default();
        let mut source = None;
        let mut found = 0;
        for name in tests.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                let path = root().join(name);
                source = Some(fs::read_to_string(path).unwrap_or_else(|_| panic!("no {name}")));
            } else {
                let source = source.as_ref().expect("a file before its functions");
                assert!(source.contains(&format!("fn {name}(")), "no test {name}: {rule}");
                found += 1;
            }
        }
        assert!(found > 0, "no test: {rule}");
    }
}
