//! The SDR repository, written and read by clients.

use std::collections::BTreeMap;
use std::fs;

use tests::clients::Login;
use tests::suite::Suite;
use tests::wait;

/// A controller at 24h and an event-only sensor of it, as a file that `sdr fill file` takes: header and
/// body of each, one after the other.
const SATELLITE: [&[u8]; 2] = [
    b"\x01\x00\x51\x12\x12\x24\x00\x00\x29\x00\x00\x00\x0a\x60\x00\xc7Shelf 7",
    b"\x02\x00\x51\x03\x13\x24\x00\x09\x07\x01\x04\x01\x00\x00\x00\x00\xc7Shelf 8",
];

/// The records as `sdr dump` writes them, by id.
fn dump(login: &Login) -> BTreeMap<u16, Vec<u8>> {
    login.ipmitool("sdr dump records").ok();
    let bytes = fs::read(login.home.join("records")).expect("the dump");
    let mut rest = &bytes[..];
    let mut records = BTreeMap::new();
    while let [low, high, _, _, length, ..] = *rest {
        let (record, others) = rest.split_at(5 + usize::from(length));
        let before = records.insert(u16::from_le_bytes([low, high]), record.to_vec());
        assert_eq!(before, None, "an id twice");
        rest = others;
    }
    assert_eq!(rest, [0_u8; 0], "bytes behind the last record");
    records
}

/// The record count that Get SDR Repository Info tells.
fn count(login: &Login) -> usize {
    let info = login.ipmitool("sdr info");
    let line = info
        .ok()
        .lines()
        .find(|line| line.starts_with("Record Count"));
    let number = line.and_then(|line| line.split(':').nth(1));
    number
        .and_then(|text| text.trim().parse().ok())
        .expect("a count")
}

#[test]
fn repository_is_filled_from_sensors_and_files_and_keeps_what_is_added() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let own = dump(&login);
    assert_eq!(own.len(), count(&login));

    let filled = login.ipmitool("sdr fill sensors");
    assert!(filled.ok().contains("SDRR successfully erased"), "{filled}");
    assert!(!filled.to_string().contains("Cannot add"), "{filled}");
    assert_eq!(dump(&login), own, "the BMC's sensors are described once");

    fs::write(suite.dir().join("satellite"), SATELLITE.concat()).expect("a file");
    let filled = login.ipmitool("sdr fill file satellite");
    assert!(!filled.to_string().contains("Cannot add"), "{filled}");
    let more = dump(&login);
    assert_eq!((more.len(), count(&login)), (own.len() + 2, own.len() + 2));
    let added: Vec<&[u8]> = more
        .iter()
        .filter(|(id, _)| !own.contains_key(id))
        .map(|(_, record)| &record[2..])
        .collect();
    assert_eq!(added, SATELLITE.map(|record| &record[2..]));
    let list = login.ipmitool("sdr list all");
    assert!(list.ok().contains("Shelf 7"), "{list}");

    suite.ipmid.kill();
    suite.restart_ipmid();
    wait::until_true("ipmid serves", || login.ipmitool("mc info").code == Some(0));
    wait::until_true("the records are as before", || dump(&login) == more);

    // Erased first, so only the BMC's own are left; those in the file are they.
    fs::write(
        suite.dir().join("own"),
        own.values().flatten().copied().collect::<Vec<u8>>(),
    )
    .expect("a file");
    let filled = login.ipmitool("sdr fill file own");
    assert!(!filled.to_string().contains("Cannot add"), "{filled}");
    assert_eq!(dump(&login), own);
}
