//! What provisioning systems run and read: the command lines of ironic, MAAS and Tinkerbell, with the options, files and
//! output that these products rely on (docs/ironic.md).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::bus::{HOST_STATE, LAST_CHANGE, Property};
use tests::client::{self, Output};
use tests::clients::{CIPHER_SUITES, Login};
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::wait;

/// The device of the next boot only.
const ONE_TIME: Property<'static> = Property {
    path: "/xyz/openbmc_project/control/host0/boot/one_time",
    interface: "xyz.openbmc_project.Control.Boot.Source",
    name: "BootSource",
};

/// The device of every boot.
const PERMANENT: Property<'static> =
    Property { path: "/xyz/openbmc_project/control/host0/boot", ..ONE_TIME };

/// A conductor's node: `driver_info` as ironic turns it into options of ipmitool, the password in a file.
struct Node<'a> {
    login: &'a Login,
    password: PathBuf,
    level: &'static str,
    /// `ipmi_cipher_suite`; without it the client chooses.
    cipher_suite: Option<u8>,
}

impl<'a> Node<'a> {
    fn new(login: &'a Login, cipher_suite: Option<u8>) -> Self {
        let password = login.home.join("password");
        fs::write(&password, &login.password).expect("a file");
        Self { login, password, level: "ADMINISTRATOR", cipher_suite }
    }

    fn command(&self) -> Command {
        let mut command = self.login.program("ipmitool");
        command.args(["-I", "lanplus", "-H", &self.login.address.ip().to_string()]);
        command.args(["-L", self.level, "-p", &self.login.address.port().to_string()]);
        command.args(["-U", &self.login.user]);
        if let Some(suite) = self.cipher_suite {
            command.args(["-C", &suite.to_string()]);
        }
        command
    }

    fn run(&self, arguments: &str) -> Output {
        let mut command = self.command();
        command.args(["-R", "1", "-N", "5", "-f"]).arg(&self.password);
        client::run(command.args(arguments.split_whitespace()))
    }

    /// The whole output of `power status` is compared, so a word more would be an error.
    #[track_caller]
    fn until_power_is(&self, state: &str) {
        let expected = format!("Chassis Power is {state}\n");
        wait::until_true(&expected, || self.run("power status").ok() == expected);
    }

    /// The boot device and whether it is for all boots, as ironic finds them in `bootparam get`.
    #[track_caller]
    fn boot_device(&self) -> (String, bool) {
        let output = self.run("chassis bootparam get 5");
        let selector =
            output.ok().lines().find_map(|line| line.split_once("Boot Device Selector : "));
        let (_, device) = selector.unwrap_or_else(|| panic!("no device in {output}"));
        (device.to_owned(), output.ok().contains("Options apply to all future boots"))
    }
}

#[test]
fn ironic_switches_power() {
    let suite = Suite::start();
    let login = suite.administrator();
    for cipher_suite in CIPHER_SUITES.map(Some).into_iter().chain([None]) {
        let node = Node::new(&login, cipher_suite);
        node.until_power_is("off");
        node.run("power on").ok();
        node.until_power_is("on");
        suite.bus.until_property(&HOST_STATE, "Running");
        let before = suite.bus.property(&LAST_CHANGE);
        node.run("power reset").ok();
        suite.bus.until_property(&HOST_STATE, "Running");
        node.until_power_is("on");
        assert_eq!(suite.bus.property(&LAST_CHANGE), before, "a reset does not switch the power");
        node.run("power diag").ok();
        suite.bus.until_property(&HOST_STATE, "Running");
        node.run("power soft").ok();
        node.until_power_is("off");
        node.run("power on").ok();
        node.until_power_is("on");
        node.run("power off").ok();
        node.until_power_is("off");
    }
}

#[test]
fn ironic_sets_the_boot_device_in_both_of_its_ways() {
    let suite = Suite::start();
    let login = suite.administrator();
    let node = Node::new(&login, None);
    // Before each: no time limit for the boot flags.
    let unlimited = "raw 0x00 0x08 0x03 0x08";

    for (device, shown, source) in [
        ("pxe", "Force PXE", "Network"),
        ("disk", "Force Boot from default Hard-Drive", "Disk"),
        ("cdrom", "Force Boot from CD/DVD", "ExternalMedia"),
    ] {
        node.run(unlimited).ok();
        node.run(&format!("chassis bootdev {device} options=persistent")).ok();
        assert_eq!(node.boot_device(), (shown.to_owned(), true));
        suite.bus.until_property(&PERMANENT, source);
        node.run(unlimited).ok();
        node.run(&format!("chassis bootdev {device}")).ok();
        assert_eq!(node.boot_device(), (shown.to_owned(), false));
        suite.bus.until_property(&ONE_TIME, source);
        node.run(&format!("chassis bootdev {device} options=persistent,efiboot")).ok();
        assert_eq!(node.boot_device(), (shown.to_owned(), true));
    }
    // UEFI is set with raw requests.
    for (flags, device, shown, persistent) in [
        ("0xe0", "0x04", "Force PXE", true),
        ("0xa0", "0x08", "Force Boot from default Hard-Drive", false),
        ("0xe0", "0x18", "Force Boot into BIOS Setup", true),
        ("0xa0", "0x0c", "Force Boot from default Hard-Drive, request Safe-Mode", false),
    ] {
        node.run(unlimited).ok();
        node.run(&format!("raw 0x00 0x08 0x05 {flags} {device} 0x00 0x00 0x00")).ok();
        assert_eq!(node.boot_device(), (shown.to_owned(), persistent));
        assert!(node.run("chassis bootparam get 5").ok().contains("BIOS EFI boot"));
    }
}

