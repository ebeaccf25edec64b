//! `causeway-vm run --file`: many BMCs in one process, in the foreground.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use tempfile::TempDir;
use tests::client::Output;
use tests::clients::Login;
use tests::process::Process;
use tests::suite::free_address;
use tests::vm::zombies;
use tests::{client, ctl, programs, wait};

/// How many BMCs there are.
const COUNT: u16 = 2;
const DAEMONS: [&str; 4] = ["dbus-daemon", "platformd", "ipmid", "netipmid"];
/// No user of a Debian has this number.
const STRANGER: u32 = 612_346;

/// A fleet in a folder of its own.
struct Fleet {
    dir: TempDir,
    /// What is started: a program that becomes or starts the supervisor, or the supervisor.
    process: Process,
    first: SocketAddr,
}

impl Fleet {
    fn start() -> Self {
        Self::start_with("", "")
    }

    /// Starts it by the words of `starter`, with `platform` in the platform of each BMC.
    fn start_with(starter: &str, platform: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("fleet-").tempdir_in("/dev/shm");
        let dir = dir.or_else(|_| tempfile::tempdir()).expect("a folder");
        // The ports of a row follow one another: ten for each address that nobody else has.
        let mut first = free_address();
        first.set_port(10_000 + first.port() % 1000 * 10);
        let file = |name: &str| dir.path().join(name);
        fs::write(file("password"), "0penBmc\n").expect("a file");
        let platform = format!("[bmc]\nreset-delay-ms = 100\n{platform}");
        fs::write(file("platform.toml"), platform).expect("a file");
        let text = format!(
            "[[bmc]]\nname = \"b{{n}}\"\ncount = {COUNT}\naddress = \"{}\"\nport = {}\nuser = \"root\"\n\
             password-file = \"password\"\nplatform = \"platform.toml\"\n",
            first.ip(),
            first.port(),
        );
        fs::write(file("fleet.toml"), text).expect("a file");
        if starter.contains(&STRANGER.to_string()) {
            chown(dir.path(), Some(STRANGER), Some(STRANGER)).expect("another owner");
        }
        let process = Self::spawn(&dir, starter);
        let fleet = Self { dir, process, first };
        fleet.until_all_answer();
        fleet
    }

    fn spawn(dir: &TempDir, starter: &str) -> Process {
        let program = programs::program("causeway-vm").display().to_string();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let own = ["run", "--file", &file("fleet.toml"), "--state-dir", &file("state")];
        let words = starter.split_whitespace().chain([program.as_str()]).chain(own);
        let words: Vec<String> = words.map(str::to_owned).collect();
        Process::start("fleet", dir.path(), Path::new(&words[0]), &words[1..], &[])
    }

    /// The output of another command for the same BMCs.
    fn command(&self, line: &str) -> Output {
        let mut command = Command::new(programs::program("causeway-vm"));
        command.arg("--state-dir").arg(self.dir.path().join("state"));
        client::run(command.args(line.split(' ')))
    }

    /// The states of all BMCs.
    fn states(&self) -> Vec<String> {
        let list: Value = serde_json::from_str(self.command("--json list").ok()).expect("JSON");
        let state = |one: &Value| one["state"].as_str().expect("a state").to_owned();
        list.as_array().expect("a list").iter().map(state).collect()
    }

    fn login(&self, index: u16) -> Login {
        let address = SocketAddr::new(self.first.ip(), self.first.port() + index);
        Login::administrator(address, self.dir.path())
    }

    fn until_all_answer(&self) {
        for index in 0..COUNT {
            let login = self.login(index);
            wait::until_true(&format!("b{} answers", index + 1), || {
                login.ipmitool("mc info").code == Some(0)
            });
        }
    }

    /// The process ids of a daemon of all BMCs.
    fn processes(&self, daemon: &str) -> Vec<i32> {
        children(self.process.id(), daemon)
    }
}

