//! `decode`: golden bytes, and what a BMC answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use hex_literal::hex;
use insta::assert_snapshot;
use serde_json::Value;
use tests::bus::Bus;
use tests::ctl;
use tests::relay::Relay;
use tests::suite::Suite;

const DATAGRAMS: &str = include_str!("../../golden/sessionless.txt");
const MESSAGES: &str = include_str!("../../../tools/causewayctl/src/decode/messages.txt");

const MESSAGES_AND_RECORDS: &str = include_str!("../../golden/messages.txt");

/// What bytes can be decoded as, but for captures.
const KINDS: [&str; 9] =
    ["request", "response", "ipmb", "sel", "sdr", "fru", "lan", "mctp", "mctp-message"];

/// The datagrams that clients send, by name.
fn datagrams() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = DATAGRAMS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(": "))
}

/// The fields of all layers, by `layer.field`.
fn fields(decoded: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for layer in decoded["layers"].as_array().expect("layers") {
        for field in layer["fields"].as_array().expect("fields") {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let name = format!("{}.{}", text(&layer["name"]), text(&field["name"]));
            all.insert(name, text(&field["value"]));
        }
    }
    all
}

/// The fields of `bytes`, decoded as `kind`.
#[track_caller]
fn decoded(kind: &str, bytes: &[u8]) -> BTreeMap<String, String> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = ctl::run(&format!("--json decode {kind} {hex}"));
    output.ok();
    fields(&ctl::json_of(&output, "decode"))
}

#[test]
fn datagrams_of_clients_are_decoded_field_by_field() {
    let mut text = String::new();
    for (name, bytes) in datagrams() {
        let output = ctl::run(&format!("decode lan {bytes}"));
        writeln!(text, "==== {name}\n{}", output.ok()).expect("a text");
    }
    assert_snapshot!("decode-lan", text);
}

#[test]
fn messages_and_records_are_decoded_field_by_field() {
    let mut text = String::new();
    for (kind, bytes) in golden_of("messages.txt", MESSAGES_AND_RECORDS) {
        let output = ctl::run(&format!("decode {kind} {bytes}"));
        writeln!(text, "==== {kind} {bytes}\n{}", output.ok()).expect("a text");
    }
    assert_snapshot!("decode-messages", text);
}

/// The golden bytes of a file in `tests/golden`, each with the kind that it is decoded as.
fn golden_of(file: &str, text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    match file {
        "sessionless.txt" => {
            let bytes = lines.map(|line| line.split_once(": ").expect("a name and bytes").1);
            bytes.map(|bytes| ("lan".to_owned(), bytes.to_owned())).collect()
        }
        "messages.txt" => {
            let golden = lines.map(|line| line.split_once(": ").expect("a kind and bytes"));
            golden.map(|(kind, bytes)| (kind.to_owned(), bytes.to_owned())).collect()
        }
        // Command lines, of which those with `raw` have bytes.
        file if file.starts_with("clients/") => lines.filter_map(raw_request).collect(),
        file => panic!("tests/golden/{file}: no kind for its bytes is known here"),
    }
}

/// The request of a line such as `[144] ipmitool raw 6 1`, which a client is called with.
fn raw_request(line: &str) -> Option<(String, String)> {
    let (_, words) = line.strip_prefix(['[', '<', '+'])?.split_once(" raw ")?;
    let byte = |word: &str| match word.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    };
    let bytes: Option<Vec<u8>> = words.split_whitespace().map(byte).collect();
    let mut bytes = bytes.unwrap_or_else(|| panic!("no bytes: {line}"));
    bytes[0] <<= 2;
    Some(("request".to_owned(), bytes.iter().map(|byte| format!("{byte:02x} ")).collect()))
}

/// Every file below a folder, with its path below it.
fn files_below(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            let below = files_below(&path);
            files.extend(below.into_iter().map(|(file, path)| (format!("{name}/{file}"), path)));
        } else {
            files.push((name, path));
        }
    }
    files
}

#[test]
fn every_golden_file_gives_its_fields() {
    let mut kinds = BTreeMap::<String, usize>::new();
    for (name, path) in files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")) {
        let text = fs::read_to_string(&path).expect("a text");
        for (kind, bytes) in golden_of(&name, &text) {
            let output = ctl::run(&format!("--json decode {kind} {bytes}"));
            output.ok();
            let decoded = ctl::json_of(&output, "decode");
            assert!(!fields(&decoded).is_empty(), "{name}: {bytes}: {decoded}");
            // A layer that is known has fields of its own.
            for layer in decoded["layers"].as_array().expect("layers") {
                assert!(layer["name"].as_str().is_some_and(|name| !name.is_empty()), "{decoded}");
            }
            *kinds.entry(kind).or_default() += 1;
        }
    }
    for kind in KINDS {
        assert!(kinds.contains_key(kind), "no golden bytes of {kind}: {kinds:?}");
    }
}

