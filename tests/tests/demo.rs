//! `./demo`, as a user of a fresh clone runs it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Instant;

use tests::client::{self, Output};
use tests::process::Process;
use tests::wait;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// The variables of the `env` file in the demo's folder; `None` while no demo runs in it.
fn environment(dir: &Path) -> Option<HashMap<String, String>> {
    let text = fs::read_to_string(dir.join("env")).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    Some(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The ipmitool line that the demo has printed, without its last two words, which are the command.
fn printed_line(log: &str) -> Option<Vec<String>> {
    let line = log.lines().find(|line| line.trim_start().starts_with("ipmitool -I lanplus"))?;
    let words = line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    Some(words[..words.len() - 2].to_vec())
}

fn ipmitool(line: &[String], command: &str) -> Output {
    client::run(Command::new(&line[0]).args(&line[1..]).args(command.split_whitespace()))
}

fn runs(process: &str) -> bool {
    Path::new("/proc").join(process).exists()
}

#[test]
fn the_demo_serves_resets_and_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    // A folder and a port of its own, because a developer may have a demo running. The port is below
    // the ephemeral ones, so that no client on this machine gets it.
    let demo_dir = dir.path().join("demo");
    let port = 20_000 + process::id() % 10_000;
    let folder = demo_dir.display().to_string();
    let arguments = ["--port".to_owned(), port.to_string(), "--dir".to_owned(), folder];
    let mut demo = Process::start("demo", dir.path(), &root().join("demo"), &arguments, &[]);
    let line = wait::until_long("the demo prints an ipmitool line", || {
        assert!(demo.exited().is_none(), "{}", demo.log());
        printed_line(&demo.log())
    });
    assert!(ipmitool(&line, "mc info").ok().contains("IPMI Version"));
    ipmitool(&line, "chassis power on").ok();
    wait::until_true("the host is on", || {
        ipmitool(&line, "chassis power status").ok().contains("is on")
    });

    let before = environment(&demo_dir).expect("the environment file");
    let reset = ipmitool(&line, "mc reset cold");
    assert!(reset.ok().contains("Sent cold reset command"), "{reset}");
    let reset_at = Instant::now();
    wait::until_true("the daemons are restarted", || {
        environment(&demo_dir).is_some_and(|now| {
            ["PLATFORMD_PID", "IPMID_PID", "NETIPMID_PID"]
                .iter()
                .all(|pid| now[*pid] != before[*pid])
        })
    });
    wait::until_true("the LAN is back", || ipmitool(&line, "mc info").code == Some(0));
    eprintln!("the LAN is back after {:?}", reset_at.elapsed());

    let now = environment(&demo_dir).expect("the environment file");
    assert!(demo.terminate().success(), "{}", demo.log());
    for (name, value) in now.iter().filter(|(name, _)| name.ends_with("_PID")) {
        wait::until_true(&format!("{name} has ended"), || !runs(value));
    }
    assert!(environment(&demo_dir).is_none(), "the environment file is removed at the end");
}
