//! Sensors of every kind, more than one LUN holds, through independent clients.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use tests::bus::Property;
use tests::clients::Login;
use tests::suite::Suite;
use tests::{client, python, wait};

/// pyghmi, and what prints a sensor's name and reading a line.
const PYGHMI: &str = "pyghmi==1.6.19";
const READ_ALL: &str = "
import sys
from pyghmi.ipmi import command
bmc = command.Command(bmc=sys.argv[1], port=int(sys.argv[2]), userid=sys.argv[3], password=sys.argv[4])
for sensor in bmc.get_sensor_data():
    print(sensor.name, sensor.value, sep='|')
";

/// 311 sensors with those of the suite's platform: negative, fractional, large, discrete, with long names, without
/// limits.
const SENSORS: &str = r#"
[[sensor]]
kind = "temperature"
name = "Cold{n}"
count = 60
value = -55.5
step = 0.5
min = -60.0
max = 20.0
warning-low = -58.5
critical-high = -5.25

[[sensor]]
kind = "voltage"
name = "P{n}V_Rail"
count = 60
value = 0.805
step = 0.005
min = 0.0
max = 1.2
critical-low = 0.7
critical-high = 1.15

[[sensor]]
kind = "fan_tach"
name = "Fan{n}"
count = 40
value = 1200.0
step = 500.0
min = 0.0
max = 25000.0
critical-low = 500.0

[[sensor]]
kind = "energy"
name = "Energy{n}"
count = 10
value = 1000000000.0
step = 200000000.0
min = 0.0
max = 4000000000.0

[[sensor]]
kind = "intrusion"
name = "Lid{n}"
count = 9

[[sensor]]
kind = "temperature"
name = "CPU{n}_VCCIN_Voltage_Regulator_Temperature"
count = 30
value = 40.0
step = 1.0
min = 0.0
max = 127.0
warning-high = 85.0
critical-high = 95.0
warning-low = 5.0
critical-low = 0.0

[[sensor]]
kind = "current"
name = "CPU{n}_VCCIN_Voltage_Regulator_Current"
count = 30
value = 10.0
step = 2.5
min = 0.0
max = 255.0

[[sensor]]
kind = "utilization"
name = "Load{n}"
count = 40
value = 3.0
step = 2.0

[[sensor]]
kind = "altitude"
name = "Altitude{n}"
count = 26
value = -350.0
step = 250.0
"#;
/// How many there are, those of the suite and the power unit included.
const COUNT: usize = 311;

/// Readings by name; `None` for sensors without a number.
type Readings = BTreeMap<String, Option<f64>>;

/// The values that were configured, of sensors with readings.
fn configured() -> BTreeMap<String, f64> {
    let rows: [(&str, &str, u32, f64, f64); 8] = [
        ("Cold", "", 60, -55.5, 0.5),
        ("P", "V Rail", 60, 0.805, 0.005),
        ("Fan", "", 40, 1200.0, 500.0),
        ("Energy", "", 10, 1e9, 2e8),
        ("CPU", "VCCINVlRgTmp", 10, 40.0, 1.0),
        ("CPU", "VCCINVlRgCrr", 10, 10.0, 2.5),
        ("Load", "", 40, 3.0, 2.0),
        ("Altitude", "", 26, -350.0, 250.0),
    ];
    let of = |(before, after, count, value, step): (&str, &str, u32, f64, f64)| {
        let (before, after) = (before.to_owned(), after.to_owned());
        (0..count).map(move |n| (format!("{before}{n}{after}"), value + step * f64::from(n)))
    };
    rows.into_iter().flat_map(of).collect()
}

fn with_ipmitool(login: &Login) -> Readings {
    let list = login.ipmitool("-N 5 sensor list");
    let line = |line: &str| {
        let mut fields = line.split('|').map(str::trim);
        let (name, reading, unit) = (fields.next()?, fields.next()?, fields.next()?);
        let number = reading.parse().ok().filter(|_| unit != "discrete");
        Some((name.to_owned(), number))
    };
    list.ok().lines().filter_map(line).collect()
}

fn with_freeipmi(login: &Login) -> Readings {
    let arguments = "--bridge-sensors --no-header-output --comma-separated-output";
    let list = login.freeipmi("ipmi-sensors", arguments);
    let line = |line: &str| {
        let mut fields = line.split(',').skip(1);
        let (name, _, reading) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name.to_owned(), reading.parse().ok()))
    };
    list.ok().lines().filter_map(line).collect()
}

