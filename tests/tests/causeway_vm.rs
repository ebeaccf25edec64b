//! `causeway-vm`: BMCs of bare machines and of simulated hosts, as their user starts, kills and stops them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use tests::clients::Login;
use tests::suite::free_address;
use tests::terminal::Terminal;
use tests::vm::{DISK_BOOTS, NETWORK_BOOTS, Vm};
use tests::vm_tool::{FIRMWARE, User};
use tests::{client, json_schema, wait};

/// A machine whose disk prints a line; ended by itself some time, should a test leave it behind.
fn machine(vm: &Vm) -> String {
    let disk = vm.dir().join("disk").display().to_string();
    format!(
        "timeout --foreground --signal=KILL 600 qemu-system-x86_64 -machine pc,accel=tcg -m 32 \
         -netdev user,id=net,restrict=on -device virtio-net-pci,netdev=net \
         -drive file={disk},format=raw"
    )
}

/// The options of an address that no other test has.
fn address() -> String {
    let address = free_address();
    format!("--address {} --port {}", address.ip(), address.port())
}

#[track_caller]
fn until_power(login: &Login, state: &str) {
    wait::until_true(&format!("the power is {state}"), || {
        login.ipmitool("chassis power status").stdout.contains(&format!("is {state}"))
    });
}

#[test]
fn a_machine_runs_with_its_bmc_until_it_is_interrupted() {
    let Some(vm) = Vm::new() else { return };
    let user = User::new();
    let mut run = user.serve(&format!("vm1 {} -- {}", address(), machine(&vm)));
    let login = user.login("vm1");
    until_power(&login, "on");
    // What the firmware prints first is there, though nobody was attached.
    let mut terminal = Terminal::sol(&login);
    terminal.until_shows(FIRMWARE);
    terminal.until_shows(DISK_BOOTS);
    let first = user.process("vm1", "machine");
    login.ipmitool("chassis power cycle").ok();
    terminal.until_shows(FIRMWARE);
    terminal.until_shows(DISK_BOOTS);
    assert_ne!(user.process("vm1", "machine"), first, "a cycle takes the power away");
    login.ipmitool("chassis bootdev pxe").ok();
    login.ipmitool("chassis power reset").ok();
    terminal.until_shows(NETWORK_BOOTS);
    drop(terminal);
    run.signal(Signal::SIGINT);
    let status = wait::until("it ends", || run.exited());
    assert!(status.success(), "{}", run.log());
    user.until_nothing_is_left();
    assert!(!user.state().exists(), "a BMC of `run` lasts as long as the command");
}

#[test]
fn what_is_killed_comes_back_or_is_reported() {
    let Some(vm) = Vm::new() else { return };
    let user = User::new();
    let run = user.serve(&format!("vm1 {} -- {}", address(), machine(&vm)));
    let login = user.login("vm1");
    until_power(&login, "on");
    let machine = user.process("vm1", "machine");
    for name in ["ipmid", "netipmid", "kcsbridged", "platformd", "dbus-daemon"] {
        let pid = user.process("vm1", name);
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a process of ours");
        wait::until_true(&format!("{name} is back"), || user.process("vm1", name) != pid);
        wait::until_true(&format!("the end of {name} is reported"), || {
            run.log().contains(&format!("vm1: {name} ended (SIGKILL); starting it again"))
        });
        until_power(&login, "on");
    }
    assert_eq!(user.process("vm1", "machine"), machine, "the machine goes on");
    kill(Pid::from_raw(machine), Signal::SIGKILL).expect("a process of ours");
    until_power(&login, "off");
    wait::until_true("the loss is reported", || run.log().contains("the host was lost"));
    login.ipmitool("chassis power on").ok();
    until_power(&login, "on");
    assert_ne!(user.process("vm1", "machine"), machine);
    // A reset of the BMC restarts its daemons, and leaves the machine.
    let (machine, ipmid) = (user.process("vm1", "machine"), user.process("vm1", "ipmid"));
    login.ipmitool("mc reset cold").ok();
    wait::until_true("the BMC is reset", || user.process("vm1", "ipmid") != ipmid);
    until_power(&login, "on");
    assert_eq!(user.process("vm1", "machine"), machine);
}

