//! The firmware firewall over the LAN: commands that ipmitool disables are disabled, on their channel and over restarts, and
//! no administrator can lock themselves out with it.

use tests::clients::Login;
use tests::suite::Suite;
use tests::wait;

/// ipmitool's text for D4h, the completion code of a disabled command (IPMI v2.0 Table 5-2).
const OFF: &str = "Insufficient privilege level";
/// Chassis Identify, as `firewall` takes it, and as it is used: off at once.
const IDENTIFY: &str = "lun 0 netfn 0 command 4";
const USE_IDENTIFY: &str = "chassis identify 0";

fn switch(login: &Login, how: &str, what: &str) {
    login.ipmitool(&format!("firewall {how} channel 1 {what}")).ok();
}

#[track_caller]
fn is_off(login: &Login, command: &str) {
    let said = login.ipmitool(command).failed();
    assert!(said.contains(OFF), "{command}: {said}");
}

#[test]
fn disabled_command_stays_disabled_over_a_restart() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    login.ipmitool(USE_IDENTIFY).ok();
    switch(&login, "disable", IDENTIFY);
    is_off(&login, USE_IDENTIFY);
    suite.ipmid.kill();
    suite.restart_ipmid();
    is_off(&login, USE_IDENTIFY);
    // The host is on another channel, and other commands are as they were.
    assert_eq!(suite.bus.execute(0x00, 0x04, &[0]).0, 0);
    login.ipmitool("chassis status").ok();
    switch(&login, "enable", IDENTIFY);
    login.ipmitool(USE_IDENTIFY).ok();
}

#[test]
fn sub_functions_of_a_command_are_disabled_one_by_one() {
    let suite = Suite::start();
    let login = suite.administrator();
    let control = "lun 0 netfn 0 command 2";
    // Hard reset; then all others but power up.
    switch(&login, "disable", &format!("{control} subfn 3"));
    let refused = login.ipmitool("chassis power reset").failed();
    assert!(refused.contains("command disabled"), "{refused}");
    login.ipmitool("chassis power on").ok();
    let info = format!("firewall info channel 1 {control}");
    let info = login.ipmitool(&info);
    let enabled = info.ok();
    assert!(enabled.contains("Command 0x02"), "{enabled}");
    // All of it at once, the command too, and back.
    switch(&login, "disable", control);
    is_off(&login, "chassis power on");
    switch(&login, "enable", control);
    login.ipmitool("chassis power on").ok();
    // As "firewall reset" has it: no sub-function, and then all commands.
    login.ipmitool("raw 0x06 0x62 1 0 0 2 0 0 0 0").ok();
    is_off(&login, "chassis power on");
    switch(&login, "disable", IDENTIFY);
    is_off(&login, "chassis power on");
    switch(&login, "enable", "lun 0 netfn 0");
    login.ipmitool("chassis power on").ok();
    wait::until_true("the host is reset, once it is on", || {
        login.ipmitool("chassis power reset").code == Some(0)
    });
}

#[test]
fn administrator_can_reenable_all_commands_that_can_be_disabled() {
    let suite = Suite::start();
    let login = suite.administrator();
    for netfn in ["0", "4", "6", "10", "12"] {
        let all = format!("lun 0 netfn {netfn} force");
        switch(&login, "disable", &all);
    }
    // A session of its own for each of these: logins and the Get commands of the firewall cannot be disabled.
    is_off(&login, USE_IDENTIFY);
    is_off(&login, "lan set 1 access on");
    login.ipmitool("mc info").ok();
    login.ipmitool("firewall info channel 1 lun 0 netfn 6").ok();
    for netfn in ["6", "0", "4", "10", "12"] {
        switch(&login, "enable", &format!("lun 0 netfn {netfn}"));
    }
    for command in [USE_IDENTIFY, "user list 1", "lan print 1", "sel info", "sdr info"] {
        login.ipmitool(command).ok();
    }
}

#[test]
fn only_an_administrator_disables_commands() {
    let suite = Suite::start();
    let operator = suite.add_user(3, "opal", "0perat0r", 3);
    let raw = "raw 0x06 0x60 0x01 0x00 0x00 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
    is_off(&operator.level("OPERATOR"), raw);
    suite.administrator().ipmitool(USE_IDENTIFY).ok();
}
