use std::time::Duration;

use super::*;
use crate::host;
use crate::part::Now;
use crate::simulation::Simulation;
use crate::tree::SavedValues;

/// What is wrong, a kind a row: the file, the line that the error names, and a part of its text.
const WRONG: &[(&str, usize, &str)] = &[
    ("[bmc]\nreset-command = [\"\"]", 2, "is no program"),
    ("[bmc]\nreset-command = [\"a\", \"b\\u0000\"]", 2, "has a NUL"),
    ("[bmc]\nreset-delay-ms = 18446744073709551615", 2, "from 0 to 86400000"),
    ("[bmc]\nreset-command = [\"a\"]\nreset = \"end\"", 3, "no meaning beside `reset-command`"),
    ("[bmc]\nreset = \"never\"", 2, "unknown variant"),
    ("[host]\nstart-ms = -1", 2, "from 0 to 86400000"),
    ("[host]\nbackend = \"vmware\"", 2, "unknown variant"),
    ("[host]\nstart-ms = 1\nqmp = \"/q\"", 3, "no meaning with the backend `simulated`"),
    ("[host]\ncommand = [\"q\"]", 2, "no meaning with the backend `simulated`"),
    ("[host.boot]\npxe = \"net0\"", 1, "no meaning with the backend `simulated`"),
    ("[host]\nbackend = \"qemu\"\ncommand = [\"q\"]", 2, "is missing"),
    ("[host]\nbackend = \"qemu\"", 2, "is missing"),
    (
        "[host]\nbackend = \"qemu\"\nqmp = \"q\"\ncommand = [\"q\"]\nargument-file = \"a\"",
        5,
        "beside `command`",
    ),
    ("[host]\nbackend = \"qemu\"\nqmp = \"q\"\ncommand = [\"\"]", 4, "is no program"),
    ("[host]\nbackend = \"qemu\"\nqmp = \"q\"\ncommand = [\"q\", \"a\\u0000\"]", 4, "has a NUL"),
    (
        "[host]\nbackend = \"qemu\"\nqmp = \"q\"\ncommand = [\"q\"]\noff-limit-ms = 0",
        5,
        "from 1 to 86400000",
    ),
    (
        "[host]\nbackend = \"qemu\"\nqmp = \"q\"\ncommand = [\"q\"]\n\
         [host.boot]\npxe = \"a\"\ndisk = \"a\"",
        6,
        "a is there twice",
    ),
    (
        "[host]\nbackend = \"qemu\"\nqmp = \"q\"\ncommand = [\"q\"]\n[host.boot]\npxe = \"\"",
        6,
        "no QOM path",
    ),
    (
        "[host]\nbackend = \"qemu\"\nqmp = \"q\"\ncommand = [\"q\"]\n\
         [host.boot]\norder = [\"pxe\", \"pxe\"]",
        6,
        "pxe is there twice",
    ),
    ("[host]\nbackend = \"command\"\n[host.commands]\non = { run = [\"a\"] }", 3, "is missing"),
    ("[host]\nbackend = \"command\"\n[host.commands]\non = { run = [] }", 4, "is no program"),
    (
        "[host]\nbackend = \"command\"\n[host.commands]\non = { run = [\"a\"], limit-ms = 0 }",
        4,
        "from 1 to 86400000",
    ),
    (
        "[host]\nbackend = \"command\"\n[host.commands]\nstatus-interval-ms = 99",
        4,
        "from 100 to 86400000",
    ),
    ("[chassis]\nhour-ms = 0", 2, "from 1 to 86400000"),
    ("[chassis]\npower-on-hours = 4294967296", 2, "from 0 to 4294967295"),
    ("[identity]\nuuid = \"\"", 2, "is no UUID"),
    ("[identity]\nbmc-uuid = \"5d6e7f80\"", 2, "is no UUID"),
    ("[sensors]\nupdate-ms = 0", 2, "from 10 to 86400000"),
    ("[[software]]\nid = \"a.b\"\nversion = \"1\"\npurpose = \"bmc\"", 2, "no part of a path"),
    (
        "[[software]]\nid = \"a\"\nversion = \"1\"\npurpose = \"bmc\"\n\
         [[software]]\nid = \"a\"\nversion = \"2\"\npurpose = \"host\"",
        6,
        "a is there twice",
    ),
    ("[[sensor]]\nkind = \"power\"\nname = \"\"", 3, "no part of a path"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a b\"", 3, "no part of a path"),
    ("[[sensor]]\nkind = \"might\"\nname = \"a\"", 2, "unknown variant"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a\"\ncount = 0", 4, "from 1 to 10000"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a{n}\"\ncount = 60000", 4, "from 1 to 10000"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a\"\ncount = 2", 3, "a row needs `{n}`"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a{n}\"\nfirst = 4294967295", 4, "from 0 to 1000000"),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\n[[sensor]]\nkind = \"power\"\nname = \"a\"",
        6,
        "Power a is there twice",
    ),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a{n}\"\ncount = 3\n\
         [[sensor]]\nkind = \"power\"\nname = \"a2\"",
        7,
        "Power a2 is there twice",
    ),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a{n}\"\ncount = 10000\n\
         [[sensor]]\nkind = \"voltage\"\nname = \"b\"",
        7,
        "more than 10000 in all",
    ),
    ("[[sensor]]\nkind = \"power\"\nname = \"a\"\nvalue = nan", 4, "from -1000000000000 to"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a\"\nstep = inf", 4, "from -1000000000000 to"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a\"\nresolution = -1", 4, "from 0 to"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a\"\nhysteresis = -1.0", 4, "from 0 to"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a\"\nmin = 5\nmax = 5", 5, "not more than `min`"),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\nwarning-low = 5\nwarning-high = 4",
        5,
        "4 is less than `warning-low`, 5",
    ),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\ncritical-high = 5\nwarning-high = 6",
        4,
        "5 is less than `warning-high`, 6",
    ),
    ("[[sensor]]\nkind = \"power\"\nname = \"a\"\nboard = \"/a\"", 4, "no path below"),
    ("[[sensor]]\nkind = \"power\"\nname = \"a\"\nentity-instance = 128", 4, "from 0 to 127"),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\nwave = { shape = \"sine\", amplitude = 1, period-ms = 0 }",
        4,
        "from 1 to 86400000",
    ),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\nwave = { shape = \"walk\", amplitude = -1 }",
        4,
        "from 0 to",
    ),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\nwave = { shape = \"script\", points = [] }",
        4,
        "needs points",
    ),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\nwave = { shape = \"script\", points = [[2, 1], [1, 1]] }",
        4,
        "not in the order of time",
    ),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\nwave = { shape = \"script\", points = [[2, nan]] }",
        4,
        "not a number",
    ),
    (
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\nwave = { shape = \"script\", points = [[2, 1]], repeat-ms = 2 }",
        4,
        "repeats before its last point",
    ),
    ("[[inventory]]\npath = \"a//b\"\nkind = \"cpu\"", 2, "no path below"),
    ("[[inventory]]\npath = \"a\"\ncount = 2\nkind = \"cpu\"", 2, "a row needs `{n}`"),
    (
        "[[inventory]]\npath = \"a\"\nkind = \"cpu\"\n[[inventory]]\npath = \"a\"\nkind = \"fan\"",
        5,
        "a is there twice",
    ),
    ("[[inventory]]\npath = \"a\"\nkind = \"cpu\"\ni2c = [1, 0x80]", 4, "from 1 to 127"),
    ("[[fru]]\nname = \"a\"\nbus = 1\naddress = 0x80", 4, "from 1 to 127"),
    ("[[fru]]\nname = \"a-b\"\nbus = 1\naddress = 1", 2, "no part of a path"),
    (
        "[[fru]]\nname = \"a\"\nbus = 1\naddress = 1\n[[fru]]\nname = \"b\"\nbus = 1\naddress = 1",
        8,
        "0x01 of bus 1 is there twice",
    ),
    ("[[fru]]\nname = \"a\"\nbus = 1\naddress = 1\nsize = 65536", 5, "from 8 to 65535"),
    (
        "[[fru]]\nname = \"a\"\nbus = 1\naddress = 1\nsize = 8\n[fru.board]\nproduct = \"p\"",
        5,
        "the areas take",
    ),
    (
        "[[fru]]\nname = \"a\"\nbus = 1\naddress = 1\n[fru.board]\nmanufactured = 1",
        6,
        "neither 0 nor from 1996",
    ),
    (
        "[[fru]]\nname = \"a\"\nbus = 1\naddress = 1\n[fru.board]\n\
         product = \"0123456789012345678901234567890123456789012345678901234567890123\"",
        6,
        "longer than 63",
    ),
    ("[network]\nhost-name = \"\"", 2, "no name of a host"),
    (
        "[[network.interface]]\nname = \"eth0.5\"\nmac = \"02:00:00:00:00:01\"",
        2,
        "no part of a path",
    ),
    (
        "[[network.interface]]\nname = \"eth0123456789012\"\nmac = \"02:00:00:00:00:01\"",
        2,
        "longer",
    ),
    ("[[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00\"", 3, "no MAC address"),
    ("[[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00:01\"\nmtu = 10", 4, "from 68 to"),
    (
        "[[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00:01\"\n\
         [[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00:02\"",
        5,
        "a is there twice",
    ),
    (
        "[[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00:01\"\ngateway = \"::1\"",
        4,
        "no IPv4 address",
    ),
    (
        "[[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00:01\"\nmax-privilege = \"root\"",
        4,
        "no privilege",
    ),
    (
        "[[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00:01\"\n\
         address = [{ address = \"192.0.2.1\", prefix = 33 }]",
        4,
        "more than the 32 bits",
    ),
    (
        "[[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00:01\"\n\
         address = [{ address = \"192.0.2.1\", prefix = 3 },\n{ address = \"192.0.2.1\", prefix = 4 }]",
        5,
        "192.0.2.1 is there twice",
    ),
    (
        "[[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00:01\"\n\
         address = [{ address = \"224.0.0.1\", prefix = 3 }]",
        4,
        "no interface's address",
    ),
    (
        "[[network.interface]]\nname = \"a\"\nmac = \"02:00:00:00:00:01\"\n\
         neighbor = [{ address = \"192.0.2.1\", mac = \"x\" }]",
        4,
        "no MAC address",
    ),
    ("[[user]]\nname = \"\"", 1, "cannot be a name"),
    ("[[user]]\nname = \"a\"\n[[user]]\nname = \"a\"", 3, "there is a user"),
    ("[[user]]\nname = \"a\"\nprivilege = \"priv-root\"", 1, "no privilege"),
    ("[[user]]\nname = \"a\"\ngroups = [\"wheel\"]", 1, "no group"),
    ("[services]\nwithout = [\"xyz.openbmc_project.Nothing\"]", 2, "no service of this daemon"),
    (
        "[services]\nonly = [\"xyz.openbmc_project.Network\",\n\"xyz.openbmc_project.Network\"]",
        3,
        "is there twice",
    ),
    ("[sol]\nchannels = [\"lan-0\"]", 2, "no part of a path"),
    ("[sol]\nchannels = [\"lan0\",\n\"lan0\"]", 3, "lan0 is there twice"),
    ("[hots]\n", 1, "unknown field `hots`"),
];

