//! The scripts of docs/examples/host-command, from a command on the LAN to what they run: virsh, qm, kubectl and virtctl
//! are stand-ins that keep a state, and Proxmox's API is a server of the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use tempfile::TempDir;
use tests::bus::HOST_STATE;
use tests::suite::Suite;
use tests::{client, programs, wait};

/// A program that writes its arguments into a file, and obeys by its state, which is another file.
const STAND_IN: &str = r#"#!/bin/sh
state=$(cat "{dir}/state")
says() { echo "$1" > "{dir}/state"; }
case "$*" in
    {reading}) ;;
    *) echo "${0##*/} $*" >> "{dir}/ran" ;;
esac
[ ! -e "{dir}/broken" ] || { echo "nobody answers" >&2; exit 1; }
case "$*" in
{cases}
    *) echo "not expected: $*" >&2; exit 64 ;;
esac
"#;

/// A hypervisor as its script sees it.
struct Hypervisor {
    script: &'static str,
    /// The environment of the script: which machine it is.
    environment: &'static [&'static str],
    programs: &'static [&'static str],
    /// The arguments that only read the state, as a pattern of the shell.
    reading: &'static str,
    /// What the programs do with other arguments.
    cases: &'static str,
    /// What it calls a machine that is off.
    off: &'static str,
}

const LIBVIRT: Hypervisor = Hypervisor {
    script: "libvirt",
    environment: &["DOMAIN=node1", "URI=qemu:///session"],
    programs: &["virsh", "virt-xml"],
    reading: "*domstate*",
    cases: r#"
    "--quiet --connect qemu:///session domstate node1") echo "$state" ;;
    *"start node1" | *"resume node1") says running ;;
    *"destroy node1") [ "$state" != "shut off" ] && says "shut off" ;;
    *"shutdown node1 --mode acpi") says "shut off" ;;
    *"reset node1" | *"inject-nmi node1") [ "$state" = running ] ;;
    *"--edit --boot "*) ;;"#,
    off: "shut off",
};

const PROXMOX: Hypervisor = Hypervisor {
    script: "proxmox",
    environment: &["VMID=117"],
    programs: &["qm"],
    reading: "status*",
    cases: r#"
    "status 117 --verbose") printf 'name: node1\nqmpstatus: %s\nstatus: x\n' "$state" ;;
    "start 117" | "resume 117") says running ;;
    "stop 117") says stopped ;;
    "shutdown 117 --timeout 600") says stopped ;;
    "reset 117") [ "$state" = running ] ;;
    "monitor 117") [ "$(cat)" = nmi ] ;;
    "set 117 --boot "*) ;;"#,
    off: "stopped",
};

const KUBEVIRT: Hypervisor = Hypervisor {
    script: "kubevirt",
    environment: &["NAME=node1", "NAMESPACE=lab"],
    programs: &["kubectl", "virtctl"],
    reading: "*printableStatus*",
    cases: r#"
    "--namespace lab get vm node1 -o jsonpath={.status.printableStatus}") echo "$state" ;;
    "--namespace lab start node1" | "--namespace lab restart node1 "*) says Running ;;
    "--namespace lab stop node1"*) says Stopped ;;
    "--namespace lab reset node1") [ "$state" = Running ] ;;"#,
    off: "Stopped",
};

fn script(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root");
    root.join("docs/examples/host-command").join(name)
}

/// The platform whose host is switched by `script` with `environment`.
fn platform(script: &Path, environment: &[String]) -> String {
    let mut sections =
        "[host]\nbackend = \"command\"\n[host.commands]\nstatus-interval-ms = 200\n".to_owned();
    for operation in ["on", "off", "cycle", "reset", "soft-off", "diag", "status"] {
        let mut words = vec!["env".to_owned()];
        words.extend_from_slice(environment);
        words.extend([script.display().to_string(), operation.to_owned()]);
        sections += &format!("{operation} = {{ run = {words:?}, limit-ms = 20000 }}\n");
    }
    sections
}

/// A hypervisor of stand-ins, and a BMC in front of it.
struct Machine {
    dir: TempDir,
    suite: Suite,
}

