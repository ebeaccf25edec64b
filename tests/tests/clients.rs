//! Every client command of the acceptance matrix, against a running BMC. The rows are in
//! `golden/clients/`; each file is a test with a BMC of its own. The ping programs know no other port
//! than 623; they are skipped for a user who may not open it.

use std::collections::BTreeSet;

use tests::clients::Login;
use tests::matrix::{self, Row};
use tests::suite::Suite;
use tests::terminal::Terminal;

/// The number of commands.
const ROWS: u16 = 297;

/// The configuration that allows IPMI 1.5 sessions.
const IPMI_15: &str = r#"[lan]
ipmi-15 = ["none", "password", "md2", "md5"]
"#;

/// No scrollback: a console gets no earlier output of the host.
const NO_SCROLLBACK: &str = "scrollback = 0";

/// The sensor for DCMI's power limit.
const INLET: &str = r#"
[[sensor]]
kind = "temperature"
name = "Inlet"
value = 21.0
min = 0.0
max = 127.0
entity-id = 0x37
"#;

/// A test for each file of the matrix.
macro_rules! files {
    ($($name:ident)*) => {
        /// The files of the matrix.
        const FILES: &[(&str, &str)] = &[$((
            stringify!($name),
            include_str!(concat!("../golden/clients/", stringify!($name), ".txt")),
        )),*];

        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*
    };
}

files! {
    bmc_device bmc_info chassis dcmi firewall freeipmi_chassis freeipmi_config freeipmi_dcmi
    freeipmi_fru freeipmi_sel freeipmi_sensors fru ipmi_15 lan log_in mc pef sdr sel sensor sol sol_loop user vendor
}

/// The rows of all files.
fn rows() -> impl Iterator<Item = (&'static str, Row)> {
    let rows = |&(name, text): &(&'static str, &'static str)| {
        matrix::parse(text).into_iter().map(move |row| (name, row))
    };
    FILES.iter().flat_map(rows)
}

/// Waits until the host's console has printed everything that it prints by itself.
fn until_console_is_quiet(login: &Login) {
    let mut terminal = Terminal::sol(login);
    // The console answers in order, so all earlier output has been sent.
    terminal.enter("hello\r");
    terminal.until_shows("hello from the host");
    terminal.until_shows("host$ ");
    terminal.enter("\r");
    terminal.until_shows("host$ ");
    terminal.enter("~.");
    assert_eq!(terminal.until_ended(), Some(0));
}

/// Runs the rows of a file and reports all that fail.
fn run(file: &str) {
    // The ping programs alone need the port.
    let standard = (file == "log_in").then(Suite::on_standard_port).flatten();
    let anywhere = standard.is_some();
    let suite = standard.unwrap_or_else(|| match file {
        "ipmi_15" => Suite::with(IPMI_15),
        "sol_loop" => Suite::with(NO_SCROLLBACK),
        "dcmi" => Suite::with_sensors(INLET),
        _ => Suite::start(),
    });
    let login = suite.administrator();
    if file == "sol_loop" {
        until_console_is_quiet(&login);
    }
    let rows = rows().filter(|(name, _)| *name == file);
    let (last, rows): (Vec<Row>, Vec<Row>) = rows
        .map(|(_, row)| row)
        .filter(|row| anywhere || !row.command.contains("-ping "))
        .partition(|row| row.last.is_some());
    let forth_and_back = rows.iter().chain(rows.iter().rev()).chain(&last);
    let failures: Vec<String> = forth_and_back.filter_map(|row| row.run(&login).err()).collect();
    let log = suite.ipmid.log();
    assert!(failures.is_empty(), "{} rows fail\n{}\n{log}", failures.len(), failures.join("\n"));
}

#[test]
fn every_command_is_there_once_and_something_is_expected_of_it() {
    let numbers: Vec<u16> = rows().map(|(_, row)| row.number).collect();
    let unique: BTreeSet<u16> = numbers.iter().copied().collect();
    assert_eq!(unique.len(), numbers.len(), "a number twice");
    let missing: Vec<u16> = (1..=ROWS).filter(|number| !unique.contains(number)).collect();
    assert_eq!(missing, [0_u16; 0], "missing rows");
    let empty: Vec<u16> =
        rows().filter(|(_, row)| !row.is_meaningful()).map(|(_, row)| row.number).collect();
    assert_eq!(empty, [0_u16; 0], "rows that nothing is expected of");
    let (failing, working): (Vec<_>, Vec<_>) = rows().partition(|(_, row)| row.exit != 0);
    let (working, failing) = (working.len(), failing.len());
    eprintln!("{working} of {ROWS} commands succeed, {failing} cannot by design");
}
