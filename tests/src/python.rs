//! Python clients, each in a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client;

/// The interpreter of a virtual environment `name` below `folder` with the package `requirement`, whose `modules` it can
/// import; `None`, with one line, where there can be none.
#[must_use]
pub fn environment(folder: &str, name: &str, requirement: &str, modules: &str) -> Option<PathBuf> {
    let environment = Path::new(folder).join(name);
    let python = environment.join("bin/python");
    let has_it = || {
        let mut check = Command::new(&python);
        check.args(["-c", &format!("import {modules}")]);
        python.exists() && client::run(&mut check).code == Some(0)
    };
    if has_it() {
        return Some(python);
    }
    let make = Command::new("python3").arg("-m").arg("venv").arg(&environment).output();
    if make.is_ok_and(|made| made.status.success()) {
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--retries", "1", requirement]);
        let _reported = client::run(&mut install);
    }
    let found = python.exists() && has_it();
    if !found {
        eprintln!("skipped: {name} cannot be installed here");
    }
    found.then_some(python)
}