#[test]
fn bytes_come_from_words_a_file_or_standard_input() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    let wanted = ctl::run("decode request 18 01");
    let text = file("text", b"18 01\n");
    let bytes = file("bytes", &[0x18, 0x01]);
    for output in [
        ctl::run("decode request 0x18 0x01"),
        ctl::run(&format!("decode request --file {text}")),
        ctl::run(&format!("decode request --file {bytes}")),
        ctl::with_input(None, &["decode", "request"], b"18:01\n"),
    ] {
        assert_eq!(output.ok(), wanted.ok());
    }
}

#[test]
fn bytes_that_do_not_fit_are_an_error_that_says_what_is_wrong() {
    for (name, line) in [
        ("short", "decode sel 01 02"),
        ("checksum", "decode ipmb 20 18 c8 81 00 01 7f"),
        ("version", "decode lan 07 00 ff 07"),
        ("fru", "decode fru 01 00 00 00 00 00 00 00"),
        ("hex", "decode request 18 xy"),
        ("file", "decode request --file /nonexistent/file"),
    ] {
        super::check(&format!("decode-error-{name}"), &ctl::run(line));
    }
}

/// No cut of any datagram, and no other kind, ends the program in an unexpected way.
#[test]
fn bytes_of_every_length_and_kind_are_decoded_or_refused() {
    for (name, bytes) in datagrams() {
        let words: Vec<&str> = bytes.split_whitespace().collect();
        for length in (1..=words.len()).step_by(7) {
            for kind in KINDS {
                let output = ctl::run(&format!("decode {kind} {}", words[..length].join(" ")));
                assert!(matches!(output.code, Some(0 | 1)), "{name}: {output}");
                assert_eq!(output.code == Some(0), output.stderr.is_empty(), "{output}");
            }
        }
    }
}

/// What goes over the network in a session of ipmitool's is decoded, up to where it is encrypted.
#[test]
fn capture_of_a_login_is_decoded() {
    let suite = Suite::start();
    let relay = Relay::open(suite.address);
    let login = suite.administrator().at(relay.address());
    login.ipmitool("mc info").ok();
    let datagrams: Vec<_> = relay.datagrams().into_iter().map(|datagram| datagram.bytes).collect();
    let file = suite.dir().join("login.pcap");
    fs::write(&file, pcap(&datagrams)).expect("a file");
    let line = format!("--json decode pcap --file {} --port 6230", file.display());
    let output = ctl::run(&line);
    output.ok();
    let decoded = ctl::json_of(&output, "decode");
    let layers = decoded["layers"].as_array().expect("layers");
    let names: Vec<&str> = layers.iter().filter_map(|layer| layer["name"].as_str()).collect();
    for name in [
        "Open Session Request",
        "Open Session Response",
        "RAKP Message 1",
        "RAKP Message 2",
        "RAKP Message 3",
        "RAKP Message 4",
        "Encrypted payload",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let packets = names.iter().filter(|name| name.starts_with("Packet ")).count();
    assert_eq!(packets, datagrams.len());
    let fields = layers.iter().flat_map(|layer| layer["fields"].as_array().expect("fields"));
    let errors: Vec<_> = fields.filter(|field| field["name"] == "Error").collect();
    assert!(errors.is_empty(), "{errors:?}");
}

/// A capture of raw IP packets with these datagrams.
fn pcap(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut out =
        hex!("d4 c3 b2 a1 02 00 04 00 00 00 00 00 00 00 00 00 ff ff 00 00 65 00 00 00").to_vec();
    for data in datagrams {
        let udp = u16::try_from(8 + data.len()).expect("a datagram").to_be_bytes();
        let total = u16::try_from(28 + data.len()).expect("a datagram").to_be_bytes();
        let mut packet = vec![0x45, 0, total[0], total[1]];
        packet.extend(hex!("00 01 40 00 40 11 00 00 7f 00 00 01 7f 00 00 02 c0 00 18 56"));
        packet.extend([udp[0], udp[1], 0, 0]);
        packet.extend(data);
        let length = u32::try_from(packet.len()).expect("a packet").to_le_bytes();
        out.extend([[0, 0xf1, 0x53, 0x65], [0; 4], length, length].concat());
        out.extend(packet);
    }
    out
}

/// `CAUSEWAY_WRITE_MAN=1` writes the list of names anew.
#[test]
fn names_of_commands_are_those_that_ipmid_registers() {
    let suite = Suite::start();
    let commands = ctl::json_on(&suite.bus, "commands");
    let row = |command: &Value| {
        let text = |name: &str| command[name].as_str().expect("a text").to_owned();
        format!(
            "{} {} {} {}\n",
            text("family"),
            command["number"],
            command["command"],
            text("name")
        )
    };
    let wanted: String = commands.as_array().expect("a list").iter().map(row).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root");
    let path = root.join("tools/causewayctl/src/decode/commands.txt");
    if std::env::var_os("CAUSEWAY_WRITE_MAN").is_some() {
        fs::write(&path, wanted).expect("the list");
        return;
    }
    let list = fs::read_to_string(&path).expect("the list");
    assert!(list == wanted, "CAUSEWAY_WRITE_MAN=1 cargo test -p tests --test causewayctl names_of");
}

/// Response data fit the table of fields, whatever ipmid answers to requests without data and to those of clients.
#[test]
fn responses_of_ipmid_fit_the_table_of_fields() {
    let suite = Suite::start();
    let mut requests: Vec<(u8, u8, Vec<u8>)> = Vec::new();
    for line in MESSAGES.lines().filter(|line| line.get(6..7) == Some("<")) {
        let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).expect("a number");
        requests.push((byte(0), byte(3), Vec::new()));
    }
    // Those that need data.
    requests.extend([
        (0x06, 0x38, vec![0x8e, 0x04]),
        (0x06, 0x3d, vec![0x00]),
        (0x06, 0x41, vec![0x01, 0x80]),
        (0x06, 0x42, vec![0x01]),
        (0x06, 0x44, vec![0x01, 0x02]),
        (0x06, 0x46, vec![0x02]),
        (0x06, 0x54, vec![0x01, 0x00, 0x80]),
        (0x00, 0x09, vec![0x05, 0x00, 0x00]),
        (0x04, 0x2d, vec![0x01]),
        (0x04, 0x27, vec![0x01]),
        (0x0a, 0x10, vec![0x00]),
        (0x0a, 0x11, vec![0x00, 0x00, 0x00, 0x08]),
        (0x0c, 0x02, vec![0x01, 0x03, 0x00, 0x00]),
        (0x0c, 0x22, vec![0x01, 0x05, 0x00, 0x00]),
    ]);
    let mut decoded_responses = 0;
    for (netfn, command, data) in requests {
        let (code, answer) = suite.bus.execute(netfn, command, &data);
        if code != 0 {
            continue;
        }
        let response = [&[(netfn | 1) << 2, command, code][..], &answer].concat();
        let fields = decoded("response", &response);
        let misfit =
            fields.keys().find(|name| name.ends_with(".Missing") || name.ends_with(".Left over"));
        assert_eq!(misfit, None, "{netfn:02x} {command:02x}: {fields:?}");
        decoded_responses += 1;
    }
    assert!(decoded_responses > 30, "{decoded_responses} responses");
}