/// The process ids of the children of `parent` that are called `name`.
fn children(parent: u32, name: &str) -> Vec<i32> {
    let parent = parent.to_string();
    let listed = client::run(Command::new("ps").args(["-o", "pid=,comm=", "--ppid", &parent]));
    let called = listed.stdout.lines().filter_map(|line| {
        let (pid, found) = line.trim().split_once(' ')?;
        (found.split(' ').next() == Some(name)).then(|| pid.parse().expect("a number"))
    });
    called.collect()
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.process.signal(Signal::SIGTERM);
        wait::until_true_or_timeout(|| self.process.exited().is_some());
    }
}

#[test]
fn all_bmcs_run_are_restarted_and_end_together() {
    let mut fleet = Fleet::start();
    for daemon in DAEMONS {
        assert_eq!(fleet.processes(daemon).len(), usize::from(COUNT), "{daemon}");
    }
    for daemon in DAEMONS {
        let before = fleet.processes(daemon);
        for pid in &before {
            signal::kill(Pid::from_raw(*pid), Signal::SIGKILL).expect("a process of the fleet");
        }
        wait::until_true(&format!("{daemon} is started again"), || {
            let now = fleet.processes(daemon);
            now.len() == before.len() && !now.iter().any(|pid| before.contains(pid))
        });
        fleet.until_all_answer();
    }
    assert_eq!(zombies(fleet.process.id()), [""; 0]);
    let all = DAEMONS.map(|daemon| fleet.processes(daemon)).concat();
    assert!(fleet.process.terminate().success(), "{}", fleet.process.log());
    for pid in all {
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "{pid} is left");
    }
    assert!(fleet.process.log().lines().any(|line| line.starts_with("b1 ipmid: ")));
    assert!(fleet.process.log().contains("causeway-vm: 2 BMCs serve"));
}

#[test]
fn a_reset_is_of_one_bmc_and_state_outlives_the_fleet() {
    let mut fleet = Fleet::start();
    let login = fleet.login(0);
    login.ipmitool("chassis policy always-on").ok();
    let (ipmids, netipmids) = (fleet.processes("ipmid"), fleet.processes("netipmid"));
    login.ipmitool("mc reset cold").ok();
    wait::until_true("the daemons of one BMC are others", || {
        [("ipmid", &ipmids), ("netipmid", &netipmids)].iter().all(|(daemon, before)| {
            let now = fleet.processes(daemon);
            let stayed = now.iter().filter(|pid| before.contains(pid)).count();
            now.len() == before.len() && stayed == before.len() - 1
        })
    });
    assert!(fleet.process.log().contains("b1: the BMC resets"));
    fleet.until_all_answer();
    let guid = |index| fleet.login(index).ipmitool("mc guid").ok().to_owned();
    let before = [guid(0), guid(1)];
    assert_ne!(before[0], before[1], "each BMC is another system");
    assert!(fleet.process.terminate().success());
    fleet.process = Fleet::spawn(&fleet.dir, "");
    fleet.until_all_answer();
    assert!(login.ipmitool("chassis status").ok().contains("always-on"));
    assert!(!fleet.login(1).ipmitool("chassis status").ok().contains("always-on"));
    let guid = |index| fleet.login(index).ipmitool("mc guid").ok().to_owned();
    assert_eq!([guid(0), guid(1)], before);
    let run = fleet.dir.path().join("state/run");
    let metrics = ctl::run(&format!("metrics --each {}", run.display()));
    assert!(metrics.ok().contains("causeway_up{bmc=\"b2\"} 1"), "{metrics}");
}

#[test]
fn other_commands_see_the_bmcs_and_stop_none_of_them_alone() {
    let mut fleet = Fleet::start();
    wait::until_true("all run", || fleet.states() == ["running", "running"]);
    let again = format!("run --file {}", fleet.dir.path().join("fleet.toml").display());
    assert!(fleet.command(&again).failed().contains("the BMC b1 runs already"));
    let refused = fleet.command("stop b1").failed();
    assert!(refused.contains("runs the BMC b2 too") && refused.contains("stop --all"), "{refused}");
    fleet.until_all_answer();
    fleet.command("stop --all").ok();
    let ended = wait::until("it ends", || fleet.process.exited());
    assert!(ended.success(), "{}", fleet.process.log());
    assert_eq!(fleet.states(), ["stopped", "stopped"]);
    // One of them alone, as any other.
    fleet.command("start --by process b2").ok();
    fleet.login(1).ipmitool("mc info").ok();
    fleet.command("stop b2").ok();
}

