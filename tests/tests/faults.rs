//! Faults of a simulated host, set on the bus while it runs, as clients of the BMC see them; and the host's console.

use nix::sys::signal::Signal;
use tests::bus::HOST_STATE;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::wait;

const SERVICE: &str = "xyz.openbmc_project.State.Host";
const OBJECT: &str = "/xyz/openbmc_project/state/host0";
const INTERFACE: &str = "org.causeway.Host.Simulation";

/// A platform that prints a text on its console, netipmid's, when it starts.
fn suite() -> Suite {
    let dir = tempfile::tempdir().expect("a folder").keep();
    let path = dir.join("console").display().to_string();
    let platform = format!(
        "[chassis]\npower-on-ms = 20\npower-off-ms = 20\ncycle-ms = 20\n[host]\nstart-ms = 20\n\
         [host.console]\npath = \"{path}\"\nscript = [[0, \"firmware\\r\\n\"], [50, \"login: \"]]\n"
    );
    Suite::configured(&format!("[sol]\nconsole = \"listen-unix:{path}\"\n"), &platform)
}

fn set(suite: &Suite, property: &str, kind: &str, value: &str) {
    suite.bus.busctl(&["set-property", SERVICE, OBJECT, INTERFACE, property, kind, value]).ok();
}

#[test]
fn power_commands_fail_come_late_or_are_not_answered() {
    let suite = suite();
    let login = suite.administrator();
    let is_on = || login.ipmitool("chassis power status").ok().contains("is on");
    set(&suite, "Fault", "s", "refuse");
    login.ipmitool("chassis power on").failed();
    assert!(!is_on());
    set(&suite, "Fault", "s", "hang");
    login.ipmitool("chassis power on").failed();
    assert!(!is_on());
    set(&suite, "Fault", "s", "none");
    set(&suite, "DelayMs", "u", "300");
    login.ipmitool("chassis power on").ok();
    wait::until_true("the host is on", is_on);
    let wrong = ["set-property", SERVICE, OBJECT, INTERFACE, "Fault", "s", "burns"];
    suite.bus.busctl(&wrong).failed();
}

#[test]
fn the_log_fills() {
    let suite = suite();
    let login = suite.administrator();
    suite.bus.busctl(&["call", SERVICE, OBJECT, INTERFACE, "FillLog", "u", "200"]).ok();
    wait::until_true("200 events are logged", || {
        let info = login.ipmitool("sel info");
        let entries = info.stdout.lines().find_map(|line| line.strip_prefix("Entries"));
        let entries = entries.and_then(|text| text.trim_start_matches([' ', ':']).parse().ok());
        entries.is_some_and(|count: u32| count >= 200)
    });
}

#[test]
fn the_hosts_console_has_its_script_and_can_be_lost() {
    let mut suite = suite();
    let login = suite.administrator();
    let mut terminal = Terminal::sol(&login);
    login.ipmitool("chassis power on").ok();
    terminal.until_shows("firmware\r\nlogin: ");
    suite.bus.until_property(&HOST_STATE, "Running");
    set(&suite, "ConsoleLost", "b", "true");
    wait::until_true("netipmid has no console", || {
        suite.netipmid.log().contains("the host console has hung up")
    });
    login.ipmitool("chassis power reset").ok();
    suite.bus.until_property(&HOST_STATE, "Running");
    set(&suite, "ConsoleLost", "b", "false");
    login.ipmitool("chassis power reset").ok();
    terminal.until_shows("firmware\r\nlogin: ");
    // Another address is in force after a reload.
    let file = suite.dir().join("causeway.toml");
    std::fs::write(&file, "[sol]\nconsole = \"none\"\n").expect("the configuration");
    suite.netipmid.signal(Signal::SIGHUP);
    wait::until_true("the console is another one", || {
        suite.netipmid.log().contains("the host console has another address")
    });
    assert!(login.ipmitool("mc info").code == Some(0));
}

#[test]
fn a_host_bridge_warns_of_a_machine_whose_power_is_simulated() {
    let suite = suite();
    let path = suite.dir().join("kcs");
    let bridge =
        suite.bridge("kcsbridged", "kcs0", ["--qemu", &format!("unix:{}", path.display())]);
    for _ in 0..2 {
        let _qemu = wait::until("the bridge listens", || {
            std::os::unix::net::UnixStream::connect(&path).ok()
        });
        wait::until_true("the log says so", || bridge.log().contains("its power is simulated"));
    }
    assert_eq!(bridge.log().matches("its power is simulated").count(), 1, "{}", bridge.log());
}
