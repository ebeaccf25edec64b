//! A power limit that is exceeded: its exception action is carried out.

use tests::bus::HOST_STATE;
use tests::clients::Login;
use tests::suite::Suite;
use tests::wait;

/// The sensor of the machine's power.
const POWER: [&str; 2] =
    ["/xyz/openbmc_project/sensors/power/total_power", "xyz.openbmc_project.Sensor.Value"];
/// The object and interface of the power limit.
const LIMIT: [&str; 2] =
    ["/xyz/openbmc_project/control/host0/power_cap", "xyz.openbmc_project.Control.Power.Cap"];

/// Sets a property of an object, as a service or Redfish does.
fn set(suite: &Suite, [path, interface]: [&str; 2], property: [&str; 3]) {
    let service = suite.bus.service(path, interface).expect("a service");
    let object = ["set-property", &service, path, interface];
    suite.bus.busctl(&[&object[..], &property].concat()).ok();
}

/// Sets a power limit of 400 W with a correction time of 100 ms.
fn limit(login: &Login, action: &str) {
    for setting in ["limit 400".to_owned(), "correction 100".to_owned(), format!("action {action}")]
    {
        login.ipmitool(&format!("dcmi power set_limit {setting}")).ok();
    }
}

fn is_logged(login: &Login) -> bool {
    let list = login.ipmitool("sel elist");
    let words = ["total power", "Limit Exceeded", "Asserted"];
    let mut lines = list.stdout.lines();
    lines.any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn host_above_its_power_limit_is_switched_off() {
    let suite = Suite::start();
    let login = suite.administrator().level("ADMIN");
    login.ipmitool("chassis power on").ok();
    suite.bus.until_property(&HOST_STATE, "Running");
    limit(&login, "power_off");
    let activate = "--activate-deactivate-power-limit=ACTIVATE";
    login.freeipmi("ipmi-dcmi", activate).ok();
    set(&suite, POWER, ["Value", "d", "500"]);
    wait::until_true("it is logged", || is_logged(&login));
    suite.bus.until_property(&HOST_STATE, "Off");
}

#[test]
fn limit_activated_on_the_bus_is_enforced_too() {
    let mut suite = Suite::start();
    let login = suite.administrator().level("ADMIN");
    limit(&login, "sel_logging");
    set(&suite, POWER, ["Value", "d", "500"]);
    set(&suite, LIMIT, ["PowerCapEnable", "b", "true"]);
    wait::until_true("it is logged", || is_logged(&login));
    // A limit that was active before the daemon starts is enforced as well.
    login.ipmitool("sel clear").ok();
    suite.ipmid.kill();
    suite.restart_ipmid();
    wait::until_true("it is logged again", || is_logged(&login));
}
