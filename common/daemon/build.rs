//! Takes the built-in values out of the sample configuration, whose comments no daemon needs.

use std::path::Path;
use std::{env, fs, io};

const SAMPLE: &str = "../../packaging/config/causeway.toml";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={SAMPLE}");
    let sample = fs::read_to_string(SAMPLE)?;
    let values: String =
        sample.lines().filter_map(built_in).flat_map(|line| [line, "\n"]).collect();
    let folder = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&folder).join("built-in.toml"), values)
}

/// The setting or the head of a table in a line of the sample; its first lines say how they are written.
fn built_in(line: &str) -> Option<&str> {
    let setting = line.strip_prefix('#').unwrap_or(line);
    (!setting.is_empty() && !setting.starts_with([' ', '#'])).then_some(setting)
}