impl Machine {
    fn of(hypervisor: &Hypervisor) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().display().to_string();
        let text = STAND_IN.replace("{cases}", hypervisor.cases).replace("{dir}", &path);
        let text = text.replace("{reading}", hypervisor.reading);
        for program in hypervisor.programs {
            let program = dir.path().join(program);
            fs::write(&program, &text).expect("a program");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our own file");
        }
        fs::write(dir.path().join("state"), hypervisor.off).expect("a file");
        let usual = std::env::var("PATH").unwrap_or_default();
        let mut environment = vec![format!("PATH={path}:{usual}")];
        environment.extend(hypervisor.environment.iter().map(|word| (*word).to_owned()));
        let platform = platform(&script(hypervisor.script), &environment);
        Self { dir, suite: Suite::configured("", &platform) }
    }

    /// What the programs have been run with since the last call, other than to read the state.
    fn ran(&self) -> String {
        let file = self.dir.path().join("ran");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let _none_yet = fs::remove_file(&file);
        text
    }

    /// Runs `ipmitool chassis ...`, waits for the state, and compares what was run.
    #[track_caller]
    fn runs(&self, command: &str, state: &str, expected: &[&str]) {
        self.suite.administrator().ipmitool(&format!("chassis {command}")).ok();
        self.suite.bus.until_property(&HOST_STATE, state);
        let mut ran = String::new();
        wait::until_true_or_timeout(|| {
            ran += &self.ran();
            ran.lines().count() >= expected.len()
        });
        assert_eq!(ran.lines().collect::<Vec<_>>(), expected, "{command}");
    }

    /// That a hypervisor which does not answer is not a machine that is off.
    #[track_caller]
    fn is_on_while_nobody_answers(&self) {
        fs::write(self.dir.path().join("broken"), "").expect("a file");
        wait::until_true("the log has the program's own line", || {
            self.suite.platformd.log().contains("nobody answers")
        });
        let login = self.suite.administrator();
        assert!(login.ipmitool("chassis power status").ok().contains("is on"));
        login.ipmitool("chassis power off").failed();
        assert!(login.ipmitool("chassis power status").ok().contains("is on"));
    }
}

#[test]
fn libvirt_runs_virsh() {
    let machine = Machine::of(&LIBVIRT);
    let virsh = |words: &str| format!("virsh --quiet --connect qemu:///session {words}");
    let boot =
        |device: &str| format!("virt-xml --connect qemu:///session node1 --edit --boot {device}");
    machine.suite.administrator().ipmitool("chassis bootdev pxe").ok();
    machine.runs("power on", "Running", &[&boot("network"), &virsh("start node1")]);
    machine.runs("power reset", "Running", &[&virsh("reset node1")]);
    machine.runs("power diag", "Running", &[&virsh("inject-nmi node1")]);
    machine.runs("power cycle", "Running", &[&virsh("destroy node1"), &virsh("start node1")]);
    machine.runs("power soft", "Off", &[&virsh("shutdown node1 --mode acpi")]);
    machine.runs("power on", "Running", &[&virsh("start node1")]);
    machine.runs("power off", "Off", &[&virsh("destroy node1")]);
    machine.runs("power on", "Running", &[&virsh("start node1")]);
    machine.is_on_while_nobody_answers();
}

#[test]
fn proxmox_runs_qm() {
    let machine = Machine::of(&PROXMOX);
    machine.suite.administrator().ipmitool("chassis bootdev pxe").ok();
    machine.runs("power on", "Running", &["qm set 117 --boot order=net0;scsi0", "qm start 117"]);
    machine.runs("power reset", "Running", &["qm reset 117"]);
    machine.runs("power diag", "Running", &["qm monitor 117"]);
    let disk = "qm set 117 --boot order=scsi0;net0";
    machine.runs("power cycle", "Running", &["qm stop 117", disk, "qm start 117"]);
    machine.runs("power soft", "Off", &["qm shutdown 117 --timeout 600"]);
    machine.runs("power on", "Running", &[disk, "qm start 117"]);
    machine.runs("power off", "Off", &["qm stop 117"]);
    machine.runs("power on", "Running", &[disk, "qm start 117"]);
    machine.is_on_while_nobody_answers();
}

#[test]
fn kubevirt_runs_virtctl() {
    let machine = Machine::of(&KUBEVIRT);
    let virtctl = |words: &str| format!("virtctl --namespace lab {words}");
    machine.runs("power on", "Running", &[&virtctl("start node1")]);
    machine.runs("power reset", "Running", &[&virtctl("reset node1")]);
    let restart = virtctl("restart node1 --force --grace-period=0");
    machine.runs("power cycle", "Running", &[&restart]);
    machine.runs("power soft", "Off", &[&virtctl("stop node1")]);
    machine.runs("power on", "Running", &[&virtctl("start node1")]);
    machine.runs("power off", "Off", &[&virtctl("stop node1 --force --grace-period=0")]);
    machine.runs("power on", "Running", &[&virtctl("start node1")]);
    machine.is_on_while_nobody_answers();
}

