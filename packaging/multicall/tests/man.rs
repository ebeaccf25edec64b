//! The manual pages: their parts from `--help` and from the sample configuration are those of this build.
//!
//! `CAUSEWAY_WRITE_MAN=1 cargo test -p causeway --test man` writes these parts anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The daemons that have a page here, by the binary's own list; the pages of the tools are those crates'.
fn daemons() -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_causeway")).output().expect("the binary");
    let usage = String::from_utf8(output.stderr).expect("UTF-8");
    let (_, names) = usage.split_once("one of ").expect("a list of names");
    names
        .trim_end_matches(['.', '\n'])
        .split(", ")
        .filter(|name| !matches!(*name, "causewayctl" | "causeway-vm"))
        .map(str::to_owned)
        .collect()
}

fn help(daemon: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_causeway"))
        .args([daemon, "--help"])
        .output()
        .expect("the binary");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A line as roff prints it unchanged.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-").replace('`', "\\(ga");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn verbatim(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| escaped(line)).collect();
    format!(".nf\n{}\n.fi\n", lines.join("\n"))
}

/// The options of `--help`, as they are printed.
fn options(help: &str) -> String {
    let (_, options) = help.split_once("Options:\n").expect("options");
    verbatim(&options.lines().collect::<Vec<_>>())
}

/// The sample configuration: its headings as sections, its sentences as paragraphs, the rest as it is.
fn sample(text: &str) -> String {
    let mut page = String::new();
    for block in text.split("\n\n") {
        let mut lines: Vec<&str> = block.lines().collect();
        if let Some(title) = lines.first().and_then(|line| line.strip_prefix("# ---- ")) {
            page += &format!(".SS {}\n", escaped(title.trim_end_matches(['-', ' '])));
            lines.remove(0);
        }
        for part in lines.split(|line| *line == "#") {
            for run in part.chunk_by(|a, b| is_sentence(a) == is_sentence(b)) {
                page += &paragraph(run);
            }
        }
    }
    page
}

/// Whether a line is part of a sentence: not a setting, an example of one, or a table's row.
fn is_sentence(line: &str) -> bool {
    let Some(words) = line.strip_prefix("# ") else { return false };
    let setting = words.starts_with('[')
        || words.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    !setting && !words.starts_with('#') && !words.contains("  ")
}

fn paragraph(lines: &[&str]) -> String {
    match lines {
        [] | [""] => String::new(),
        [first, ..] if is_sentence(first) => {
            let lines: Vec<_> =
                lines.iter().map(|line| escaped(line.trim_start_matches("# "))).collect();
            format!(".PP\n{}\n", lines.join("\n"))
        }
        lines => format!(".PP\n.RS\n{}.RE\n", verbatim(lines)),
    }
}

/// Compares the generated part of a page, or writes it anew.
fn check(page: &Path, wanted: &str) {
    let text = read(page);
    let (head, rest) = text.split_once(" begins here.\n").expect("a part that begins");
    let (_, tail) = rest.split_once(".\\\" It ends here.\n").expect("a part that ends");
    let anew = format!("{head} begins here.\n{wanted}.\\\" It ends here.\n{tail}");
    if std::env::var_os("CAUSEWAY_WRITE_MAN").is_some() {
        fs::write(page, anew).expect("the page");
    } else {
        let name = page.display();
        assert!(
            anew == text,
            "{name} is not up to date: CAUSEWAY_WRITE_MAN=1 cargo test -p causeway --test man"
        );
    }
}

#[test]
fn pages_have_the_options_of_help() {
    for daemon in daemons() {
        check(&packaging(&format!("man/{daemon}.8")), &options(&help(&daemon)));
    }
}

#[test]
fn page_of_the_configuration_has_the_sample() {
    let text = read(&packaging("config/causeway.toml"));
    check(&packaging("man/causeway.toml.5"), &sample(&text));
}

#[test]
fn pages_are_formatted_without_a_warning() {
    if Command::new("man").arg("--version").output().is_err() {
        eprintln!("skipped: man is missing");
        return;
    }
    for entry in fs::read_dir(packaging("man")).expect("the pages") {
        let page = entry.expect("a page").path();
        let output = Command::new("man")
            .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(&page)
            .env("MANROFFSEQ", "")
            .env("MANWIDTH", "80")
            .output()
            .expect("man");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{}: {errors}", page.display());
    }
}
