//! Invalid configurations, one kind a row. More rows for the platform's file are beside its types.

use std::fs;

use super::{refusal, with_file};

/// Which daemon, what its file says, the line of the error, and a part of its text.
type Wrong = (&'static str, &'static str, usize, &'static str);

/// The head of a channel's table.
macro_rules! channel {
    ($number:literal, $name:literal, $medium:literal, $protocol:literal) => {
        concat!(
            "[[channel]]\nnumber = ",
            $number,
            "\nname = \"",
            $name,
            "\"\nmedium = \"",
            $medium,
            "\"\nprotocol = \"",
            $protocol,
            "\"\n"
        )
    };
}

/// A section `mctp` with a binding, and more of it from the third line on.
macro_rules! mctp {
    ($rest:literal) => {
        concat!("[mctp]\nbindings = [\"serial:/dev/tty\"]\n", $rest)
    };
}

/// Texts that are not TOML, or have a key twice.
const SYNTAX: &[Wrong] = &[
    ("ipmid", "[lan\n", 1, ""),
    ("ipmid", "\n[sel]\ncapacity = \n", 3, ""),
    ("netipmid", "[lan]\nsessions = 1\nsessions = 2\n", 3, "duplicate key"),
    ("netipmid", "[lan]\n[sol]\n[lan]\n", 3, "duplicate key"),
    ("kcsbridged", "[log]\nlevel = \"info\n", 2, ""),
    ("platformd", "[bmc]\nreset-delay-ms = 99999999999999999999999999999999999999999\n", 2, ""),
];

/// Names of sections and keys that do not exist.
const NAMES: &[Wrong] = &[
    ("btbridged", "[hosts]\n", 1, "unknown key `hosts`"),
    ("ssifbridged", "user = \"own\"\n", 1, "unknown key `user`"),
    ("ipmid", "[access]\n\nusers = 3\n", 3, "unknown field `users`"),
    ("ipmid", "[access.initial-user]\nname = \"a\"\npassword = \"b\"\nid = 3\n", 4, "`id`"),
    ("ipmid", "[[channel]]\ncolour = 1\n", 2, "unknown field `colour`"),
    ("ipmid", "[[i2c.allow]]\nbus = 1\naddres = 3\n", 3, "unknown field `addres`"),
    ("ipmid", "users = \"theirs\"\n", 1, "unknown variant `theirs`"),
    ("kcsbridged", "[log]\nlevel = \"loud\"\n", 2, "unknown variant `loud`"),
    ("mctp-demuxd", "[mctp.limit]\n", 1, "unknown field `limit`"),
    ("mctp-demuxd", "[mctp]\nrole = \"owner\"\n", 2, "unknown variant `owner`"),
    ("ipmid", "[ipmid]\ncallers = [\n\"root\",\n\"no such user\"]\n", 4, "there is no user"),
    (
        "netipmid",
        "[lan]\nipmi-15 = [\"md4\"]\n",
        2,
        "`md4` is not an authentication type (none, password, md2, md5)",
    ),
    ("netipmid", channel!(1, "lan0", "wlan", "ipmb-1.0"), 4, "`wlan` is no channel medium"),
    ("netipmid", channel!(1, "lan0", "lan", "ipmb-2.0"), 5, "`ipmb-2.0` is no channel protocol"),
    ("platformd", "[hots]\n", 1, "unknown field `hots`"),
    ("platformd", "[services]\nonly = [\"xyz.openbmc_project.Hots\"]\n", 2, "no service"),
];

/// Values of a wrong type, and missing keys.
const TYPES: &[Wrong] = &[
    ("netipmid", "[lan]\nsessions = \"many\"\n", 2, "invalid type: string \"many\""),
    ("netipmid", "[lan]\nsessions = 1.5\n", 2, "invalid type: floating point `1.5`"),
    ("netipmid", "[lan]\nbound-to-address = 1\n", 2, "expected a boolean"),
    ("netipmid", "[lan]\ncipher-suites = 17\n", 2, "expected a sequence"),
    ("netipmid", "lan = 3\n", 1, "expected struct"),
    ("ipmid", "[ipmid]\ncallers = [true]\n", 2, "expected a user's name"),
    ("ipmid", "[device]\nauxiliary = [1, 2, 3]\n", 2, "expected an array of length 4"),
    ("ipmid", "[access.initial-user]\nname = \"a\"\n", 1, "missing field `password`"),
    ("ipmid", "[[channel]]\nnumber = 1\n", 1, "missing field `name`"),
    ("ipmbbridged", "[[ipmb.target]]\nchannel = 1\n", 1, "missing field `address`"),
    ("mctp-demuxd", "[[mctp.versions]]\ntype = 1\nversions = [[1, 2, 3]]\n", 3, "length 4"),
    ("platformd", "[[sensor]]\nname = \"a\"\n", 1, "missing field `kind`"),
];

/// Numbers out of their range.
const RANGES: &[Wrong] = &[
    ("netipmid", "[lan]\nsessions = 63\n", 2, "from 1 to 62"),
    ("netipmid", "[lan]\nhandshakes = 0\n", 2, "from 1 to 4096"),
    ("netipmid", "[lan]\nrequests-per-session = 65\n", 2, "from 1 to 64"),
    ("netipmid", "[lan]\npackets-per-second = 0\n", 2, "from 1 to 1000000"),
    ("netipmid", "[lan]\npackets-per-second = 4000000000\n", 2, "from 1 to 1000000"),
    ("netipmid", "[lan]\nfailed-logins-per-minute = 0\n", 2, "from 1 to 60000"),
    ("netipmid", "[lan]\nidle-timeout = 18446744073709551615\n", 2, "from 1 to 86400"),
    ("netipmid", "[lan]\nsetup-timeout = 18446744073709551615\n", 2, "from 1 to 300"),
    ("netipmid", "[lan]\nsetup-timeout = 0\n", 2, "from 1 to 300"),
    ("netipmid", "[sol]\nring = 1000000000000\n", 2, "from 1024 to 16777216"),
    ("netipmid", "[sol]\nring = 1023\n", 2, "from 1024 to 16777216"),
    ("netipmid", "[sol]\nscrollback = -1\n", 2, "from 0 to 16777216"),
    ("netipmid", "[sol]\nviewers = 4\n", 2, "from 0 to 3"),
    ("netipmid", "[sol]\nmax-payload = 260\n", 2, "from 16 to 259"),
    ("ipmid", "[access]\nuser-ids = 0\n", 2, "0 is no user id: 1 to 63"),
    ("ipmid", "[access]\nuser-ids = 64\n", 2, "64 is no user id: 1 to 63"),
    ("ipmid", "[device]\nid = 256\n", 2, "from 0 to 255"),
    ("ipmid", "[device]\nrevision = 16\n", 2, "from 0 to 15"),
    ("ipmid", "[device]\nmanufacturer = 16777216\n", 2, "from 0 to 16777215"),
    ("ipmid", "[device]\nproduct = 65536\n", 2, "from 0 to 65535"),
    ("ipmid", "[sel]\ncapacity = 0\n", 2, "from 1 to 65533"),
    ("ipmid", "[pef]\ntrap-port = 0\n", 2, "from 1 to 65535"),
    ("ipmid", "[ipmid]\ncallers = [4294967295]\n", 2, "from 0 to 4294967294"),
    ("ipmid", "[[i2c.allow]]\nbus = 8\naddress = 1\nread = 1\n", 2, "from 0 to 7"),
    ("ipmid", "[[i2c.allow]]\nbus = 1\naddress = 0x80\nread = 1\n", 3, "from 1 to 127"),
    ("ipmid", "[[i2c.allow]]\nbus = 1\naddress = 1\nread = 256\n", 4, "from 0 to 255"),
    ("ipmid", channel!(12, "lan0", "lan", "ipmb-1.0"), 2, "is not 0 to 11 or 15"),
    ("kcsbridged", "[host]\nanswer-within-ms = 0\n", 2, "from 1 to 60000"),
    ("btbridged", "[host]\nanswer-within-ms = 60001\n", 2, "from 1 to 60000"),
    ("ssifbridged", "[host]\nrunning = 33\n", 2, "from 1 to 32"),
    ("ipmbbridged", "[ipmb]\nper-try-ms = 5001\n", 2, "from 1 to 5000"),
    ("ipmbbridged", "[ipmb]\ntries = 0\n", 2, "from 1 to 255"),
    ("ipmbbridged", "[ipmb]\nhost-id = 256\n", 2, "from 0 to 255"),
    ("ipmbbridged", "[ipmb]\nrunning-per-satellite = 0\n", 2, "from 1 to 32"),
    ("mctp-demuxd", "[mctp]\neid = 255\n", 2, "from 0 to 254"),
    ("mctp-demuxd", "[mctp]\neid = 7\n", 2, "from 1 to 7 are reserved"),
    ("mctp-demuxd", "[mctp]\nmtu = 63\n", 2, "from 64 to 4096"),
    ("mctp-demuxd", "[mctp.owned]\nfirst = 7\n", 2, "from 8 to 254"),
    ("mctp-demuxd", "[mctp.owned]\nanswer-ms = 0\n", 2, "from 1 to 60000"),
    ("mctp-demuxd", "[mctp.owned]\ntries = 0\n", 2, "from 1 to 255"),
    ("mctp-demuxd", "[mctp.owned]\npoll-s = 18446744073709551615\n", 2, "from 1 to 86400"),
    ("mctp-demuxd", "[mctp.owned]\nrescan-s = 0\n", 2, "from 1 to 86400"),
    ("mctp-demuxd", "[mctp.limits]\nclients = 0\n", 2, "from 1 to 65536"),
    ("mctp-demuxd", "[mctp.limits]\nassembly-bytes = 1000000000000\n", 2, "from 1 to 67108864"),
    ("mctp-demuxd", "[[mctp.versions]]\ntype = 128\nversions = []\n", 2, "from 0 to 127"),
    ("platformd", "[chassis]\nhour-ms = 0\n", 2, "from 1 to 86400000"),
    ("platformd", "[host]\nstart-ms = 18446744073709551615\n", 2, "from 0 to 86400000"),
    ("platformd", "[[sensor]]\nkind = \"power\"\nname = \"a{n}\"\ncount = 60000\n", 4, "to 10000"),
    ("platformd", "[[sensor]]\nkind = \"power\"\nname = \"a\"\nvalue = nan\n", 4, "from -1"),
];

/// Texts of a wrong format.
const TEXTS: &[Wrong] = &[
    ("ipmid", "[access.initial-user]\nname = \"\"\npassword = \"b\"\n", 2, "the name is empty"),
    ("ipmid", "[access.initial-user]\nname = \"a\"\npassword = \"\"\n", 3, "the password is empty"),
    (
        "ipmid",
        "[access.initial-user]\nname = \"a\"\npassword = \"123456789012345678901\"\n",
        3,
        "at most 20 bytes",
    ),
    ("ipmid", "[access.initial-user]\nname = \"a\"\npassword = \"b\\u0000\"\n", 3, "has no NUL"),
    (
        "ipmid",
        "[access.initial-user]\nname = \"12345678901234567\"\npassword = \"b\"\n",
        2,
        "is no user name",
    ),
    ("ipmid", "[dcmi]\npower-sensor = \"\"\n", 2, "is not an element"),
    ("ipmid", "[dcmi]\npower-sensor = \"total/power\"\n", 2, "is not an element"),
    ("ipmid", "[openbmc]\nroot = \"\"\n", 2, "no absolute path"),
    ("ipmid", "[openbmc]\npam-service = \"a/b\"\n", 2, "no name of a PAM service"),
    ("netipmid", "[openbmc]\npam-folder = \"pam.d\"\n", 2, "no absolute path"),
    ("ipmid", channel!(1, "", "lan", "ipmb-1.0"), 3, "cannot be part of a bus name"),
    ("ipmid", channel!(1, "eth0.5", "lan", "ipmb-1.0"), 3, "cannot be part of a bus name"),
    ("netipmid", "[sol]\nconsole = \"serial:/dev/x\"\n", 2, "a console is"),
    ("netipmid", "[sol]\nconsole = \"tcp:host:0\"\n", 2, "a console is"),
    (
        "netipmid",
        concat!(
            "[sol]\nconsole = \"abstract:1234567890123456789012345678901234567890123456789012345",
            "67890123456789012345678901234567890123456789012345678\"\n"
        ),
        2,
        "at most 107 bytes",
    ),
    ("ipmbbridged", "[[ipmb.target]]\nchannel = 1\naddress = 0x2d\n", 3, "0x2d is odd"),
    ("ipmbbridged", "[[ipmb.target]]\nchannel = 1\naddress = 0\n", 3, "from 2 to 254"),
    ("mctp-demuxd", "[mctp]\nbindings = [\n\"usb:/dev/x\"]\n", 3, "usb:/dev/x"),
    ("platformd", "[identity]\nuuid = \"1-2\"\n", 2, "is no UUID"),
    ("platformd", "[[user]]\nname = \"a b\"\n", 1, "cannot be a name"),
];

/// Lists that are empty or have an element twice.
const LISTS: &[Wrong] = &[
    ("netipmid", "[lan]\ncipher-suites = []\n", 2, "no suite is left"),
    ("netipmid", "[lan]\ncipher-suites = [0]\n", 2, "suite 0 has no security"),
    ("netipmid", "[lan]\ncipher-suites = [17,\n4]\n", 3, "suite 4 is not supported"),
    ("ipmid", "[lan]\ncipher-suites = [3,\n17,\n3]\n", 4, "listed twice"),
    ("netipmid", "[lan]\nipmi-15 = [\"md5\",\n\"md5\"]\n", 3, "listed twice"),
    ("netipmid", "channel = []\n", 1, "no channel is left"),
    (
        "ipmid",
        concat!(channel!(1, "a", "lan", "ipmb-1.0"), channel!(1, "b", "lan", "ipmb-1.0")),
        7,
        "channel 1 is listed twice",
    ),
    (
        "ipmid",
        concat!(channel!(2, "a", "lan", "ipmb-1.0"), channel!(1, "a", "lan", "ipmb-1.0")),
        8,
        "channels 2 and 1 have one name",
    ),
    (
        "ipmbbridged",
        "[[ipmb.target]]\nchannel = 1\naddress = 2\n[[ipmb.target]]\nchannel = 1\naddress = 4\n",
        5,
        "channel 1 is there twice",
    ),
    (
        "ipmid",
        "[[i2c.allow]]\nbus = 1\naddress = 1\nread = 1\n[[i2c.allow]]\nbus = 1\naddress = 1\nread = 1\n",
        5,
        "is there twice",
    ),
    (
        "platformd",
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\n[[sensor]]\nkind = \"power\"\nname = \"a\"\n",
        6,
        "is there twice",
    ),
];

/// Values that contradict each other.
const CONTRADICTIONS: &[Wrong] = &[
    ("netipmid", "[sol]\nring = 2048\nscrollback = 2049\n", 3, "cannot be larger than `ring`"),
    ("netipmid", "[sol]\n\nring = 2048\n", 3, "cannot be larger than `ring`"),
    (
        "ipmid",
        "[access]\nuser-ids = 1\n[access.initial-user]\nname = \"a\"\npassword = \"b\"\n",
        2,
        "the initial user needs id 2",
    ),
    (
        "ipmid",
        "[[i2c.allow]]\nbus = 1\naddress = 1\nwrite = [0]\nmask = [0, 0]\n",
        5,
        "longer than `write`",
    ),
    ("ipmid", "[[i2c.allow]]\nbus = 1\naddress = 1\n", 1, "neither writes nor reads"),
    ("ipmid", channel!(0, "lan0", "lan", "ipmb-1.0"), 4, "channel 0 is the primary IPMB"),
    ("ipmid", channel!(15, "lan0", "lan", "ipmb-1.0"), 4, "channel 15 is the system interface"),
    ("ipmid", channel!(3, "lan0", "lan", "kcs"), 5, "`kcs` is not spoken over `lan`"),
    (
        "ipmid",
        concat!(channel!(3, "kcs1", "system", "kcs"), "sessions = \"multi-session\"\n"),
        6,
        "cannot be `multi-session`",
    ),
    ("ipmbbridged", "[[ipmb.target]]\nchannel = 1\naddress = 0x20\n", 3, "own address"),
    ("mctp-demuxd", "[mctp.owned]\nfirst = 20\nlast = 19\n", 3, "less than `first`"),
    ("mctp-demuxd", "[[mctp.route]]\neid = 20\nlast = 19\nbinding = 0\n", 3, "less than `eid`"),
    ("mctp-demuxd", "[[mctp.vendor]]\ncommand-set = 1\n", 1, "either a `pci` or an `iana`"),
    (
        "mctp-demuxd",
        "[[mctp.vendor]]\npci = 1\niana = 1\ncommand-set = 1\n",
        1,
        "either a `pci` or an `iana`",
    ),
    ("mctp-demuxd", mctp!("sockets = [\n\"\"]\n"), 4, "1 to 107 bytes"),
    ("mctp-demuxd", mctp!("uuid = \"12\"\n"), 3, "is not a UUID"),
    ("mctp-demuxd", mctp!("eid = 0\nrole = \"bus-owner\"\n"), 4, "an EID of its own"),
    ("mctp-demuxd", mctp!("[[mctp.route]]\neid = 9\nbinding = 1\n"), 5, "no binding 1"),
    ("mctp-demuxd", mctp!("[[mctp.owned.place]]\nbinding = 0\n"), 3, "role = \"bus-owner\""),
    (
        "mctp-demuxd",
        mctp!("role = \"bus-owner\"\n[[mctp.owned.place]]\nbinding = 0\neid = 8\n"),
        6,
        "this endpoint's own EID",
    ),
    (
        "platformd",
        "[[sensor]]\nkind = \"power\"\nname = \"a\"\nwarning-low = 2\nwarning-high = 1\n",
        5,
        "less than `warning-low`",
    ),
    (
        "platformd",
        "[[fru]]\nname = \"a\"\nbus = 1\naddress = 1\nsize = 8\n[fru.board]\nproduct = \"p\"\n",
        5,
        "the areas take",
    ),
];

#[test]
fn each_kind_is_one_line_with_file_and_line_and_exit_code_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, state) = (folder.path().join("x.toml"), folder.path().join("state"));
    let kinds = [SYNTAX, NAMES, TYPES, RANGES, TEXTS, LISTS, CONTRADICTIONS];
    for (daemon, text, line, words) in kinds.into_iter().flatten() {
        fs::write(&file, text).expect("a file");
        let checked = refusal(with_file(daemon, &file, &state).arg("--check"));
        let position = format!("{}:{line}: ", file.display());
        assert!(checked.contains(&position), "{daemon} with\n{text}{checked}");
        assert!(checked.contains(words), "{daemon} with\n{text}{checked}");
        let started = refusal(&mut with_file(daemon, &file, &state));
        assert_eq!(started, checked, "{daemon} with\n{text}");
        assert!(!state.exists(), "{daemon} made its state folder with\n{text}");
    }
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, state) = (folder.path().join("x.toml"), folder.path().join("state"));
    fs::write(&file, b"\xff\xfe").expect("a file");
    for daemon in super::DAEMONS {
        for wrong in [file.as_path(), folder.path(), &folder.path().join("absent.toml")] {
            let line = refusal(with_file(daemon, wrong, &state).arg("--check"));
            assert!(line.contains(&wrong.display().to_string()), "{daemon}: {line}");
        }
    }
}