#[test]
fn a_machine_outlives_a_supervisor_that_is_killed() {
    let Some(vm) = Vm::new() else { return };
    let user = User::new();
    user.run(&format!("create vm1 --power on {} -- {}", address(), machine(&vm))).ok();
    user.run("start --by process vm1").ok();
    let login = user.login("vm1");
    until_power(&login, "on");
    let machine = user.process("vm1", "machine");
    let supervisor = user.json("status vm1")["supervisor"].as_i64().expect("a supervisor");
    let supervisor = i32::try_from(supervisor).expect("a process");
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).expect("a process of ours");
    // The machine alone, and what keeps its time.
    wait::until_true("the daemons end", || {
        user.all_processes().iter().all(|(_, line)| line.contains("qemu-system"))
    });
    assert_eq!(user.json("list")[0]["state"], "lost");
    assert_eq!(user.run("status vm1").code, Some(1));
    user.run("start --by process vm1").ok();
    until_power(&login, "on");
    assert_eq!(user.process("vm1", "machine"), machine);
    user.run("stop vm1").ok();
    user.until_nothing_is_left();
    // Without a supervisor, stop ends what is left.
    user.run("start --by process vm1").ok();
    until_power(&login, "on");
    let supervisor = user.json("status vm1")["supervisor"].as_i64().expect("a supervisor");
    let supervisor = i32::try_from(supervisor).expect("a process");
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).expect("a process of ours");
    wait::until_true("it has ended", || user.json("list")[0]["state"] == "lost");
    user.run("rm vm1").ok();
    user.until_nothing_is_left();
    assert!(!user.state().exists());
}

