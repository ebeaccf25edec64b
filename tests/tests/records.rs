//! The SDR repository, written and read by clients.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::{fs, thread};

use tests::clients::Login;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::wait;

/// A controller at 24h and an event-only sensor of it, as a file for `sdr fill file`: header and
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

/// The record count that Get SDR Repository Info reports.
fn count(login: &Login) -> usize {
    let info = login.ipmitool("sdr info");
    let line = info.ok().lines().find(|line| line.starts_with("Record Count"));
    let number = line.and_then(|line| line.split(':').nth(1));
    number.and_then(|text| text.trim().parse().ok()).expect("a count")
}

/// Completion codes: the reservation was cancelled; there is no such record.
const CANCELLED: u8 = 0xc5;
const ABSENT: u8 = 0xcb;

/// Sends a raw request; `Err` is the completion code, where there is one.
fn ask(shell: &mut Shell, line: &str) -> Result<Vec<u8>, Option<u8>> {
    let answer = shell.run(line);
    if let Some((_, rest)) = answer.split_once("rsp=0x") {
        return Err(rest.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()));
    }
    let bytes = answer.split_whitespace();
    let bytes: Option<Vec<u8>> = bytes.map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes.ok_or(None)
}

/// Reads all records in two parts each, under one reservation, as clients do: each is there once and sound, whatever
/// comes and goes meanwhile. `Err` is the completion code that ended it before.
fn walk(shell: &mut Shell) -> Result<(), Option<u8>> {
    let reservation = ask(shell, "raw 0x0a 0x22")?;
    let mut seen = BTreeSet::new();
    let mut id = [0, 0];
    while id != [0xff, 0xff] {
        let mut get = |offset: u8, count: u8| {
            let [low, high] = [reservation[0], reservation[1]];
            let [id, more] = id;
            let line = format!("raw 0x0a 0x23 {low} {high} {id} {more} {offset} {count}");
            ask(shell, &line)
        };
        let head = get(0, 5)?;
        let body = get(5, 255)?;
        assert_eq!(usize::from(head[6]), body.len() - 2, "length of {id:x?}");
        assert!(seen.insert([head[2], head[3]]), "{id:x?} is there twice");
        id = [body[0], body[1]];
    }
    Ok(())
}

#[test]
fn records_are_whole_while_sensor_services_restart() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let records = dump(&login);
    let stop = AtomicBool::new(false);
    let counts = [const { AtomicU32::new(0) }; 2];
    let mut shells = [Shell::open(&login), Shell::open(&login)];
    thread::scope(|scope| {
        for (shell, count) in shells.iter_mut().zip(&counts) {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match walk(shell) {
                        Ok(()) => drop(count.fetch_add(1, Ordering::Relaxed)),
                        Err(code) => assert!([Some(CANCELLED), Some(ABSENT)].contains(&code)),
                    }
                }
            });
        }
        // Some passes while the service is down, and some while its sensors come back.
        for round in 0..6 {
            let more = |than: [u32; 2]| {
                let now = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
                now.iter().zip(than).all(|(now, than)| *now > than)
            };
            let before = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            if round % 2 == 0 {
                suite.platformd.kill();
            } else {
                assert!(suite.platformd.terminate().success());
            }
            wait::until_true("walks go on without the services", || more(before));
            suite.restart_platformd();
            let before = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            wait::until_true("walks go on with the services", || more(before));
        }
        stop.store(true, Ordering::Relaxed);
    });
    wait::until_true("the records are as before", || dump(&login) == records);
    let readings = || login.ipmitool("sdr list full");
    wait::until_true("the readings are back", || readings().stdout.contains("45 degrees C"));
}

#[test]
fn client_dumps_the_repository_while_sensor_services_restart() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let records = dump(&login);
    for _ in 0..3 {
        suite.platformd.kill();
        assert_eq!(dump(&login), records, "without the services");
        suite.restart_platformd();
        // Units may be read anew; what is dumped has every record once all the same.
        let listed = dump(&login);
        assert!(listed.keys().all(|id| records.contains_key(id)), "{listed:x?}");
    }
    wait::until_true("the records are as before", || dump(&login) == records);
}

#[test]
fn repository_is_filled_from_sensors_and_files_and_added_records_persist() {
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

    // `sdr fill` erases first, so only the BMC's own records remain, which are those in the file.
    fs::write(suite.dir().join("own"), own.values().flatten().copied().collect::<Vec<u8>>())
        .expect("a file");
    let filled = login.ipmitool("sdr fill file own");
    assert!(!filled.to_string().contains("Cannot add"), "{filled}");
    assert_eq!(dump(&login), own);
}

#[test]
fn sensor_types_and_auxiliary_log_status_survive_a_restart() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    // MBTemp, sensor 4, is a processor's; 42 machine checks, the last in 2020.
    wait::until_true("the sensors have their numbers", || {
        login.ipmitool("raw 0x04 0x2e 4 0x07 0x01").code == Some(0)
    });
    login.ipmitool("raw 0x0a 0x5b 0 0x00 0x60 0x0c 0x5f 42 0 0 0").ok();
    suite.ipmid.kill();
    suite.restart_ipmid();
    wait::until_true("the sensor is of the type it was given", || {
        login.ipmitool("sdr type Processor").stdout.contains("MBTemp")
    });
    assert_eq!(login.ipmitool("raw 0x04 0x2f 4").ok().trim(), "07 01");
    let log = login.ipmitool("raw 0x0a 0x5a 0");
    assert_eq!(log.ok().trim(), "00 60 0c 5f 2a 00 00 00");
    // A temperature again.
    login.ipmitool("raw 0x04 0x2e 4 0x01 0x01").ok();
    let processors = login.ipmitool("sdr type Processor");
    assert!(!processors.stdout.contains("MBTemp"), "{processors}");
}
