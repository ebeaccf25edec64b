//! A virtual machine as the host: power, boot order and events of a real QEMU.
//!
//! The bare machines have firmware and a boot sector, and boot in a second. Those with Linux are ignored unless asked
//! for, as in `tests/tests/guest`.

use nix::sys::signal::Signal;
use tests::bus::{CHASSIS_STATE, HOST_STATE, Property};
use tests::clients::Login;
use tests::guest::{self, Interface};
use tests::process::Process;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::vm::{DISK_BOOTS, MACHINE, NETWORK_BOOTS, Vm, zombies};
use tests::{programs, wait};

/// Waits until the power is on, or off, as a client on the LAN sees it.
#[track_caller]
fn until_power(login: &Login, state: &str) {
    wait::until_true(&format!("the power is {state}"), || {
        login.ipmitool("chassis power status").ok().contains(&format!("is {state}"))
    });
}

/// Waits until a line of the event log has `words`.
#[track_caller]
fn until_logged(login: &Login, words: &str) {
    wait::until_true(&format!("{words} is logged"), || {
        login.ipmitool("sel elist").stdout.contains(words)
    });
}

#[test]
fn power_commands_act_on_the_machine() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("");
    let login = suite.administrator();
    until_power(&login, "off");
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 1);
    until_power(&login, "on");
    suite.bus.until_property(&HOST_STATE, "Running");
    let first = vm.process();
    // On is on already.
    login.ipmitool("chassis power on").ok();
    login.ipmitool("chassis power reset").ok();
    vm.until_printed(DISK_BOOTS, 2);
    assert_eq!(vm.process(), first, "a reset leaves the process");
    login.ipmitool("chassis power cycle").ok();
    vm.until_printed(DISK_BOOTS, 3);
    until_power(&login, "on");
    assert_ne!(vm.process(), first, "a cycle takes the power away");
    login.ipmitool("chassis power off").ok();
    until_power(&login, "off");
    suite.bus.until_property(&HOST_STATE, "Off");
    vm.until_ended();
    assert_eq!(zombies(suite.platformd.id()), [""; 0]);
}

#[test]
fn all_of_a_boot_is_on_the_lan_whether_the_console_is_active_or_not() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("");
    let login = suite.administrator();
    // Nobody looks on.
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 1);
    let mut terminal = Terminal::sol(&login);
    let first = vm.printed();
    terminal.until_shows(&first);
    // Somebody does; QEMU ends and begins.
    login.ipmitool("chassis power cycle").ok();
    vm.until_printed(DISK_BOOTS, 2);
    terminal.until_shows(&vm.printed()[first.len()..]);
    let log = suite.netipmid.log();
    assert_eq!(log.matches("connected to the host console").count(), 2, "{log}");
}

#[test]
fn identity_of_the_machine_is_the_systems() {
    let Some(vm) = Vm::new() else { return };
    let mut suite = vm.suite("");
    let login = suite.administrator();
    login.ipmitool("chassis power on").ok();
    let has_guid = || login.ipmitool("mc guid").stdout.contains(MACHINE);
    wait::until_true("the system's GUID is the machine's UUID", has_guid);
    let name = |path, name| {
        let interface = "xyz.openbmc_project.Inventory.Item";
        suite.bus.property(&Property { path, interface, name }).map(|value| value.to_string())
    };
    let memory = "/xyz/openbmc_project/inventory/system/vm_memory";
    assert_eq!(name(memory, "PrettyName").as_deref(), Some("\"32 MiB\""));
    let cpu = name("/xyz/openbmc_project/inventory/system/vm_cpu", "PrettyName");
    assert!(cpu.is_some_and(|cpu| cpu.contains("1 x ") && cpu.contains("CPU")));
    login.ipmitool("chassis power off").ok();
    until_power(&login, "off");
    suite.platformd.kill();
    suite.restart_platformd();
    wait::until_true("the GUID is remembered", has_guid);
}