#[test]
fn a_fleet_is_made_started_listed_stopped_and_removed() {
    let user = User::new();
    let address = free_address();
    // A row has the ports after the first, which other tests have.
    let first_port = address.port() + 1000;
    let row = format!(
        "[[bmc]]\nname = \"node{{n}}\"\ncount = 5\naddress = \"{}\"\nport = {}\n\
         platform = \"server.toml\"\nuser = \"operator\"\n",
        address.ip(),
        first_port
    );
    fs::write(user.dir().join("fleet.toml"), row).expect("a file");
    let platform =
        "[identity]\nmodel = \"Mock 1\"\n[chassis]\npower-on-ms = 1\n[host]\nstart-ms = 1\n";
    fs::write(user.dir().join("server.toml"), platform).expect("a file");
    let created = user.json("create --file fleet.toml");
    assert_eq!(created.as_array().map(Vec::len), Some(5));
    for (index, one) in created.as_array().into_iter().flatten().enumerate() {
        assert_eq!(one["port"].as_u64(), Some(u64::from(first_port) + index as u64));
        let path = one["password-file"].as_str().expect("a path");
        let kept = fs::read_to_string(path).expect("the password");
        assert_eq!(Some(kept.trim_end()), one["password"].as_str());
        let mode = fs::metadata(path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let states = || {
        let list = user.json("list");
        let text =
            |bmc: &serde_json::Value| format!("{} {}", bmc["name"], bmc["state"]).replace('"', "");
        list.as_array().into_iter().flatten().map(text).collect::<Vec<_>>()
    };
    let all = |state: &str| (1..=5).map(|n| format!("node{n} {state}")).collect::<Vec<_>>();
    assert_eq!(states(), all("stopped"));
    user.run("start --by process --all").ok();
    assert_eq!(states(), all("running"));
    let login = user.login("node3");
    assert_eq!(login.user, "operator");
    login.ipmitool("chassis power on").ok();
    until_power(&login, "on");
    until_power(&user.login("node4"), "off");
    let power = user.json("list");
    assert_eq!((&power[2]["power"], &power[3]["power"]), (&"on".into(), &"off".into()));
    // To start and stop again changes nothing.
    user.run("start --by process node3").ok();
    user.run("stop node2").ok();
    user.run("stop node2").ok();
    let mut stopped = all("running");
    "node2 stopped".clone_into(&mut stopped[1]);
    assert_eq!(states(), stopped);
    let text = user.run("rm --all").failed();
    assert!(text.contains("the BMC node1 runs") && text.contains("rm --stop"), "{text}");
    user.run("stop --all").ok();
    user.until_nothing_is_left();
    assert_eq!(states(), all("stopped"));
    user.run("rm --all").ok();
    assert!(!user.state().exists());
    assert_eq!(user.json("list").as_array().map(Vec::len), Some(0));
}

#[test]
fn errors_say_what_is_wrong_and_what_to_do() {
    let user = User::new();
    let (one, other) = (address(), address());
    let fails = |line: &str, words: &[&str]| {
        let text = user.run(line).failed();
        assert!(words.iter().all(|word| text.contains(word)), "{line}: {text}");
    };
    fails("status none", &["there is no BMC none", "causeway-vm list"]);
    fails("start none", &["there is no BMC none"]);
    fails("stop none", &["there is no BMC none"]);
    fails("console none", &["there is no BMC none"]);
    fails("run none", &["there is no BMC none"]);
    fails("run a/b -- sh", &["is no name of a BMC"]);
    fails("create vm1 --count 2", &["a name with {n}"]);
    fails("create vm1 -- qemu-system-none", &["qemu-system-none is missing", "apt-get install"]);
    fails("run vm1 -- qemu-system-none", &["qemu-system-none is missing"]);
    fails("create vm1 --platform none.toml", &["none.toml is no file"]);
    fails("run vm1 -- sh -serial stdio", &["-serial", "causeway-vm console"]);
    assert!(!user.state().exists() || fs::read_dir(user.state()).expect("it").count() == 0);
    user.run(&format!("create vm1 {one}")).ok();
    fails(&format!("create vm1 {other}"), &["there is a BMC vm1 already", "causeway-vm rm vm1"]);
    fails(&format!("create vm2 {one}"), &["the port is taken: the BMC vm1 has", "--port"]);
    fails(&format!("run vm2 {one} -- sh"), &["the port is taken: the BMC vm1 has"]);
    fails(&format!("run vm1 {other} -- sh"), &["there is a BMC vm1 already"]);
    fails("console vm1", &["does not run", "causeway-vm start vm1"]);
    let login = user.login("vm1");
    let taken = std::net::UdpSocket::bind(login.address).expect("a socket");
    fails("start --by process vm1", &["vm1 does not start: the port is taken"]);
    fails("run vm1", &["the port is taken", "bmc.toml of vm1"]);
    drop(taken);
    fails("start --by systemd vm1", &["user manager does not run", "--by process"]);
    let error = user.run("--json status none").stderr;
    let error = serde_json::from_str(&error).expect("JSON");
    json_schema::check_vm("error", &error).expect("the schema");
    user.until_nothing_is_left();
}

#[test]
fn what_the_machine_lacks_is_said() {
    let user = User::new();
    let fails = |command: &mut Command, words: &[&str]| {
        let text = client::run(command).failed();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    // No bus daemon.
    let bin = user.dir().join("bin");
    fs::create_dir(&bin).expect("a folder");
    std::os::unix::fs::symlink("/bin/sh", bin.join("sh")).expect("a link");
    let mut command = user.command(&["run", "vm1", "--", "sh"]);
    fails(command.env("PATH", &bin), &["dbus-daemon is missing", "apt-get install dbus-daemon"]);
    // Folders that cannot be written.
    fs::write(user.dir().join("file"), "").expect("a file");
    let mut command = user.command(&["create", "vm1"]);
    command.env("XDG_STATE_HOME", user.dir().join("file"));
    fails(&mut command, &["cannot", "XDG_STATE_HOME=FOLDER"]);
    // Sockets with paths that are too long.
    let long = user.dir().join("n".repeat(80));
    fs::create_dir(&long).expect("a folder");
    let mut command = user.command(&["create", "vm1"]);
    fails(command.env("XDG_RUNTIME_DIR", &long), &["107 is the most", "XDG_RUNTIME_DIR=FOLDER"]);
    // A machine that does not start.
    let Some(vm) = Vm::new() else { return };
    let line = format!("run vm1 {} -- {} -no-such-option", address(), machine(&vm));
    let text = user.run(&line).failed();
    assert!(text.contains("cannot be switched on") && text.contains("no-such-option"), "{text}");
    user.until_nothing_is_left();
    assert!(!user.state().exists());
}

#[test]
fn users_do_not_see_the_bmcs_of_others() {
    let (one, other) = (User::new(), User::new());
    one.run(&format!("create vm1 {}", address())).ok();
    other.run(&format!("create vm1 {}", address())).ok();
    one.run("start --by process vm1").ok();
    assert_eq!(one.json("list")[0]["state"], "running");
    assert_eq!(other.json("list")[0]["state"], "stopped");
    assert_ne!(one.json("status vm1")["uuid"], other.json("status vm1")["uuid"]);
    assert!(other.login("vm1").ipmitool("mc info").code != Some(0));
    if geteuid().is_root() {
        // Not even by name.
        let stranger = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        let words: Vec<&str> = stranger.split_whitespace().collect();
        for path in [one.state().join("vm1/password"), one.runtime().join("vm1/bus")] {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).arg("test").arg("-r").arg(path);
            client::run(&mut command).failed();
        }
    }
    one.run("stop vm1").ok();
    one.until_nothing_is_left();
}

#[test]
fn a_password_comes_from_a_file_or_a_descriptor() {
    let user = User::new();
    fs::write(user.dir().join("pw"), "correct horse\n").expect("a file");
    let created = user.json(&format!("create vm1 {} --password-file pw", address()));
    assert_eq!(created[0].get("password"), None);
    let mut command = user.command(&["create", "vm2", "--password-fd", "0"]);
    command.args(address().split(' '));
    let line = "echo 'from a pipe' | \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", line, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.envs(user.environment()).current_dir(user.dir());
    client::run(&mut shell).ok();
    for (name, password) in [("vm1", "correct horse"), ("vm2", "from a pipe")] {
        let login = user.login(name);
        assert_eq!(login.password, password);
        user.run(&format!("start --by process {name}")).ok();
        login.ipmitool("mc info").ok();
        user.run(&format!("stop {name}")).ok();
    }
    user.until_nothing_is_left();
}