/// `None` where pyghmi cannot be had.
fn with_pyghmi(login: &Login) -> Option<Readings> {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let python = python::environment(folder, "pyghmi", PYGHMI, "pyghmi.ipmi.command")?;
    let (address, port) = (login.address.ip().to_string(), login.address.port().to_string());
    let mut command = Command::new(&python);
    command.args(["-c", READ_ALL, &address, &port, &login.user, &login.password]);
    let output = client::run(&mut command);
    let line = |line: &str| {
        let (name, value) = line.split_once('|')?;
        Some((name.to_owned(), value.parse().ok()))
    };
    Some(output.ok().lines().filter_map(line).collect())
}

fn until_there(login: &Login) {
    wait::until_true("all sensors are there", || {
        let info = login.ipmitool("sdr info");
        let count = info.stdout.lines().find_map(|line| line.strip_prefix("Record Count"));
        let count = count.and_then(|text| text.trim_start_matches([' ', ':']).parse().ok());
        count.is_some_and(|count: usize| count > COUNT)
    });
}

/// The readings of `of` that are not those of `ipmitool`, within what is printed.
fn differences(ipmitool: &Readings, of: &Readings) -> Vec<String> {
    let differs = |name: &&String| match (ipmitool.get(*name), of.get(*name)) {
        (Some(Some(one)), Some(Some(other))) => (one - other).abs() > 0.006,
        (one, other) => one != other,
    };
    let names = ipmitool.keys().chain(of.keys()).filter(differs);
    names.map(|name| format!("{name}: {:?} {:?}", ipmitool.get(name), of.get(name))).collect()
}

#[test]
fn special_sensors_read_the_same_with_three_clients() {
    let suite = Suite::with_sensors(SENSORS);
    let login = suite.administrator();
    until_there(&login);
    let ipmitool = with_ipmitool(&login);
    // FreeIPMI lists the BMC's own sources of events, which have no readings, as ipmitool does not.
    let mut freeipmi = with_freeipmi(&login);
    freeipmi.retain(|name, _| ipmitool.contains_key(name));
    assert_eq!(ipmitool.len(), COUNT, "{ipmitool:?}");
    assert_eq!(differences(&ipmitool, &freeipmi), [""; 0]);
    for (name, value) in configured() {
        let read = ipmitool.get(&name).copied().flatten();
        let read = read.unwrap_or_else(|| panic!("{name} has no reading: {ipmitool:?}"));
        // Half a step of the range, and what three digits hide.
        let width = match &name {
            of if of.starts_with("Energy") => 4e9,
            of if of.starts_with("Altitude") => 10_500.0,
            of if of.starts_with("Fan") => 25_000.0,
            of if of.starts_with("P") => 1.2,
            _ => 255.0,
        };
        assert!((read - value).abs() <= width / 255.0 * 1.25 + 0.0006, "{name}: {read} {value}");
    }
    if let Some(mut pyghmi) = with_pyghmi(&login) {
        pyghmi.retain(|name, _| ipmitool.contains_key(name));
        assert_eq!(differences(&ipmitool, &pyghmi), [""; 0]);
    }
}

/// The section of ipmi-config for the sensor `name`.
fn section<'a>(text: &'a str, name: &str) -> &'a str {
    let sections = text.split("Section ").skip(1);
    let is_of = |section: &&str| {
        section.lines().next().is_some_and(|head| head.trim_end().ends_with(&format!("_{name}")))
    };
    let mut found = sections.filter(is_of);
    found.next().unwrap_or_else(|| panic!("no section {name}: {text}"))
}