#[test]
fn a_user_without_an_entry_has_bmcs() {
    if !geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let starter = format!(
        "setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups \
                           --pdeathsig KILL --"
    );
    let mut fleet = Fleet::start_with(&starter, "[chassis]\npower-on-ms = 50\n");
    // A change goes from netipmid to ipmid to platformd, each of which checks who sends it.
    let login = fleet.login(0);
    login.ipmitool("chassis power on").ok();
    wait::until_true("the host is on", || {
        login.ipmitool("chassis power status").ok().contains("is on")
    });
    assert!(fleet.process.terminate().success(), "{}", fleet.process.log());
}

#[test]
fn the_first_process_of_a_container_waits_for_what_it_inherits() {
    if !geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let starter = "unshare --pid --fork --mount-proc --kill-child --";
    let platform = "[host]\nbackend = \"command\"\n[host.commands]\n\
                    on.run = [\"sh\", \"-c\", \"setsid -f sleep 600 > /dev/null 2>&1\"]\n\
                    off.run = [\"true\"]\nstatus.run = [\"echo\", \"off\"]\n";
    let mut fleet = Fleet::start_with(starter, platform);
    let [first] = children(fleet.process.id(), "causeway-vm")[..] else {
        panic!("the first process of the container: {}", fleet.process.log());
    };
    let parent = u32::try_from(first).expect("a process");
    // It is refused: the status stays off.
    let _refused = fleet.login(0).ipmitool("chassis power on");
    let orphan =
        wait::until("it has inherited a process", || children(parent, "sleep").first().copied());
    signal::kill(Pid::from_raw(orphan), Signal::SIGKILL).expect("a process of the fleet");
    // Without the wait it would stay as a zombie.
    wait::until_true("it has waited for it", || children(parent, "sleep").is_empty());
    signal::kill(Pid::from_raw(first), Signal::SIGTERM).expect("a process of the fleet");
    let ended = wait::until("it ends", || fleet.process.exited());
    assert!(ended.success(), "{}", fleet.process.log());
}

#[test]
fn what_is_wrong_is_one_line_and_exit_code_2() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("fleet.toml");
    fs::write(dir.path().join("bad.toml"), "[lan\n").expect("a file");
    let address = free_address();
    let row = format!("[[bmc]]\nname = \"b\"\naddress = \"{}\"\nport = 9000\n", address.ip());
    let run = |lines: &str| {
        fs::write(&file, format!("{row}{lines}\n")).expect("a file");
        let mut command = Command::new(programs::program("causeway-vm"));
        command.args(["run", "--file"]).arg(&file).arg("--state-dir").arg(dir.path());
        let output = client::run(&mut command);
        assert_eq!(output.code, Some(2), "{output}");
        output
    };
    for (lines, reason) in [
        ("password-file = \"/nonexistent\"", "the password"),
        ("password = \"x\"", "fleet.toml:5"),
        ("count = 2", "the one name"),
        ("[[bmc]]\nname = \"b\"", "there is a BMC b already"),
        ("platform = \"none.toml\"", "none.toml is no file"),
        ("config = \"bad.toml\"", "bad.toml"),
    ] {
        let output = run(lines);
        assert!(output.stderr.contains(reason) && output.stderr.lines().count() == 1, "{output}");
    }
    // What only a daemon knows ends all, too.
    fs::write(dir.path().join("bad.toml"), "[lan]\nno-such-key = 1\n").expect("a file");
    let output = run("config = \"bad.toml\"\n[[bmc]]\nname = \"c\"\naddress = \"127.0.0.1\"");
    let last = output.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("b: ") && last.contains("no-such-key"), "{output}");
}