#[test]
fn a_node_below_administrator_is_switched_but_its_level_is_requested() {
    let suite = Suite::start();
    let operator = suite.add_user(3, "ironic", "op-secret", 3);
    let node = Node { level: "OPERATOR", ..Node::new(&operator, Some(17)) };
    node.run("power on").ok();
    node.until_power_is("on");
    node.run("chassis bootdev pxe options=persistent").ok();
    assert_eq!(node.boot_device(), ("Force PXE".to_owned(), true));
    let refused = Node::new(&operator, Some(17)).run("power status").failed();
    assert!(refused.contains("Unable to establish IPMI v2 / RMCP+ session"), "{refused}");
}

#[test]
fn ironic_reads_sensors_vendor_and_identity() {
    let suite = Suite::start();
    let login = suite.administrator();
    let node = Node::new(&login, None);
    // Sections are parted by an empty line; each needs one of three keys, and counts if it has a reading.
    let output = node.run("sdr -v");
    let mut read = BTreeMap::new();
    for section in output.ok().split("\n\n") {
        let lines = section.lines().filter(|line| line.split(':').count() == 2);
        let pairs = lines.filter_map(|line| line.split_once(':'));
        let fields: BTreeMap<_, _> = pairs.map(|(key, value)| (key.trim(), value.trim())).collect();
        if fields.is_empty() {
            continue;
        }
        let kind = ["Sensor Type (Analog)", "Sensor Type (Discrete)", "Sensor Type (Threshold)"]
            .iter()
            .find_map(|key| fields.get(key));
        assert!(kind.is_some(), "a section without a sensor type: {section}");
        if let (Some(id), Some(reading)) = (fields.get("Sensor ID"), fields.get("Sensor Reading")) {
            read.insert((*id).to_owned(), (*reading).to_owned());
        }
    }
    for (sensor, reading) in [("MBTemp", "45 (+/- "), ("P12V", "12"), ("FAN1", "7")] {
        let found = read.iter().find(|(id, _)| id.starts_with(sensor)).map(|(_, value)| value);
        assert!(found.is_some_and(|value| value.starts_with(reading)), "{sensor} in {read:?}");
    }
    assert!(node.run("mc info").ok().lines().any(|line| line.starts_with("Manufacturer Name  ")));
    assert!(node.run("mc guid").ok().contains("System GUID"));
    let dump = login.home.join("sdr.bin");
    node.run(&format!("sdr dump {}", dump.display())).ok();
    assert!(fs::metadata(&dump).is_ok_and(|file| file.len() > 0), "an empty file of SDRs");
    let info = node.run("sol info");
    assert!(info.ok().contains("Enabled                         : true"), "{info}");
}

#[test]
fn ironic_opens_and_closes_the_console() {
    let suite = Suite::start();
    let login = suite.administrator();
    let node = Node::new(&login, Some(17));
    // Deactivated before it is opened, too: exit codes 0 and 1 are accepted.
    assert!(matches!(node.run("sol deactivate").code, Some(0 | 1)));
    let mut command = node.command();
    command.arg("-f").arg(&node.password).args(["sol", "activate"]);
    let mut terminal = Terminal::start(&command);
    terminal.until_shows("SOL Session operational");
    terminal.until_raw();
    terminal.enter("hello\r");
    terminal.until_shows("hello from the host");
    // It is closed by ending the client, and then for good.
    drop(terminal);
    assert!(matches!(node.run("sol deactivate").code, Some(0 | 1)));
    let mut terminal = Terminal::start(&command);
    terminal.until_shows("SOL Session operational");
}

