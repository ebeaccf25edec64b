//! Every client command of the acceptance matrix, against a running BMC. The rows are in
//! `golden/clients/`; each file is a test with a BMC of its own. The ping programs know no other port
//! than 623, and are left out for a user who may not open it.

use std::collections::BTreeSet;

use tests::matrix::{self, Row};
use tests::suite::Suite;

/// How many commands there are.
const ROWS: u16 = 297;

/// What lets sessions of IPMI 1.5 in.
const IPMI_15: &str = r#"[lan]
ipmi-15 = ["none", "password", "md2", "md5"]
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
    freeipmi_fru freeipmi_sel freeipmi_sensors fru ipmi_15 lan log_in mc pef sdr sel sensor sol user vendor
}

/// The rows of all files.
fn rows() -> impl Iterator<Item = (&'static str, Row)> {
    let rows = |&(name, text): &(&'static str, &'static str)| {
        matrix::parse(text).into_iter().map(move |row| (name, row))
    };
    FILES.iter().flat_map(rows)
}

/// Runs the rows of a file and reports all that fail.
fn run(file: &str) {
    let standard = Suite::on_standard_port();
    let anywhere = standard.is_some();
    let suite = match standard {
        _ if file == "ipmi_15" => Suite::with(IPMI_15),
        Some(suite) => suite,
        None => Suite::start(),
    };
    let login = suite.administrator();
    let rows = rows().filter(|(name, row)| *name == file && row.later.is_none());
    let failures: Vec<String> = rows
        .map(|(_, row)| row)
        .filter(|row| anywhere || !row.command.contains("-ping "))
        .filter_map(|row| row.run(&login).err())
        .collect();
    let log = suite.ipmid.log();
    assert!(
        failures.is_empty(),
        "{} rows fail\n{}\n{log}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_command_is_there_once() {
    let numbers: Vec<u16> = rows().map(|(_, row)| row.number).collect();
    let unique: BTreeSet<u16> = numbers.iter().copied().collect();
    assert_eq!(unique.len(), numbers.len(), "a number twice");
    let missing: Vec<u16> = (1..=ROWS)
        .filter(|number| !unique.contains(number))
        .collect();
    assert_eq!(missing, [0_u16; 0], "missing rows");
    let later = rows().filter(|(_, row)| row.later.is_some()).count();
    eprintln!("{} of {ROWS} commands are run", usize::from(ROWS) - later);
}