/// Proxmox's API for one machine: its state, and the requests that change something.
#[derive(Default)]
struct Api {
    running: bool,
    requests: Vec<String>,
}

/// Answers one request of `stream`: 401 without the token, 501 for what the API does not have.
fn answer(stream: TcpStream, api: &Mutex<Api>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        head.push(line.trim().to_owned());
        line.clear();
    }
    let length = head.iter().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let mut words = head.first().map(String::as_str).unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let known = head.contains(&"Authorization: PVEAPIToken=bmc@pve!lab=s3cret".to_owned());
    let mut api = api.lock().expect("a lock");
    let path = path.strip_prefix("/api2/json/nodes/pve1/qemu/117/").unwrap_or_default();
    let request = format!("{method} {path} {}", String::from_utf8_lossy(&body));
    let state = if api.running { "running" } else { "stopped" };
    let status = format!(r#"{{"data":{{"status":"x","qmpstatus":"{state}","vmid":117}}}}"#);
    let (code, text) = match (known, request.trim_end()) {
        (false, _) => ("401 No ticket", String::new()),
        (_, "GET status/current") => ("200 OK", status),
        (_, change) => {
            api.requests.push(change.to_owned());
            match change {
                "POST status/start" => api.running = true,
                "POST status/stop" | "POST status/shutdown" => api.running = false,
                _ => {}
            }
            ("200 OK", r#"{"data":"UPID:pve1:"}"#.to_owned())
        }
    };
    let length = text.len();
    write!(
        &stream,
        "HTTP/1.1 {code}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
}

#[test]
fn proxmox_api_sends_requests_with_its_token() {
    if programs::installed("curl").is_none() {
        eprintln!("skipped: no curl");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("URL=http://{}", listener.local_addr().expect("an address"));
    let api = Arc::<Mutex<Api>>::default();
    let served = Arc::clone(&api);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _client_gone = answer(stream, &served);
        }
    });
    let dir = tempfile::tempdir().expect("a folder");
    let token = dir.path().join("token");
    fs::write(&token, "Authorization: PVEAPIToken=bmc@pve!lab=s3cret\n").expect("a file");
    let token_file = format!("TOKEN_FILE={}", token.display());
    let environment = ["NODE=pve1".to_owned(), "VMID=117".to_owned(), url, token_file];
    let suite = Suite::configured("", &platform(&script("proxmox-api"), &environment));
    let login = suite.administrator();
    let runs = |command: &str, state: &str, expected: &[&str]| {
        login.ipmitool(&format!("chassis {command}")).ok();
        suite.bus.until_property(&HOST_STATE, state);
        wait::until_true(&format!("{command}: {expected:?}"), || {
            api.lock().expect("a lock").requests == expected
        });
        api.lock().expect("a lock").requests.clear();
    };
    let (network, disk) =
        ("PUT config boot=order%3Dnet0%3Bscsi0", "PUT config boot=order%3Dscsi0%3Bnet0");
    login.ipmitool("chassis bootdev pxe").ok();
    runs("power on", "Running", &[network, "POST status/start"]);
    runs("power reset", "Running", &["POST status/reset"]);
    runs("power diag", "Running", &["POST monitor command=nmi"]);
    runs("power cycle", "Running", &["POST status/stop", disk, "POST status/start"]);
    runs("power soft", "Off", &["POST status/shutdown"]);
    runs("power on", "Running", &[disk, "POST status/start"]);
    runs("power off", "Off", &["POST status/stop"]);
    runs("power on", "Running", &[disk, "POST status/start"]);
    // With a token that is refused, the state is unknown and stays.
    fs::write(&token, "Authorization: PVEAPIToken=bmc@pve!lab=wrong\n").expect("a file");
    wait::until_true("the log has curl's line", || suite.platformd.log().contains("401"));
    assert!(login.ipmitool("chassis power status").ok().contains("is on"));
}

#[test]
fn scripts_have_no_faults_that_shellcheck_finds() {
    let folder = script("");
    let scripts =
        fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let scripts: Vec<PathBuf> = scripts.filter(|path| path.extension().is_none()).collect();
    assert_eq!(scripts.len(), 4, "a test for each: {scripts:?}");
    if programs::installed("shellcheck").is_none() {
        eprintln!("skipped: no shellcheck");
        return;
    }
    client::run(Command::new("shellcheck").args(&scripts)).ok();
}