/// A program of FreeIPMI with the options of MAAS's power driver, at the driver's default level.
fn maas(login: &Login, program: &str, cipher_suite: u8, arguments: &[&str]) -> Output {
    let mut command = login.program(program);
    command.args(["-W", "opensesspriv", "--driver-type", "LAN_2_0"]);
    command.args(["-h", &login.address.to_string(), "-u", &login.user, "-p", &login.password]);
    if let Some(kg) = &login.kg {
        command.args(["-k", kg]);
    }
    command.args(["-I", &cipher_suite.to_string(), "-l", "OPERATOR"]);
    client::run(command.args(arguments))
}

/// The power state that MAAS finds in the output of `ipmipower --stat`.
fn maas_power(login: &Login, cipher_suite: u8) -> Option<String> {
    let output = maas(login, "ipmipower", cipher_suite, &["--stat"]);
    Some(output.ok().trim().rsplit_once(": ")?.1.to_owned())
}

#[test]
fn maas_boots_from_the_network_and_switches_off() {
    let suite = Suite::start();
    let login = suite.administrator();
    let file = login.home.join("chassis");
    for (cipher_suite, boot_type) in
        [(3, ""), (17, "BIOS_Boot_Type EFI\n"), (17, "BIOS_Boot_Type PC-COMPATIBLE\n")]
    {
        let power = |state: &str| {
            wait::until_true(&format!("the power is {state}"), || {
                maas_power(&login, cipher_suite).as_deref() == Some(state)
            });
        };
        power("off");
        let section = "Section Chassis_Boot_Flags\nBoot_Flags_Persistent No\n";
        fs::write(&file, format!("{section}{boot_type}Boot_Device PXE\nEndSection\n"))
            .expect("a file");
        let name = file.display().to_string();
        let set =
            maas(&login, "ipmi-chassis-config", cipher_suite, &["--commit", "--filename", &name]);
        assert_eq!((set.ok(), set.stderr.as_str()), ("", ""));
        suite.bus.until_property(&ONE_TIME, "Network");
        maas(&login, "ipmipower", cipher_suite, &["--cycle", "--on-if-off"]).ok();
        power("on");
        let before = suite.bus.property(&LAST_CHANGE);
        maas(&login, "ipmipower", cipher_suite, &["--cycle", "--on-if-off"]).ok();
        wait::until_true("the power has cycled", || suite.bus.property(&LAST_CHANGE) != before);
        suite.bus.until_property(&HOST_STATE, "Running");
        maas(&login, "ipmipower", cipher_suite, &["--soft"]).ok();
        power("off");
        maas(&login, "ipmipower", cipher_suite, &["--cycle", "--on-if-off"]).ok();
        power("on");
        maas(&login, "ipmipower", cipher_suite, &["--off"]).ok();
        power("off");
    }
}

/// `bmc-config`, which MAAS runs on the machine itself and this test over the LAN.
fn bmc_config(login: &Login, arguments: &[&str]) -> Output {
    let mut command = login.program("bmc-config");
    command.args(["-D", "LAN_2_0", "-h", &login.address.to_string(), "-l", "ADMIN"]);
    command.args(["-u", &login.user, "-p", &login.password, "-I", "17"]);
    if let Some(kg) = &login.kg {
        command.args(["-k", kg]);
    }
    client::run(command.args(arguments))
}

/// The sections that `bmc-config --checkout` prints, with the values of their keys.
fn settings(login: &Login) -> BTreeMap<String, BTreeMap<String, String>> {
    // Its exit code counts for nothing: it is 1 if a BMC lacks one of the cipher suites that it asks for.
    let output = bmc_config(login, &["--checkout", "--verbose"]);
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut section = None;
    for line in output.stdout.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (key, value) = (words.next(), words.next().unwrap_or_default().to_owned());
        match (key, &section) {
            (None, _) => {}
            (Some("Section"), _) => section = Some(value),
            (Some("EndSection"), _) => section = None,
            (Some(key), Some(name)) => {
                let keys = sections.entry(String::clone(name)).or_default();
                keys.insert(key.to_owned(), value);
            }
            (Some(key), None) => panic!("{key} is in no section\n{output}"),
        }
    }
    sections
}

/// What MAAS sets where a BMC has it, other than the user: section, part of the key, value. Sections whose names FreeIPMI does not
/// know are left out.
const WANTED: &[(&str, &str, &str)] = &[
    ("Lan_Channel", "Volatile_Access_Mode", "Always_Available"),
    ("Lan_Channel", "Non_Volatile_Access_Mode", "Always_Available"),
    ("Lan_Channel", "Enable_User_Level_Auth_", "Yes"),
    ("Lan_Channel", "Enable_Per_Message_Auth_", "Yes"),
    ("Lan_Channel", "Enable_Pef_Alerting_", "Yes"),
    ("SOL_Conf", "Force_SOL_Payload_Authentication", "Yes"),
    ("SOL_Conf", "Force_SOL_Payload_Encryption", "Yes"),
];