/// The value of `key` in a section.
fn value(section: &str, key: &str) -> Option<f64> {
    let line = section.lines().find(|line| line.trim_start().starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn limits_that_freeipmi_writes_read_back() {
    let suite = Suite::with_sensors(SENSORS);
    let login = suite.administrator();
    until_there(&login);
    let file = suite.dir().join("sensors.conf");
    let argument = format!("--category=sensors --filename={}", file.display());
    // It ends with 1 when there are records that it does not configure, as those of units.
    let checkout = login.freeipmi("ipmi-config", &format!("{argument} --checkout"));
    assert!(checkout.code.is_some(), "{checkout}");
    let text = fs::read_to_string(&file).expect("the configuration");
    // 85, 95, 0 and 5 as they were configured. ipmi-config addresses LUN 0 only, whatever the record says.
    for name in ["CPU0VCCINVlRgTmp", "CPU9VCCINVlRgTmp"] {
        let of = section(&text, name);
        for (key, limit) in [
            ("Upper_Non_Critical_Threshold", 85.0),
            ("Upper_Critical_Threshold", 95.0),
            ("Lower_Critical_Threshold", 0.0),
            ("Lower_Non_Critical_Threshold", 5.0),
        ] {
            let read = value(of, key).unwrap_or_else(|| panic!("{key}: {of}"));
            assert!((read - limit).abs() < 1e-6, "{name} {key}: {read}");
        }
    }
    // What is written reads back: nothing differs after a commit.
    let diff = login.freeipmi("ipmi-config", &format!("{argument} --diff"));
    assert_eq!(diff.ok(), "", "{diff}");
    let of = section(&text, "CPU9VCCINVlRgTmp");
    let key = "Upper_Critical_Threshold";
    let line = of.lines().find(|line| line.trim_start().starts_with(key)).expect("the limit");
    let changed = of.replace(line, &format!("\t{key} 90.500000"));
    fs::write(&file, format!("Section {changed}")).expect("a file");
    login.freeipmi("ipmi-config", &format!("{argument} --commit")).ok();
    let diff = login.freeipmi("ipmi-config", &format!("{argument} --diff"));
    assert_eq!(diff.ok(), "", "{diff}");
    let path = "/xyz/openbmc_project/sensors/temperature/CPU9_VCCIN_Voltage_Regulator_Temperature";
    let interface = "xyz.openbmc_project.Sensor.Threshold.Critical";
    let limit = Property { path, interface, name: "CriticalHigh" };
    let read = suite.bus.property(&limit).and_then(|limit| limit.as_f64());
    assert!(read.is_some_and(|limit| (limit - 90.5).abs() < 1e-9), "{read:?}");
}

#[test]
fn numbers_are_the_same_on_fresh_bmcs_and_records_do_not_move_with_limits() {
    let numbers = |suite: &Suite| {
        let login = suite.administrator();
        until_there(&login);
        login.ipmitool("sdr elist all").ok().lines().fold(String::new(), |all, line| {
            let fields: Vec<&str> = line.split('|').take(2).collect();
            all + &fields.join("|") + "\n"
        })
    };
    let mut suite = Suite::with_sensors(SENSORS);
    let first = numbers(&suite);
    let other = Suite::with_sensors(SENSORS);
    assert_eq!(numbers(&other), first);
    let login = suite.administrator();
    login.freeipmi("ipmi-sensors", "--quiet-cache").ok();
    let info = login.ipmitool("sdr info").ok().to_owned();
    let time = |info: &str| {
        let lines = info.lines().filter(|line| line.starts_with("Most recent"));
        lines.collect::<Vec<_>>().join("\n")
    };
    login.ipmitool("sensor thresh MBTemp unc 46").ok();
    login.ipmitool("raw 0x04 0x24 1 0xff 2 2").ok();
    let again = login.ipmitool("sdr info").ok().to_owned();
    assert_eq!(time(&again), time(&info));
    login.freeipmi("ipmi-sensors", "--quiet-cache").ok();
    suite.ipmid.kill();
    suite.restart_ipmid();
    until_there(&login);
    assert_eq!(time(login.ipmitool("sdr info").ok()), time(&info), "after a restart");
    assert_eq!(numbers(&suite), first, "after a restart");
    login.freeipmi("ipmi-sensors", "--quiet-cache").ok();
}

/// Sensors that move by themselves.
const MOVING: &str = r#"
[sensors]
update-ms = 100

[[sensor]]
kind = "temperature"
name = "Rising"
value = 50.0
resolution = 0.5
min = 0.0
max = 127.0
wave = { shape = "ramp", amplitude = 40.0, period-ms = 60000 }

[[sensor]]
kind = "temperature"
name = "Jumping"
value = 50.0
min = 0.0
max = 127.0
warning-high = 85.0
wave = { shape = "script", points = [[0, 50.0], [2000, 90.0], [6000, 50.0]] }
"#;

#[test]
fn a_reading_that_moves_is_another_at_the_next_read() {
    let suite = Suite::with_sensors(MOVING);
    let login = suite.administrator();
    let read = || login.ipmitool("sensor reading Rising").ok().to_owned();
    let number = |text: &String| text.contains(|letter: char| letter.is_ascii_digit());
    let mut last = wait::until("the sensor is there", || Some(read()).filter(number));
    for _ in 0..3 {
        last = wait::until("another reading", || Some(read()).filter(|text| *text != last));
    }
}

#[test]
fn an_alarm_that_comes_and_goes_by_itself_is_logged_though_nobody_reads_the_sensor() {
    let suite = Suite::with_sensors(MOVING);
    let login = suite.administrator();
    for direction in ["Asserted", "Deasserted"] {
        wait::until_true(&format!("the alarm is logged: {direction}"), || {
            // Unlike `elist`, it reads no records of sensors.
            let event = format!("Upper Non-critical going high | {direction}");
            login.ipmitool("sel list").ok().contains(&event)
        });
    }
}
