//! FreeIPMI's everyday programs and its configuration files, without any of their workaround flags.

use std::fs;

use tests::client::Output;
use tests::clients::Login;
use tests::suite::Suite;

/// FreeIPMI's progress messages while it reads SDRs, which are no errors.
const PROGRESS: &str = "Caching SDR";

/// Asserts that the program succeeds without an error message and prints all of `expected`, blanks
/// counted as one.
#[track_caller]
fn prints(login: &Login, program: &str, arguments: &str, expected: &[&str]) {
    let output = login.freeipmi(program, arguments);
    assert_eq!(output.code, Some(0), "{output}");
    assert_no_complaint(&output);
    let squeezed = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in expected {
        assert!(squeezed.contains(expected), "no {expected:?} in\n{output}");
    }
}

#[track_caller]
fn assert_no_complaint(output: &Output) {
    let complaints: Vec<&str> = output
        .stderr
        .split(['\r', '\n'])
        .filter(|line| !line.trim().is_empty() && !line.contains(PROGRESS))
        .collect();
    assert_eq!(complaints, [""; 0], "{output}");
}

#[test]
fn sensors_log_and_inventory_are_shown() {
    let suite = Suite::start();
    let login = suite.administrator().level("ADMIN");
    login.ipmitool("event 1").ok();
    let reading = "MBTemp | Temperature | 45.00 | C | 'OK'";
    prints(&login, "ipmi-sensors", "", &[reading]);
    let limits = "MBTemp | Temperature | 45.00 | C | N/A | N/A | N/A | 85.00 | 120.00 | N/A | 'OK'";
    prints(&login, "ipmi-sensors", "--output-sensor-thresholds", &[limits]);
    let event = "Temperature | Upper Critical - going high";
    prints(&login, "ipmi-sel", "", &[event]);
    let inventory = ["FRU Board Serial Number: MB000001", "FRU Product Asset Tag: tag-42"];
    prints(&login, "ipmi-fru", "", &inventory);
}

#[test]
fn dcmi_subcommands_read_and_set() {
    let suite = Suite::start();
    let login = suite.administrator().level("ADMIN");
    let dcmi = |arguments: &str, expected: &[&str]| {
        prints(&login, "ipmi-dcmi", arguments, expected);
    };
    let capabilities = ["DCMI Specification Conformance : 1.5"];
    dcmi("--get-dcmi-capability-info", &capabilities);
    dcmi("--get-asset-tag", &["tag-42"]);
    dcmi("--set-asset-tag=rack7", &[]);
    dcmi("--get-asset-tag", &["rack7"]);
    let name = "management-controller-identifier-string";
    dcmi(&format!("--get-{name}"), &["test-bmc"]);
    dcmi(&format!("--set-{name}=node7"), &[]);
    dcmi(&format!("--get-{name}"), &["node7"]);
    let sensors = ["Baseboard temperature SDR Record IDs 259"];
    dcmi("--get-dcmi-sensor-info", &sensors);
    dcmi("--get-system-power-statistics", &["Current Power : 365 Watts"]);
    dcmi("--set-power-limit --power-limit-requested=420", &[]);
    dcmi("--activate-deactivate-power-limit=ACTIVATE", &[]);
    dcmi("--get-power-limit", &["Power Limit Requested : 420 watts"]);
    dcmi("--activate-deactivate-power-limit=DEACTIVATE", &[]);
}

/// Checks a category out, commits the file as it is, and checks it out once more: nothing has changed,
/// and no program complains. `code` is what the checkout ends with.
fn round_trip(login: &Login, program: &str, category: &str, code: i32) -> String {
    let file = |name: &str| login.home.join(name);
    let checkout = |name: &str| {
        let arguments = format!("--checkout {category} --filename={name}");
        let output = login.freeipmi(program, &arguments);
        assert_eq!(output.code, Some(code), "{output}");
        assert_no_complaint(&output);
        fs::read_to_string(file(name)).expect("what was checked out")
    };
    let before = checkout("before.conf");
    let commit = format!("--commit {category} --filename=before.conf");
    let output = login.freeipmi(program, &commit);
    assert_eq!(output.code, Some(0), "{output}");
    assert_no_complaint(&output);
    let after = checkout("after.conf");
    fs::remove_file(file("before.conf")).expect("a file");
    fs::remove_file(file("after.conf")).expect("a file");
    assert_eq!(before, after, "{category}");
    before
}

