//! What provisioning and cluster software runs against the BMC of a virtual machine: ironic's command lines of ipmitool,
//! pyghmi, and a fence agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tests::client::{self, Output};
use tests::clients::Login;
use tests::terminal::Terminal;
use tests::vm::{DISK_BOOTS, MACHINE, NETWORK_BOOTS, Vm};
use tests::{programs, python, wait};

/// ironic's prefix of each command line (its ipmitool interface), with the password in a file.
fn ironic(login: &Login) -> Command {
    let file = login.home.join("password");
    fs::write(&file, &login.password).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a file of ours");
    let mut command = login.program("ipmitool");
    command.args(["-I", "lanplus", "-H", &login.address.ip().to_string(), "-L", "ADMINISTRATOR"]);
    command.args(["-p", &login.address.port().to_string(), "-U", &login.user, "-v"]);
    command.args(["-R", "12", "-N", "5", "-C", "17", "-f"]).arg(file);
    command
}

fn run(login: &Login, arguments: &str) -> Output {
    client::run(ironic(login).args(arguments.split_whitespace()))
}

#[track_caller]
fn until_power(login: &Login, state: &str) {
    wait::until_true(&format!("the power is {state}"), || {
        run(login, "power status").ok().contains(&format!("Chassis Power is {state}"))
    });
}

#[test]
fn lines_of_ironic_work() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("soft-off-limit-ms = 300\n");
    let login = suite.administrator();
    until_power(&login, "off");
    // The timeout of boot flags is disabled, then the device is set.
    run(&login, "raw 0x00 0x08 0x03 0x08").ok();
    run(&login, "chassis bootdev pxe options=persistent,efiboot").ok();
    let flags = run(&login, "chassis bootparam get 5");
    assert!(
        flags.ok().contains("Force PXE") && flags.stdout.contains("apply to all future boots"),
        "{flags}"
    );
    assert!(flags.stdout.contains("BIOS EFI boot"), "{flags}");
    run(&login, "power on").ok();
    until_power(&login, "on");
    for count in 1..=2 {
        vm.until_printed(NETWORK_BOOTS, count);
        run(&login, "power reset").ok();
    }
    run(&login, "chassis bootdev disk options=persistent").ok();
    run(&login, "power cycle").ok();
    vm.until_printed(DISK_BOOTS, 1);
    let guid = run(&login, "mc guid");
    assert!(guid.ok().contains(MACHINE), "{guid}");
    assert!(run(&login, "mc info").ok().contains("IPMI Version              : 2.0"));
    run(&login, "sdr -v").ok();
    run(&login, "sel list").ok();
    // ironic's console.
    let info = run(&login, "sol info");
    assert!(info.ok().contains("Enabled") && info.stdout.contains("true"), "{info}");
    let port = format!("Payload Port                    : {}", login.address.port());
    assert!(info.stdout.contains(&port), "{info}");
    let mut console = ironic(&login);
    let mut terminal = Terminal::start(console.args(["sol", "activate"]));
    terminal.until_shows(DISK_BOOTS);
    run(&login, "sol deactivate").ok();
    run(&login, "power soft").ok();
    until_power(&login, "off");
    run(&login, "power off").ok();
    vm.until_ended();
}

#[test]
fn a_fence_agent_fences_the_machine() {
    let Some(vm) = Vm::new() else { return };
    if programs::installed("fence_ipmilan").is_none() {
        eprintln!("skipped: no fence_ipmilan (Debian's package fence-agents)");
        return;
    }
    let suite = vm.suite("");
    let login = suite.administrator();
    let fence = |action: &str| {
        let mut command = login.program("fence_ipmilan");
        command.args(["--ip", &login.address.ip().to_string()]);
        command.args(["--ipport", &login.address.port().to_string(), "--lanplus"]);
        command.args(["--username", &login.user, "--password", &login.password]);
        command.args(["--cipher", "17", "--action", action]);
        client::run(&mut command)
    };
    // Off is exit status 2.
    assert_eq!(fence("status").code, Some(2));
    fence("on").ok();
    vm.until_printed(DISK_BOOTS, 1);
    fence("status").ok();
    fence("monitor").ok();
    let before = vm.process();
    fence("reboot").ok();
    vm.until_printed(DISK_BOOTS, 2);
    assert!(vm.process().is_some() && vm.process() != before, "another QEMU");
    fence("off").ok();
    vm.until_ended();
    assert_eq!(fence("status").code, Some(2));
}

/// pyghmi, as programs use it for power, boot devices and identity.
const PYGHMI: &str = "pyghmi==1.6.19";
const BMC: &str = "
import sys
from pyghmi.ipmi import command
bmc = command.Command(bmc=sys.argv[1], port=int(sys.argv[2]), userid=sys.argv[3], password=sys.argv[4])
print('power', bmc.get_power()['powerstate'])
";
const POWER_ON: &str = "
bmc.set_bootdev('network', persist=True, uefiboot=True)
print('boot', sorted(bmc.get_bootdev().items()))
print('switched', bmc.set_power('on', wait=60).get('powerstate'))
";
const POWER_OFF: &str = "
bmc.set_bootdev('default')
bmc.set_power('reset')
print('guid', bytes(bmc.xraw_command(netfn=6, command=0x37)['data']).hex())
print('events', len(list(bmc.get_event_log())))
print('sensors', len(list(bmc.get_sensor_descriptions())))
print('switched', bmc.set_power('off', wait=60).get('powerstate'))
";

#[test]
fn pyghmi_controls_the_machine() {
    let Some(vm) = Vm::new() else { return };
    let folder = env!("CARGO_TARGET_TMPDIR");
    let modules = "pyghmi.ipmi.command";
    let Some(python) = python::environment(folder, "pyghmi", PYGHMI, modules) else { return };
    let suite = vm.suite("");
    let login = suite.administrator();
    let (address, port) = (login.address.ip().to_string(), login.address.port().to_string());
    let run = |script: &str| {
        let mut command = Command::new(&python);
        let script = format!("{BMC}{script}");
        command.args(["-c", &script, &address, &port, &login.user, &login.password]);
        client::run(&mut command)
    };
    let on = run(POWER_ON);
    let boot = "('bootdev', 'network'), ('persistent', True), ('uefimode', True)";
    for line in ["power off", boot, "switched on"] {
        assert!(on.ok().contains(line), "{line}: {on}");
    }
    vm.until_printed(NETWORK_BOOTS, 1);
    let off = run(POWER_OFF);
    // The GUID's bytes are in the reverse order of the UUID's.
    let digits = MACHINE.replace('-', "");
    let reversed = (0..16).rev().map(|at| &digits[2 * at..2 * at + 2]).collect::<String>();
    for line in ["power on", &format!("guid {reversed}"), "switched off"] {
        assert!(off.ok().contains(line), "{line}: {off}");
    }
    vm.until_ended();
}