#[test]
fn maas_sets_the_bmc_up_and_logs_in_as_its_own_user() {
    let suite = Suite::start();
    let mut login = suite.administrator();
    let before = settings(&login);
    let set = |login: &Login, pair: &str| {
        let pair = format!("--key-pair={pair}");
        bmc_config(login, &["--commit", &pair]).ok();
    };
    for (section, part, value) in WANTED {
        for (key, _) in
            before[*section].iter().filter(|(key, is)| key.contains(part) && is != value)
        {
            set(&login, &format!("{section}:{key}={value}"));
        }
    }
    // The first user after the anonymous one that has no name.
    let free = (2..16).map(|number| format!("User{number}"));
    let mut free = free.filter(|user| before[user].get("Username").is_none_or(String::is_empty));
    let user = free.next().expect("a user without a name");
    for pair in [
        "Username=maas",
        "Password=Xq7bTz0LmPw3",
        "Enable_User=Yes",
        "Lan_Privilege_Limit=Administrator",
        "Lan_Enable_IPMI_Msgs=Yes",
        "Lan_Enable_Link_Auth=Yes",
        "SOL_Payload_Access=Yes",
    ] {
        set(&login, &format!("{user}:{pair}"));
    }
    let after = settings(&login);
    for (section, part, value) in WANTED {
        for (key, is) in after[*section].iter().filter(|(key, _)| key.contains(part)) {
            assert_eq!(is, value, "{section}:{key}");
        }
    }
    assert_eq!(after[&user]["Username"], "maas");
    assert!(after["Rmcpplus_Conf_Privilege"].values().any(|level| level == "Administrator"));
    // The address that MAAS takes for the machine's.
    assert_eq!(after["Lan_Conf"]["IP_Address"], "192.0.2.10");
    let maas = login.user("maas", "Xq7bTz0LmPw3");
    wait::until_true("the user logs in", || maas_power(&maas, 17).as_deref() == Some("off"));
    // A key for two-key logins, if its administrator has given one.
    set(&login, "Lan_Conf_Security_Keys:K_G=key-of-the-rack");
    login.kg = Some("key-of-the-rack".to_owned());
    let maas = Login { kg: login.kg.clone(), ..maas };
    wait::until_true("the user logs in with the key", || {
        maas_power(&maas, 17).as_deref() == Some("off")
    });
}

/// ipmitool as Tinkerbell's library runs it: the password in the environment, and nothing else there.
fn tinkerbell(login: &Login, cipher_suite: u8, arguments: &str) -> Output {
    let ipmitool =
        tests::programs::installed("ipmitool").unwrap_or_else(|| Path::new("ipmitool").into());
    let mut command = Command::new(ipmitool);
    command.env_clear().env("IPMITOOL_PASSWORD", &login.password).current_dir(&login.home);
    command.args(["-I", "lanplus", "-U", &login.user, "-E", "-N", "5"]);
    command.args(["-H", &login.address.ip().to_string(), "-p", &login.address.port().to_string()]);
    command.args(["-C", &cipher_suite.to_string()]);
    client::run(command.args(arguments.split_whitespace()))
}

#[test]
fn tinkerbell_boots_from_the_network() {
    let suite = Suite::start();
    let login = suite.administrator();
    for cipher_suite in CIPHER_SUITES {
        let run = |arguments: &str, expected: &str| {
            let output = tinkerbell(&login, cipher_suite, arguments);
            assert!(output.ok().contains(expected), "no {expected:?}: {output}");
        };
        for options in
            ["", " options=efiboot", " options=persistent", " options=persistent,efiboot"]
        {
            run(&format!("chassis bootdev pxe{options}"), "Set Boot Device to pxe");
        }
        run("chassis power status", "Chassis Power is off");
        run("chassis power on", "Chassis Power Control: Up/On");
        suite.bus.until_property(&HOST_STATE, "Running");
        run("chassis power status", "Chassis Power is on");
        let before = suite.bus.property(&LAST_CHANGE);
        run("chassis power cycle", "Chassis Power Control: Cycle");
        wait::until_true("the power has cycled", || suite.bus.property(&LAST_CHANGE) != before);
        suite.bus.until_property(&HOST_STATE, "Running");
        run("chassis power reset", "Chassis Power Control: Reset");
        suite.bus.until_property(&HOST_STATE, "Running");
        run("chassis power diag", "Chassis Power Control: Diag");
        suite.bus.until_property(&HOST_STATE, "Running");
        run("chassis power soft", "Chassis Power Control: Soft");
        suite.bus.until_property(&HOST_STATE, "Off");
        run("chassis power off", "Chassis Power Control: Down/Off");
    }
}