/// Asserts that a file has a key with a value.
#[track_caller]
fn has(text: &str, key: &str, value: &str) {
    let is_it = |line: &str| line.split_whitespace().collect::<Vec<_>>() == [key, value];
    assert!(text.lines().any(is_it), "no {key} {value} in\n{text}");
}

/// Asserts what a checkout of "core" lacks: the privileges of cipher suites that the BMC does not
/// offer, the key `K_R`, and nothing else.
///
/// ipmi-config ends with 1, without a word, if it cannot read a key of its own list:
///
/// - `K_R`, which is not used: the specification has a completion code for just that, 84h of Set Channel
///   Security Keys (IPMI v2.0 §22.25).
/// - Each of suites 0 to 15 that is not an entry of LAN parameter 23. Entries are the suites "that can be
///   used for establishing an IPMI messaging session", sixteen at most (Table 23-4). To list all that this
///   program looks for, a BMC would have to name suite 0, which is no protection at all, and the
///   RC4 ones, and would have no room left for suite 17, which is the one to use: `lan print` would
///   mislead an administrator. So the entries are the suites that can be used.
#[track_caller]
fn lacks_only_unsupported_keys(login: &Login, offered: &[u8]) {
    let arguments = "--checkout --category=core --verbose --verbose";
    let output = login.freeipmi("ipmi-config", arguments);
    assert_eq!(output.code, Some(1), "{output}");
    // Looked for only when asked to be verbose: serial channels, and a second router for IPv6.
    let only_if_verbose = |key: &str| key.contains("Serial_") || key.contains("IPv6_Static_Router");
    let lacks: Vec<&str> = output
        .stdout
        .lines()
        .filter_map(|line| line.trim().strip_prefix("## Unable to checkout "))
        .filter(|key| !only_if_verbose(key))
        .collect();
    let suites = (0..16).filter(|suite| !offered.contains(suite));
    let suites = suites.map(|suite| format!("Maximum_Privilege_Cipher_Suite_Id_{suite}"));
    let mut expected = vec!["Lan_Conf_Security_Keys:K_R".to_owned()];
    expected.extend(suites.map(|key| format!("Rmcpplus_Conf_Privilege:{key}")));
    assert_eq!(lacks, expected, "{output}");
}

/// All the categories; "core" ends with 1 as [`lacks_only_unsupported_keys`] says.
#[test]
fn checked_out_files_can_be_committed_as_they_are() {
    let suite = Suite::start();
    let login = suite.administrator().level("ADMIN");
    for command in [
        "lan alert set 1 1 ipaddr 192.0.2.77",
        "dcmi power set_limit limit 420",
        "chassis bootdev pxe",
    ] {
        login.ipmitool(command).ok();
    }
    let file = |category: &str, code: i32| {
        let category = format!("--category={category}");
        round_trip(&login, "ipmi-config", &category, code)
    };
    let core = file("core", 1);
    has(&core, "Maximum_Privilege_Cipher_Suite_Id_3", "Administrator");
    lacks_only_unsupported_keys(&login, &[3, 17]);
    has(&core, "IP_Address", "192.0.2.10");
    has(&core, "IPv6_Static_Address", "2001:db8::10");
    has(&core, "Username", "root");
    has(&file("chassis", 0), "Boot_Device", "PXE");
    has(&file("sensors", 0), "Upper_Critical_Threshold", "120.000000");
    has(&file("pef", 0), "Alert_IP_Address", "192.0.2.77");
    has(&file("dcmi", 0), "Power_Limit_Requested", "420");
    let pef = round_trip(&login, "ipmi-pef-config", "", 0);
    has(&pef, "Alert_IP_Address", "192.0.2.77");
    // The administrator can still log in.
    login.ipmitool("mc guid").ok();
}