#[test]
fn a_machine_that_is_killed_is_off_and_the_loss_is_logged() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("");
    let login = suite.administrator();
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 1);
    vm.signal(Signal::SIGKILL);
    suite.bus.until_property(&CHASSIS_STATE, "Off");
    suite.bus.until_property(&HOST_STATE, "Off");
    until_power(&login, "off");
    until_logged(&login, "Failure detected");
    assert!(suite.platformd.log().contains("the host was lost"), "{}", suite.platformd.log());
    assert_eq!(zombies(suite.platformd.id()), [""; 0]);
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 2);
    until_power(&login, "on");
}

#[test]
fn a_machine_that_hangs_is_killed_at_power_off() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("off-limit-ms = 500\n");
    let login = suite.administrator();
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 1);
    vm.signal(Signal::SIGSTOP);
    login.ipmitool("chassis power off").ok();
    until_power(&login, "off");
    vm.until_ended();
}

#[test]
fn a_machine_outlives_platformd_and_is_found_again() {
    let Some(vm) = Vm::new() else { return };
    let mut suite = vm.suite("");
    let login = suite.administrator();
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 1);
    until_power(&login, "on");
    let process = vm.process();
    suite.platformd.kill();
    suite.restart_platformd();
    suite.bus.until_property(&CHASSIS_STATE, "On");
    suite.bus.until_property(&HOST_STATE, "Running");
    assert_eq!(vm.process(), process);
    until_power(&login, "on");
    suite.platformd.terminate();
    // Meanwhile it ends.
    vm.signal(Signal::SIGTERM);
    vm.until_ended();
    suite.restart_platformd();
    suite.bus.until_property(&CHASSIS_STATE, "Off");
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 2);
    suite.platformd.kill();
    suite.restart_platformd();
    login.ipmitool("chassis power off").ok();
    until_power(&login, "off");
    vm.until_ended();
}

#[test]
fn a_boot_override_counts_once_and_a_persistent_one_stays() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("");
    let login = suite.administrator();
    login.ipmitool("chassis bootdev pxe").ok();
    login.ipmitool("chassis power on").ok();
    vm.until_printed(NETWORK_BOOTS, 1);
    assert!(!vm.printed().contains(DISK_BOOTS), "{}", vm.printed());
    // The network has nothing to boot.
    vm.until_printed(DISK_BOOTS, 1);
    // The next boot is from the disk again.
    login.ipmitool("chassis power reset").ok();
    vm.until_printed(DISK_BOOTS, 2);
    assert_eq!(vm.printed().matches(NETWORK_BOOTS).count(), 1, "{}", vm.printed());
    login.ipmitool("chassis bootdev pxe options=persistent,efiboot").ok();
    for count in 2..=3 {
        login.ipmitool("chassis power reset").ok();
        vm.until_printed(NETWORK_BOOTS, count);
    }
    login.ipmitool("chassis bootdev disk options=persistent").ok();
    let booted = vm.printed().matches(DISK_BOOTS).count();
    login.ipmitool("chassis power cycle").ok();
    vm.until_printed(DISK_BOOTS, booted + 1);
    assert_eq!(vm.printed().matches(NETWORK_BOOTS).count(), 3, "{}", vm.printed());
}

#[test]
fn a_boot_device_that_the_machine_lacks_is_logged() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("");
    suite.administrator().ipmitool("chassis bootdev cdrom").ok();
    wait::until_true("the log says so", || suite.platformd.log().contains("no device `cdrom`"));
}

#[test]
fn a_watchdog_that_expires_resets_the_machine() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("");
    let login = suite.administrator();
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 1);
    // Used by SMS/OS, hard reset, 200 ms; started.
    login.ipmitool("raw 0x06 0x24 0x04 0x01 0x00 0x10 0x02 0x00").ok();
    login.ipmitool("raw 0x06 0x22").ok();
    vm.until_printed(DISK_BOOTS, 2);
    wait::until_true("the watchdog is the cause", || {
        login.ipmitool("chassis restart_cause").stdout.contains("watchdog expired")
    });
}

