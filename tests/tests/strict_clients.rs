//! Clients that keep requests outstanding, scan the bus, or take each reply byte for byte: OpenIPMI's programs and
//! python-ipmi.

use std::path::PathBuf;
use std::process::Command;

use tests::clients::Login;
use tests::process::Process;
use tests::satellite::Satellites;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::{client, python};

/// What lets sessions of IPMI 1.5 in.
const IPMI_15: &str = "[lan]\nipmi-15 = [\"md5\"]\n";

/// python-ipmi, and what it needs for RMCP+.
const PYTHON_IPMI: &str = "python-ipmi[rmcpplus]==0.6.1";

/// Reads what there is to read. RMCP+ with suite 3: clients derive the keys of suite 17 in more than one way.
const READ_ALL: &str = r#"
import sys, pyipmi, pyipmi.interfaces
name, host, port, user, password = sys.argv[1:]
options = {'cipher_suite': 3} if name == 'rmcpplus' else {}
interface = pyipmi.interfaces.create_interface(
    name, slave_address=0x81, host_target_address=0x20, keep_alive_interval=0, **options)
ipmi = pyipmi.create_connection(interface)
ipmi.session.set_session_type_rmcp(host, int(port))
ipmi.session.set_auth_type_user(user, password)
ipmi.target = pyipmi.Target(ipmb_address=0x20)
ipmi.open()
for entry in ipmi.get_sel_entries():
    print('sel', entry.record_id)
for record in ipmi.get_repository_sdr_list():
    print('sdr', getattr(record, 'device_id_string', ''))
print('fru', ipmi.get_fru_inventory().chassis_info_area.part_number.string)
ipmi.close()
"#;

/// A suite with an IPMB and satellites behind it.
fn with_satellites() -> (Suite, Satellites, Process) {
    let suite = Suite::start();
    let satellites = Satellites::start(suite.dir());
    let device = satellites.device().display().to_string();
    let bridge = suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    (suite, satellites, bridge)
}

/// The address and credentials as OpenIPMI's programs take them.
fn connection(login: &Login) -> String {
    let (address, port) = (login.address.ip(), login.address.port());
    format!("lan -U {} -P {} -p {port} {address}", login.user, login.password)
}

/// Types a line and waits until the output shows all of `shown`, in this order.
fn enter(terminal: &mut Terminal, line: &str, shown: &[&str]) {
    terminal.enter(&format!("{line}\r"));
    for text in shown {
        terminal.until_shows(text);
    }
}

#[test]
fn openipmi_scans_the_bus_and_reads_all_entities() {
    let (suite, _satellites, _bridge) = with_satellites();
    let login = suite.administrator();
    login.ipmitool("event 1").ok();
    let mut shell = Terminal::start(&login.program("ipmish"));
    let open = format!("domain open bmc -wait_til_up {}", connection(&login));
    enter(&mut shell, &open, &["Name: bmc(0.20)", "Record ID: 1", "Operation: Fully Up"]);
    enter(&mut shell, "domain scan bmc 0 0x24", &["Name: bmc(0.24)", "Scan done: bmc"]);
    enter(&mut shell, "sensor get bmc(7.1).MBTemp", &["Scanning Enabled: true", "Value: "]);
    enter(&mut shell, "sel list bmc", &["Slots in use: 1", "Record ID: 1"]);
    enter(&mut shell, "lanparm new bmc(0.20) 1", &["LANPARM: "]);
    enter(&mut shell, "pef new bmc(0.20)", &["PEF: "]);
    // Device, logical, address, id, LUN, private bus, channel.
    enter(&mut shell, "domain fru bmc true 0x20 0 0 0 0", &["FRU"]);
    enter(&mut shell, "mc list bmc", &["Name: bmc(0.20)", "Name: bmc(0.24)"]);
}

#[test]
fn openipmicmd_reaches_the_bmc_and_satellites() {
    let (suite, _satellites, _bridge) = with_satellites();
    let mut command = suite.administrator().program("openipmicmd");
    command.args(connection(&suite.administrator()).split(' '));
    let mut terminal = Terminal::start(&command);
    terminal.until_shows("Connection up to port 0");
    enter(&mut terminal, "0f 00 06 01", &["cmd       = 0x1", "data      =00 20 "]);
    // Channel access, a user, LAN and PEF parameters.
    enter(&mut terminal, "0f 00 06 40 01 82 04", &["cmd       = 0x40", "data      =00 "]);
    enter(&mut terminal, "0f 00 06 41 01 80", &["cmd       = 0x41", "data      =00 02 04 "]);
    enter(&mut terminal, "0f 00 06 46 02", &["cmd       = 0x46", "data      =00 72 6f 6f 74 "]);
    let [low, high] = suite.address.port().to_le_bytes();
    let port = format!("data      =00 11 {low:02x} {high:02x} ");
    enter(&mut terminal, "0f 00 0c 02 01 08 00 00", &[&port]);
    enter(&mut terminal, "0f 00 04 13 0d 01 01", &["data      =00 11 01 01 00 00 00 00 "]);
    // A broadcast of Get Device ID, which is how the bus is scanned, and the request itself.
    enter(&mut terminal, "0 00 24 00 06 01", &["cmd       = 0x1", "data      =00 24 81 "]);
    enter(&mut terminal, "0 24 00 06 01", &["cmd       = 0x1", "data      =00 24 81 "]);
}

/// A virtual environment with python-ipmi; `None`, with one line, where there can be none.
fn python_ipmi() -> Option<PathBuf> {
    let folder = env!("CARGO_TARGET_TMPDIR");
    python::environment(folder, "python-ipmi", PYTHON_IPMI, "pyipmi, cryptography")
}

#[test]
fn python_ipmi_reads_log_records_and_inventory() {
    let Some(python) = python_ipmi() else { return };
    let suite = Suite::with(IPMI_15);
    let login = suite.administrator();
    // As many lengths of replies as there are records.
    for event in ["event 1", "event 2", "event 3"] {
        login.ipmitool(event).ok();
    }
    let (address, port) = (login.address.ip().to_string(), login.address.port().to_string());
    for interface in ["rmcp", "rmcpplus"] {
        let mut command = Command::new(&python);
        command.args(["-c", READ_ALL, interface, &address, &port, &login.user, &login.password]);
        let output = client::run(&mut command);
        let shown = output.ok();
        for line in ["sel 1\n", "sel 2\n", "sel 3\n", "sdr MBTemp\n", "fru CW-TEST-1\n"] {
            assert!(shown.contains(line), "{interface}: {line:?} is missing\n{output}");
        }
    }
}
