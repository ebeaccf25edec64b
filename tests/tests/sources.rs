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