#[test]
fn a_machine_that_ignores_a_shutdown_loses_its_power() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("soft-off-limit-ms = 300\n");
    let login = suite.administrator();
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 1);
    login.ipmitool("chassis power soft").ok();
    until_power(&login, "off");
    vm.until_ended();
    assert!(suite.platformd.log().contains("did not shut down in time"));
}

#[test]
fn a_machine_that_does_not_start_is_an_error_of_the_command() {
    let Some(vm) = Vm::new() else { return };
    let lines =
        "command = [\"qemu-system-x86_64\", \"-machine\", \"none\", \"-drive\", \"file=/nowhere\"]";
    let suite = Suite::configured("", &vm.host(lines));
    let login = suite.administrator();
    login.ipmitool("chassis power on").failed();
    let log = suite.platformd.log();
    assert!(log.contains("ended with exit status: 1") && log.contains("/nowhere"), "{log}");
    until_power(&login, "off");
    assert_eq!(zombies(suite.platformd.id()), [""; 0]);
}

/// As a program that starts QEMU itself would have it: paused, and not this daemon's child.
#[test]
fn a_machine_that_was_started_by_something_else_is_controlled() {
    let Some(vm) = Vm::new() else { return };
    let suite = vm.suite("");
    let login = suite.administrator();
    until_power(&login, "off");
    let socket = format!("unix:{},server=on,wait=off", vm.qmp().display());
    let pid = vm.dir().join("pid").display().to_string();
    let words = [
        "-machine",
        "pc,accel=tcg",
        "-nographic",
        "-nodefaults",
        "-m",
        "16",
        "-S",
        "-qmp",
        &socket,
    ]
    .into_iter()
    .chain(["-pidfile", &pid])
    .map(str::to_owned)
    .collect::<Vec<_>>();
    let program = programs::installed("qemu-system-x86_64").expect("QEMU");
    let _qemu = Process::start("other-qemu", vm.dir(), &program, &words, &[]);
    wait::until_true("QEMU runs", || vm.process().is_some());
    let process = vm.process();
    // It is ready and not running: that is off.
    login.ipmitool("chassis power on").ok();
    until_power(&login, "on");
    assert_eq!(vm.process(), process);
    login.ipmitool("chassis power off").ok();
    until_power(&login, "off");
}

/// A suite whose host is a machine with Linux, whose BMC is this one. The guest runs `script`.
struct Linux {
    vm: Vm,
    suite: Suite,
    bridge: Option<Process>,
}

impl Linux {
    fn new(script: &str) -> Option<Self> {
        Self::with_devices(script, &[])
    }

    /// The same with more of QEMU's arguments.
    fn with_devices(script: &str, devices: &[&str]) -> Option<Self> {
        let vm = Vm::new()?;
        let dir = vm.dir().display().to_string();
        let kcs = vm.dir().join("kcs");
        let console = vm.console();
        let pid = format!("{dir}/pid");
        let options = ["--reboot", "--console", &console, "--", "-pidfile", &pid, "-uuid", MACHINE];
        let options = [&options, devices].concat();
        let file = guest::argument_file(Interface::Kcs, &kcs, vm.dir(), script, &options);
        let platform = vm.host(&format!(
            "argument-file = \"{}\"\n[[inventory]]\nkind = \"motherboard\"\npath = \"system/board\"\n",
            file.display()
        ));
        let suite = Suite::configured(&vm.configuration(), &platform);
        let mut linux = Self { vm, suite, bridge: None };
        linux.restart_bridge();
        Some(linux)
    }