#[test]
fn records_and_images_of_a_bmc_are_decoded() {
    let suite = Suite::start();
    let mut names = Vec::new();
    let mut id = [0, 0];
    while id != [0xff, 0xff] {
        let request = [&[0, 0], &id[..], &[0, 0xff]].concat();
        let (code, answer) = suite.bus.execute(0x0a, 0x23, &request);
        assert_eq!(code, 0);
        let fields = decoded("sdr", &answer[2..]);
        names.extend(
            fields.iter().filter(|(name, _)| name.ends_with(".Name")).map(|(_, v)| v.clone()),
        );
        id = [answer[0], answer[1]];
    }
    assert!(names.iter().any(|name| name == "MBTemp"), "{names:?}");
    let record =
        [&[0, 0, 0x02], &[0; 4][..], &[0x20, 0x00, 0x04, 0x01, 0x05, 0x01, 0x59, 1, 2]].concat();
    assert_eq!(suite.bus.execute(0x0a, 0x44, &record).0, 0);
    let (_, answer) = suite.bus.execute(0x0a, 0x43, &[0, 0, 0xff, 0xff, 0, 0xff]);
    let fields = decoded("sel", &answer[2..]);
    assert_eq!(fields["Event message.State"], "upper critical going high");
    assert_eq!(fields["Event message.Sensor type"], "01h temperature");
    let image = fru(&suite.bus);
    let fields = decoded("fru", &image);
    assert_eq!(fields["Product area.Serial number"], "CW0000042");
    assert_eq!(fields["Board area.Manufactured"], "2026-01-15T12:00:00Z");
}

/// The image of FRU device 0.
fn fru(bus: &Bus) -> Vec<u8> {
    let (_, size) = bus.execute(0x0a, 0x10, &[0]);
    let size = u16::from_le_bytes([size[0], size[1]]);
    let mut image = Vec::new();
    for offset in (0..size).step_by(64) {
        let [low, high] = offset.to_le_bytes();
        let (code, answer) = bus.execute(0x0a, 0x11, &[0, low, high, 64]);
        assert_eq!(code, 0);
        image.extend(&answer[1..]);
    }
    image
}
