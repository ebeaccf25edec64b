//! `causeway-fleet`: many BMCs in the foreground.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tempfile::TempDir;
use tests::clients::Login;
use tests::process::Process;
use tests::suite::free_address;
use tests::vm::zombies;
use tests::{client, ctl, programs, wait};

/// How many BMCs there are.
const COUNT: u16 = 2;
const DAEMONS: [&str; 4] = ["dbus-daemon", "platformd", "ipmid", "netipmid"];

/// A fleet in a folder of its own.
struct Fleet {
    dir: TempDir,
    process: Process,
    first: SocketAddr,
}

impl Fleet {
    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("fleet-").tempdir_in("/dev/shm");
        let dir = dir.or_else(|_| tempfile::tempdir()).expect("a folder");
        // The ports of a row follow one another: ten for each address that nobody else has.
        let mut first = free_address();
        first.set_port(10_000 + first.port() % 1000 * 10);
        let file = |name: &str| dir.path().join(name);
        fs::write(file("password"), "0penBmc\n").expect("a file");
        fs::write(file("platform.toml"), "[bmc]\nreset-delay-ms = 100\n").expect("a file");
        let text = format!(
            "[[bmc]]\nname = \"b{{n}}\"\ncount = {COUNT}\naddress = \"{}\"\nport = {}\nuser = \"root\"\n\
             password-file = \"{}\"\nplatform = \"{}\"\n",
            first.ip(),
            first.port(),
            file("password").display(),
            file("platform.toml").display(),
        );
        fs::write(file("fleet.toml"), text).expect("a file");
        let process = Self::spawn(&dir);
        let fleet = Self { dir, process, first };
        fleet.until_all_answer();
        fleet
    }

    fn spawn(dir: &TempDir) -> Process {
        let words = [dir.path().join("fleet.toml"), "--state-dir".into(), dir.path().join("state")];
        let words = words.map(|word: PathBuf| word.display().to_string());
        Process::start("fleet", dir.path(), &programs::program("causeway-fleet"), &words, &[])
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
        let parent = self.process.id().to_string();
        let listed = client::run(Command::new("ps").args(["-o", "pid=,comm=", "--ppid", &parent]));
        let of_daemon = listed.stdout.lines().filter_map(|line| {
            let (pid, name) = line.trim().split_once(' ')?;
            (name.trim() == daemon).then(|| pid.parse().expect("a number"))
        });
        of_daemon.collect()
    }
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
    assert!(fleet.process.terminate().success());
    fleet.process = Fleet::spawn(&fleet.dir);
    fleet.until_all_answer();
    assert!(login.ipmitool("chassis status").ok().contains("always-on"));
    assert!(!fleet.login(1).ipmitool("chassis status").ok().contains("always-on"));
    let guid = |index| fleet.login(index).ipmitool("mc guid").ok().to_owned();
    assert_ne!(guid(0), guid(1), "each BMC is another system");
    let run = fleet.dir.path().join("state/run");
    let metrics = ctl::run(&format!("metrics --each {}", run.display()));
    assert!(metrics.ok().contains("causeway_up{bmc=\"b2\"} 1"), "{metrics}");
}

#[test]
fn what_is_wrong_is_one_line_and_exit_code_2() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("fleet.toml");
    for (text, reason) in [
        ("[[bmc]]\nname = \"b\"\npassword-file = \"/nonexistent\"\n", "the password"),
        ("[[bmc]]\nname = \"b\"\n", "password-file"),
    ] {
        fs::write(&file, text).expect("a file");
        let mut command = Command::new(programs::program("causeway-fleet"));
        let output = client::run(command.arg(&file).arg("--state-dir").arg(dir.path()));
        assert_eq!(output.code, Some(2), "{output}");
        assert!(output.stderr.contains(reason) && output.stderr.lines().count() == 1, "{output}");
    }
}
