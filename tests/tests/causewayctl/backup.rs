//! `backup` and `restore`, on a real ipmid.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use tests::bus::Bus;
use tests::client::Output;
use tests::ctl;
use tests::process::Process;
use tests::programs::program;

const PASSPHRASE: &str = "correct horse battery staple";

/// A machine whose state is below a folder.
struct Machine {
    dir: TempDir,
    bus: Bus,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("root/var/lib")).expect("a folder");
        fs::write(dir.path().join("causeway.toml"), "").expect("a file");
        fs::write(dir.path().join("passphrase"), PASSPHRASE).expect("a file");
        let bus = Bus::start(dir.path());
        Self { dir, bus }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.path("root/var/lib/ipmi")
    }

    fn ipmid(&self) -> Process {
        let [config, state] =
            [self.path("causeway.toml"), self.state()].map(|path| path.display().to_string());
        let arguments = ["--config", &config, "--state-dir", &state].map(str::to_owned);
        let environment = [("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())];
        Process::start_ready("ipmid", self.dir.path(), &program("ipmid"), &arguments, &environment)
    }

    /// Runs `causewayctl` with these words, on this machine's state and with the passphrase.
    fn run(&self, words: &str) -> Output {
        let dir = self.dir.path().display().to_string();
        let words = words.replace("DIR", &dir);
        let passphrase = if words.contains("passphrase") {
            String::new()
        } else {
            format!("--passphrase-file {dir}/passphrase")
        };
        let line = format!("{words} --root {dir}/root --config {dir}/causeway.toml {passphrase}");
        let output = ctl::run(&line);
        let text = |text: &str| text.replace(&dir, "DIR");
        Output { stdout: text(&output.stdout), stderr: text(&output.stderr), ..output }
    }

    fn set_name(&self, id: u8, name: &str) {
        let mut bytes = [0; 16];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        let (code, _) = self.bus.execute(0x06, 0x45, &[&[id][..], &bytes].concat());
        assert_eq!(code, 0);
    }

    fn name(&self, id: u8) -> String {
        let (code, name) = self.bus.execute(0x06, 0x46, &[id]);
        assert_eq!(code, 0);
        String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned()
    }

    /// Every file and folder of the state: its path, permissions and content.
    fn tree(&self) -> Vec<(PathBuf, u32, Vec<u8>)> {
        fn add(path: &Path, tree: &mut Vec<(PathBuf, u32, Vec<u8>)>) {
            let mode = path.metadata().expect("an entry").mode();
            tree.push((path.to_owned(), mode, fs::read(path).unwrap_or_default()));
            for entry in fs::read_dir(path).into_iter().flatten() {
                add(&entry.expect("an entry").path(), tree);
            }
        }
        let mut tree = Vec::new();
        add(&self.state(), &mut tree);
        tree.sort();
        tree
    }
}

/// The output with sizes, times and versions as words.
fn stable(output: Output) -> Output {
    let digits = |word: &str| word.chars().all(|c| c.is_ascii_digit()) && !word.is_empty();
    let line = |line: &str| {
        let words = line.split_whitespace().map(|word| if digits(word) { "NUMBER" } else { word });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    Output { stdout: output.stdout.lines().map(line).collect(), ..output }
}

#[test]
fn state_comes_back_as_it_was() {
    let machine = Machine::new();
    super::check("backup-no-state", &machine.run("backup DIR/backup"));
    let ipmid = machine.ipmid();
    machine.set_name(2, "alice");
    super::check("backup", &stable(machine.run("backup DIR/backup")));
    let file = machine.path("backup");
    assert_eq!(file.metadata().expect("the file").mode() & 0o777, 0o600);
    let bytes = fs::read(&file).expect("the file");
    assert!(!bytes.windows(5).any(|part| part == b"alice"), "a name in the clear");
    let backup = ctl::json_of(&machine.run("--json backup DIR/backup"), "backup");
    assert_eq!(backup["folders"][0]["folder"], "DIR/root/var/lib/ipmi");
    super::check("restore-running", &machine.run("restore DIR/backup"));
    machine.set_name(3, "bob");
    drop(ipmid);
    let before = machine.tree();
    super::check("restore-dry-run", &stable(machine.run("restore DIR/backup --dry-run")));
    assert_eq!(machine.tree(), before, "a dry run changes nothing");
    let dry_run = ctl::json_of(&machine.run("--json restore DIR/backup --dry-run"), "restore");
    assert_eq!(dry_run["dry-run"], json!(true));
    super::check("restore", &stable(machine.run("restore DIR/backup")));
    let ipmid = machine.ipmid();
    assert_eq!((machine.name(2), machine.name(3)), ("alice".to_owned(), String::new()));
    drop(ipmid);
    // What was restored has the same permissions, and is the same as what is backed up again.
    let restored = machine.tree();
    machine.run("backup DIR/again").ok();
    fs::remove_dir_all(machine.state()).expect("the state");
    machine.run("restore DIR/again").ok();
    assert_eq!(machine.tree(), restored);
    let left = fs::read_dir(machine.path("root/var/lib")).expect("the folder").count();
    assert_eq!(left, 1, "nothing is left beside the state");
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let machine = Machine::new();
    drop(machine.ipmid());
    machine.run("backup DIR/backup").ok();
    let before = machine.tree();
    let bytes = fs::read(machine.path("backup")).expect("the file");
    let refused = |name: &str, bytes: &[u8]| {
        fs::write(machine.path("wrong"), bytes).expect("a file");
        super::check(name, &machine.run("restore DIR/wrong"));
        assert_eq!(machine.tree(), before, "{name}");
    };
    refused("restore-no-backup", b"PK\x03\x04 an archive of another program");
    refused("restore-truncated", &bytes[..bytes.len() - 1]);
    let altered = |at: usize| {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        altered
    };
    refused("restore-format", &altered(17));
    refused("restore-header", &altered(30));
    refused("restore-altered", &altered(bytes.len() - 30));
    fs::write(machine.path("passphrase"), "another passphrase").expect("a file");
    refused("restore-passphrase", &bytes);
    fs::write(machine.path("passphrase"), PASSPHRASE).expect("a file");
    fs::write(machine.path("causeway.toml"), "[device]\nproduct = 7\n").expect("a file");
    refused("restore-product", &bytes);
    machine.run("restore DIR/backup --force").ok();
    let missing = machine.run("restore DIR/missing");
    assert!(missing.failed().contains("DIR/missing"), "{missing}");
}

#[test]
fn passphrases_come_from_a_terminal_a_file_or_a_descriptor() {
    let machine = Machine::new();
    drop(machine.ipmid());
    fs::write(machine.path("weak"), "short").expect("a file");
    super::check("backup-weak", &machine.run("backup DIR/backup --passphrase-file DIR/weak"));
    machine.run("backup DIR/backup --passphrase-file DIR/weak --allow-weak").ok();
    assert!(
        machine
            .run("restore DIR/backup --passphrase-file DIR/weak --dry-run")
            .ok()
            .contains("it fits")
    );
    let words = format!("--root {0}/root --config {0}/causeway.toml", machine.dir.path().display());
    let words = format!("backup {}/piped --passphrase-fd 0 {words}", machine.dir.path().display());
    let words: Vec<_> = words.split(' ').collect();
    ctl::with_input(None, &words, PASSPHRASE.as_bytes()).ok();
    machine.run("restore DIR/piped --dry-run").ok();
    let words: Vec<_> =
        words.iter().copied().filter(|w| !["--passphrase-fd", "0"].contains(w)).collect();
    super::check("backup-no-terminal", &ctl::with_input(None, &words, b""));
}
