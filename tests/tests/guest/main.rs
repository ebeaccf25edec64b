//! Linux's own host drivers, in guests, against the running suite.
//!
//! Ignored unless asked for: `cargo test -p tests --test guest -- --ignored`.

mod bridging;
mod commands;
mod providers;
mod reloads;
mod restarts;
mod software;
mod traces;

use std::path::PathBuf;

use tests::guest::{self, Interface};
use tests::process::Process;
use tests::suite::Suite;

/// A suite with the bridge of one host interface.
struct GuestSuite {
    suite: Suite,
    bridge: Process,
    interface: Interface,
}

impl GuestSuite {
    fn new(interface: Interface) -> Self {
        let suite = Suite::start();
        let bridge = start_bridge(&suite, interface);
        Self { suite, bridge, interface }
    }

    fn restart_bridge(&mut self) {
        self.bridge = start_bridge(&self.suite, self.interface);
    }

    fn start(&self, script: &str, options: &[&str]) -> guest::Running {
        let socket = socket(&self.suite, self.interface);
        guest::start(self.interface, &socket, self.suite.dir(), script, options)
    }

    /// Runs `script` in the guest, and asserts that it succeeds.
    fn run(&self, script: &str) -> String {
        self.start(script, &[]).finish().ok().to_owned()
    }

    /// Starts `script`, which has the program of `tests/guest/<name>.c` beside it.
    fn start_with(&self, name: &str, script: &str) -> guest::Running {
        let program = guest::helper(name, self.suite.dir());
        let file = format!("{}:/bin/{name}", program.display());
        self.start(script, &["--file", &file])
    }
}

fn socket(suite: &Suite, interface: Interface) -> PathBuf {
    suite.dir().join(format!("{}.socket", interface.name()))
}

fn start_bridge(suite: &Suite, interface: Interface) -> Process {
    let address = format!("unix:{}", socket(suite, interface).display());
    suite.bridge(&interface.bridge(), &interface.channel(), ["--qemu", &address])
}

/// For scripts: `run NAME COMMAND...` prints what [`Sections`] reads.
const RUN: &str = r#"
run() {
    name=$1; shift
    printf '=== begin %s\n' "$name"
    "$@" 2>&1
    printf '\n=== end %s\n' $?
}
"#;

/// What a script's function `run NAME COMMAND...` printed: `=== begin NAME`, output, `=== end STATUS`.
struct Sections<'a> {
    output: &'a str,
    sections: Vec<(&'a str, &'a str, bool)>,
}

impl<'a> Sections<'a> {
    fn of(output: &'a str) -> Self {
        let mut parts = output.split("\n=== end ");
        let mut sections = Vec::new();
        let mut text = parts.next().unwrap_or_default();
        for rest in parts {
            let (status, next) = rest.split_once('\n').unwrap_or((rest, ""));
            let section = text.rsplit("=== begin ").next().unwrap_or_default();
            let (name, body) = section.split_once('\n').unwrap_or((section, ""));
            sections.push((name, body, status == "0"));
            text = next;
        }
        Self { output, sections }
    }

    #[track_caller]
    fn section(&self, name: &str) -> (&'a str, bool) {
        let found = self.sections.iter().find(|(has, ..)| *has == name);
        let (_, body, good) = found.unwrap_or_else(|| panic!("no {name} in:\n{}", self.output));
        (body, *good)
    }

    /// What the command `name` printed, which ended well.
    #[track_caller]
    fn good(&self, name: &str) -> &'a str {
        let (body, good) = self.section(name);
        assert!(good, "{name}:\n{body}\nof:\n{}", self.output);
        body
    }

    /// What the command `name` printed, which failed.
    #[track_caller]
    fn failed(&self, name: &str) -> &'a str {
        let (body, good) = self.section(name);
        assert!(!good, "{name}:\n{body}");
        body
    }
}

/// Asserts that the kernel's log has no complaint about the BMC.
#[track_caller]
fn clean_log(log: &str) {
    const COMPLAINTS: [&str; 8] =
        ["needs to be fixed", "error", "fail", "retry", "timeout", "incorrect", "invalid", "bad"];
    let is_drivers = |line: &&str| line.contains("ipmi") || line.contains("ssif");
    assert!(log.contains("IPMI"), "no log of the drivers:\n{log}");
    for line in log.to_lowercase().lines().filter(is_drivers) {
        for complaint in COMPLAINTS {
            assert!(!line.contains(complaint), "{line}");
        }
    }
}