    /// Kills kcsbridged, if it runs, and starts it.
    fn restart_bridge(&mut self) {
        if let Some(mut bridge) = self.bridge.take() {
            bridge.kill();
        }
        let link = format!("unix:{}", self.vm.dir().join("kcs").display());
        self.bridge = Some(self.suite.bridge("kcsbridged", "kcs0", ["--qemu", &link]));
    }

    /// Waits until the guest has printed `text`, `count` times in all.
    #[track_caller]
    fn until_printed(&self, text: &str, count: usize) {
        self.vm.until_printed(text, count);
    }
}

/// Text without the characters that follow one like them: QEMU's log has a byte twice that its socket did not take at once.
fn without_repeats(text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    characters.dedup();
    characters.into_iter().collect()
}

#[test]
#[ignore = "boots a guest"]
fn linux_sees_the_same_bmc_and_obeys_a_shutdown() {
    // What acts on the power key: the driver of the button, and a reader of its input device.
    let script = "modprobe button; modprobe evdev
        ipmitool -I open mc guid > /dev/console 2>&1
        ipmitool -I open lan print 1 > /dev/console 2>&1
        echo port $(ipmitool -I open raw 0x0c 2 1 8 0 0) > /dev/console
        for device in /sys/class/input/event*; do
            grep -q 'Power Button' $device/device/name && button=/dev/input/${device##*/}
        done
        echo guest-is-up > /dev/console
        dd if=$button of=/dev/null bs=64 count=1 2> /dev/null
        echo power-key > /dev/console; poweroff -f";
    let Some(linux) = Linux::new(script) else { return };
    let login = linux.suite.administrator();
    // One console is active from before the start on, the other one comes when Linux is up.
    let mut terminal = Terminal::sol(&login);
    login.ipmitool("chassis power on").ok();
    linux.until_printed("guest-is-up", 1);
    let printed = linux.vm.printed();
    let boot = printed.split_once("guest-is-up").expect("it is up").0.to_owned() + "guest-is-up";
    eprintln!("{} bytes of a boot", boot.len());
    let has_boot = |shown: &str| without_repeats(shown).contains(&without_repeats(&boot));
    terminal.until(has_boot);
    terminal.enter("\r~.");
    terminal.until_ended();
    let mut late = Terminal::sol(&login);
    late.until(has_boot);
    // In band and over LAN it is one BMC.
    assert!(boot.contains(MACHINE) && login.ipmitool("mc guid").ok().contains(MACHINE));
    let address = format!("IP Address              : {}\r", login.address.ip());
    assert!(boot.contains(&address), "{address}: {boot}");
    let [low, high] = login.address.port().to_le_bytes();
    assert!(boot.contains(&format!("port 11 {low:02x} {high:02x}")), "{boot}");
    login.ipmitool("chassis power soft").ok();
    late.until_shows("power-key");
    until_power(&login, "off");
    until_logged(&login, "OS graceful shutdown");
    linux.vm.until_ended();
    assert!(!linux.suite.platformd.log().contains("did not shut down in time"));
}

#[test]
#[ignore = "boots a guest"]
fn a_panic_of_linux_is_logged() {
    let script = "modprobe pvpanic-mmio
        echo guest-is-up > /dev/console; sleep 1; echo c > /proc/sysrq-trigger; sleep 1000";
    let Some(linux) = Linux::with_devices(script, &["-device", "pvpanic"]) else { return };
    let login = linux.suite.administrator();
    login.ipmitool("chassis power on").ok();
    linux.until_printed("guest-is-up", 1);
    linux.until_printed("Kernel panic - not syncing", 1);
    until_logged(&login, "Run-time critical stop");
    // QEMU ends at a panic unless it is told otherwise.
    until_power(&login, "off");
}

#[test]
#[ignore = "boots a guest"]
fn each_process_can_be_killed_while_linux_runs() {
    let script = "while :; do
            ipmitool -I open mc guid > /dev/console 2>&1; echo asked > /dev/console; sleep 0.5
        done";
    let Some(mut linux) = Linux::new(script) else { return };
    let login = linux.suite.administrator();
    login.ipmitool("chassis power on").ok();
    linux.until_printed(MACHINE, 1);
    let process = linux.vm.process();
    for killed in ["netipmid", "ipmid", "kcsbridged", "platformd", "dbus-daemon"] {
        match killed {
            "netipmid" => {
                linux.suite.netipmid.kill();
                linux.suite.restart_netipmid();
            }
            "ipmid" => {
                linux.suite.ipmid.kill();
                linux.suite.restart_ipmid();
            }
            "kcsbridged" => linux.restart_bridge(),
            "platformd" => {
                linux.suite.platformd.kill();
                linux.suite.restart_platformd();
            }
            _ => {
                linux.suite.bus.kill();
                linux.suite.bus.restart();
            }
        }
        wait::until_true(&format!("there is a BMC again after {killed}"), || {
            login.ipmitool("mc guid").stdout.contains(MACHINE)
        });
        until_power(&login, "on");
        let count = linux.vm.printed().matches(MACHINE).count();
        linux.until_printed(MACHINE, count + 2);
        // The console is connected again.
        let mut terminal = Terminal::sol(&login);
        terminal.until_shows("asked");
        terminal.enter("\r~.");
        terminal.until_ended();
        assert_eq!(linux.vm.process(), process, "{killed}");
    }
    linux.vm.signal(Signal::SIGKILL);
    until_power(&login, "off");
    login.ipmitool("chassis power on").ok();
    until_power(&login, "on");
    let count = linux.vm.printed().matches(MACHINE).count();
    linux.until_printed(MACHINE, count + 1);
}

#[test]
#[ignore = "boots a guest"]
fn reboot_and_power_off_of_linux_itself_are_seen() {
    let script = "if [ -e /dev/ipmi0 ] && ipmitool -I open sel list | grep -q 'Initiated by warm reset'; then
            echo second-boot > /dev/console; sleep 1; poweroff -f
        fi
        echo first-boot > /dev/console; sleep 4; reboot -f; sleep 100";
    let Some(linux) = Linux::new(script) else { return };
    let login = linux.suite.administrator();
    login.ipmitool("chassis power on").ok();
    linux.until_printed("first-boot", 1);
    let process = linux.vm.process();
    linux.until_printed("second-boot", 1);
    let cause = login.ipmitool("chassis restart_cause");
    assert!(cause.ok().contains("soft reset"), "{cause}");
    assert!(process.is_some());
    until_power(&login, "off");
    until_logged(&login, "OS graceful shutdown");
}

#[test]
#[ignore = "boots a guest"]
fn interrupt_panics_linux_and_the_watchdog_of_linux_resets_it() {
    let script = "echo 1 > /proc/sys/kernel/unknown_nmi_panic
        echo string > /sys/module/ipmi_msghandler/parameters/panic_op
        if ipmitool -I open sel list | grep -q 'OS'; then
            modprobe ipmi_watchdog timeout=600 action=reset start_now=1 nowayout=1
            echo watchdog-runs > /dev/console
            echo 2 > /sys/module/ipmi_watchdog/parameters/timeout
            sleep 1000
        fi
        echo guest-is-up > /dev/console; sleep 1000";
    let Some(linux) = Linux::new(script) else { return };
    let login = linux.suite.administrator();
    login.ipmitool("chassis power on").ok();
    linux.until_printed("guest-is-up", 1);
    login.ipmitool("chassis power diag").ok();
    linux.until_printed("Kernel panic - not syncing", 1);
    until_logged(&login, "OS");
    // A kernel that panics restarts the machine.
    linux.until_printed("watchdog-runs", 1);
    wait::until_true("the watchdog is the cause", || {
        login.ipmitool("chassis restart_cause").stdout.contains("watchdog expired")
    });
    linux.until_printed("watchdog-runs", 2);
}