#[test]
fn what_is_wrong_is_refused_with_its_line() {
    for (text, line, culprit) in WRONG {
        let error = Platform::parse("x.toml", text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("x.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(culprit), "{text}: {error}");
    }
}

#[test]
fn a_row_may_begin_anywhere_and_kinds_may_share_names() {
    let text = "[[sensor]]\nkind = \"power\"\nname = \"a{n}\"\ncount = 2\nfirst = 1000000\n\
                [[sensor]]\nkind = \"voltage\"\nname = \"a1\"\n[[sensor]]\nkind = \"power\"\nname = \"a1\"";
    assert!(Platform::parse("x.toml", text).is_ok());
}

/// All parts that have a service of their own.
#[test]
fn all_services_have_their_names_here() {
    let mut text = "[[fru]]\nname = \"a\"\nbus = 1\naddress = 1\n".to_owned();
    for kind in ["temperature", "voltage", "fan_tach", "power", "airflow", "intrusion"] {
        text += &format!("[[sensor]]\nkind = \"{kind}\"\nname = \"a\"\n");
    }
    let config = Platform::parse("x.toml", &text).unwrap();
    let now = Now { uptime: Duration::ZERO, epoch: Duration::ZERO };
    let mut simulation = Simulation::start(
        &config,
        host::simulated(&config, false),
        SavedValues::default(),
        false,
        now,
    );
    let used: BTreeSet<&str> =
        simulation.tree(now).objects().map(|(_, object)| object.service).collect();
    let named: BTreeSet<&str> = services::NAMES.iter().copied().collect();
    assert_eq!(used, named);
}
