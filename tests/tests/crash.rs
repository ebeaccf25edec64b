//! ipmid killed at random points of writing: nothing that was acknowledged is lost, no record id is there
//! twice, and all state can be read afterwards.
//!
//! A round adds records to the event log and changes settings, from several sessions at once, and kills
//! ipmid somewhere in between. How many rounds, and how long each may become, is in the environment:
//! `tests/soak/crash` runs many, a plain test run a few.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tests::clients::Login;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::{client, wait};

/// Sessions that add to the log at once.
const WRITERS: u8 = 4;
/// Records after which the log is cleared.
const FULL: usize = 2000;
/// How long ipmitool may take to write all records to a file, on a machine with much else to do.
const LISTING: Duration = Duration::from_secs(600);
/// After how many rounds progress is printed.
const REPORT: u32 = 10;
/// Get SEL Info.
const INFO: &str = "raw 0x0a 0x40";

/// A record as the log gives it, without its id.
type Content = Vec<u8>;

/// A number from the environment.
fn number_of<T: FromStr>(name: &str, default: T) -> T {
    let value = env::var(name).ok();
    value.map_or(default, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number"))
    })
}

/// Pseudo-random numbers; the same sequence for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).expect("32 bits");
        high % limit.max(1)
    }
}

/// Sends a raw request; `None` unless the completion code is 00h.
fn ask(shell: &mut Shell, line: &str) -> Option<Vec<u8>> {
    let answer = shell.run(line);
    if answer.contains("rsp=") || answer.contains("Unable") {
        return None;
    }
    let bytes = answer.split_whitespace();
    bytes.map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!(" {byte:#04x}")).collect()
}

/// A setting that clients write and read, with room for a few bytes.
struct Setting {
    name: &'static str,
    set: &'static str,
    get: &'static str,
    /// Bytes of its value.
    length: usize,
    /// Bytes of the response data before the value.
    skipped: usize,
}

/// A user's name, a LAN parameter (the community string), a boot parameter (the mailbox).
const SETTINGS: [Setting; 3] = [
    Setting {
        name: "user",
        set: "raw 0x06 0x45 0x03",
        get: "raw 0x06 0x46 0x03",
        length: 16,
        skipped: 0,
    },
    Setting {
        name: "LAN parameter",
        set: "raw 0x0c 0x01 0x01 0x10",
        get: "raw 0x0c 0x02 0x01 0x10 0 0",
        length: 18,
        skipped: 1,
    },
    Setting {
        name: "boot parameter",
        set: "raw 0x00 0x08 0x07 0x00",
        get: "raw 0x00 0x09 0x07 0x00 0x00",
        length: 16,
        skipped: 3,
    },
];

impl Setting {
    /// The `number`th value that is written.
    fn value(&self, number: u32) -> Vec<u8> {
        let mut value = format!("value{number}").into_bytes();
        value.resize(self.length, 0);
        value
    }

    fn read(&self, shell: &mut Shell) -> Vec<u8> {
        let answer = ask(shell, self.get).unwrap_or_else(|| panic!("{} is unreadable", self.name));
        answer.get(self.skipped..).unwrap_or_default().to_vec()
    }
}

/// What ipmid acknowledged to one session.
#[derive(Default)]
struct Acknowledged {
    /// Records that were acknowledged, by id.
    records: BTreeMap<u16, Content>,
    /// The number acknowledged last of each setting, by index in [`SETTINGS`].
    settings: BTreeMap<usize, u32>,
    /// The setting that was sent last and not acknowledged: ipmid may have stored it or not.
    in_flight: Option<(usize, u32)>,
    /// The next number.
    next: u32,
}

/// What a round shares between its threads.
struct Round {
    number: u32,
    acknowledged: AtomicU32,
    killed: AtomicBool,
}

impl Round {
    /// Adds records until ipmid does not answer, or there are `limit` of them.
    fn add_records(&self, shell: &mut Shell, writer: u8, limit: u32) -> Acknowledged {
        let mut acknowledged = Acknowledged::default();
        while self.acknowledged.load(Ordering::Relaxed) < limit {
            let [round, sequence] = [self.number, acknowledged.next].map(u32::to_le_bytes);
            acknowledged.next += 1;
            // An OEM record without time stamp, whose bytes are all ours (IPMI v2.0 §32.3).
            let content = [&[0xe0, writer][..], &round, &sequence, b"SEL!"].concat();
            let line = format!("raw 0x0a 0x44 0 0{}", hex(&content));
            let Some(id) = ask(shell, &line) else {
                break;
            };
            let id = u16::from_le_bytes(id.try_into().expect("a record id"));
            let before = acknowledged.records.insert(id, content);
            assert_eq!(before, None, "id {id:#06x} was given twice");
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        acknowledged
    }

    /// Changes settings until ipmid does not answer, or was killed between two changes.
    fn change_settings(&self, shell: &mut Shell, mut next: u32) -> Acknowledged {
        let mut acknowledged = Acknowledged::default();
        while !self.killed.load(Ordering::Relaxed) {
            for (index, setting) in SETTINGS.iter().enumerate() {
                let line = format!("{}{}", setting.set, hex(&setting.value(next)));
                if ask(shell, &line).is_none() {
                    acknowledged.in_flight = Some((index, next));
                    acknowledged.next = next + 1;
                    return acknowledged;
                }
                acknowledged.settings.insert(index, next);
                next += 1;
            }
        }
        acknowledged.next = next;
        acknowledged
    }

    /// Kills the process `id` after `adds` records and `more`.
    fn kill(&self, id: u32, adds: u32, more: Duration) {
        let end = Instant::now() + wait::LIMIT;
        while self.acknowledged.load(Ordering::Relaxed) < adds && Instant::now() < end {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(more);
        let id = Pid::from_raw(i32::try_from(id).expect("a process id"));
        signal::kill(id, Signal::SIGKILL).expect("a process of ours");
        self.killed.store(true, Ordering::Relaxed);
    }
}

/// All records of the log by id, as `sel writeraw` writes them.
fn log(login: &Login) -> BTreeMap<u16, Content> {
    let path = login.home.join("raw");
    let mut command = login.ipmitool_command();
    command.args(["sel", "writeraw", "raw"]);
    let written = client::run_within(&mut command, LISTING);
    assert_eq!(written.code, Some(0), "sel writeraw: {}", written.stderr);
    let bytes = fs::read(path).expect("the records");
    let mut records = BTreeMap::new();
    for record in bytes.chunks(16) {
        let id = u16::from_le_bytes([record[0], record[1]]);
        let before = records.insert(id, record[2..].to_vec());
        assert_eq!(before, None, "id {id:#06x} occurs twice");
    }
    records
}

/// What has to be on the medium: all that was acknowledged.
struct Known {
    records: BTreeMap<u16, Content>,
    settings: BTreeMap<usize, u32>,
    /// Records and settings acknowledged in all.
    acknowledged: (usize, u32),
}

impl Known {
    /// Compares with the state of ipmid after a restart.
    fn check(
        &mut self,
        login: &Login,
        shell: &mut Shell,
        writers: &[Acknowledged],
        settings: &Acknowledged,
    ) {
        for acknowledged in writers {
            self.acknowledged.0 += acknowledged.records.len();
            for (id, content) in &acknowledged.records {
                let before = self.records.insert(*id, content.clone());
                assert_eq!(before, None, "id {id:#06x} was given twice");
            }
        }
        let found = log(login);
        for (id, content) in &self.records {
            assert_eq!(found.get(id), Some(content), "record {id:#06x}");
        }
        let unknown = found.iter().filter(|(id, _)| !self.records.contains_key(id));
        let unknown: Vec<_> = unknown.map(|(id, content)| (*id, content.clone())).collect();
        assert!(unknown.len() <= usize::from(WRITERS), "{unknown:x?}");
        for (id, content) in &unknown {
            assert!(content.ends_with(b"SEL!"), "record {id:#06x}: {content:x?}");
        }
        self.records.extend(unknown);
        self.settings.extend(&settings.settings);
        for (index, setting) in SETTINGS.iter().enumerate() {
            let in_flight = settings.in_flight.filter(|(of, _)| *of == index);
            let in_flight = in_flight.map(|(_, number)| number);
            let possible: Vec<u32> =
                self.settings.get(&index).copied().into_iter().chain(in_flight).collect();
            let value = setting.read(shell);
            let stored = possible.iter().find(|number| setting.value(**number) == value);
            let stored = stored.unwrap_or_else(|| {
                panic!("{} is {value:x?}, not one of {possible:?}", setting.name)
            });
            self.settings.insert(index, *stored);
        }
    }
}

/// Asserts that ipmid found no damaged file.
fn assert_nothing_set_aside(suite: &Suite) {
    for folder in ["state/ipmid", "state/access"] {
        for entry in fs::read_dir(suite.dir().join(folder)).expect("a state folder") {
            let name = entry.expect("an entry").file_name();
            assert!(!name.to_string_lossy().ends_with(".corrupt"), "{name:?}");
        }
    }
}

/// A suite, and the sessions that write.
struct CrashTest {
    suite: Suite,
    login: Login,
    writers: Vec<Shell>,
    changer: Shell,
    /// The number of the next setting.
    next: u32,
}

impl CrashTest {
    /// Starts a suite, with a first value in every setting.
    fn start() -> (Self, Known) {
        let suite = Suite::start();
        let login = suite.administrator();
        let writers = (0..WRITERS).map(|_| Shell::open(&login)).collect();
        let mut changer = Shell::open(&login);
        let mut settings = BTreeMap::new();
        for (index, setting) in SETTINGS.iter().enumerate() {
            let line = format!("{}{}", setting.set, hex(&setting.value(0)));
            ask(&mut changer, &line).expect("a first value");
            settings.insert(index, 0);
        }
        let known = Known { records: BTreeMap::new(), settings, acknowledged: (0, 0) };
        let test = Self { suite, login, writers, changer, next: 1 };
        (test, known)
    }

    /// Writes until ipmid is killed, after `kill_after` records and `more`.
    fn write(
        &mut self,
        number: u32,
        adds: u32,
        kill_after: u32,
        more: Duration,
    ) -> (Vec<Acknowledged>, Acknowledged) {
        let round =
            &Round { number, acknowledged: AtomicU32::new(0), killed: AtomicBool::new(false) };
        let (id, next) = (self.suite.ipmid.id(), self.next);
        thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .zip(&mut self.writers)
                .map(|(writer, shell)| scope.spawn(move || round.add_records(shell, writer, adds)))
                .collect();
            let changer = &mut self.changer;
            let changing = scope.spawn(move || round.change_settings(changer, next));
            round.kill(id, kill_after, more);
            let acknowledged = writers.into_iter().map(|writer| writer.join().expect("a writer"));
            (acknowledged.collect(), changing.join().expect("a session"))
        })
    }

    /// Starts ipmid again, and waits until every session works.
    fn restart(&mut self) {
        self.suite.ipmid.kill();
        self.suite.restart_ipmid();
        for shell in self.writers.iter_mut().chain([&mut self.changer]) {
            wait::until_true("the session works again", || ask(shell, INFO).is_some());
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_ipmid_is_killed() {
    let rounds: u32 = number_of("CAUSEWAY_CRASH_ROUNDS", 4);
    let adds: u32 = number_of("CAUSEWAY_CRASH_ADDS", 150);
    let mut random = Random(number_of("CAUSEWAY_CRASH_SEED", 1));
    let (mut test, mut known) = CrashTest::start();
    for number in 1..=rounds {
        let kill_after = random.below(adds);
        let more = Duration::from_micros(random.below(5000).into());
        let (writers, changed) = test.write(number, adds, kill_after, more);
        test.restart();
        known.acknowledged.1 += changed.next - test.next;
        test.next = changed.next;
        known.check(&test.login, &mut test.changer, &writers, &changed);
        assert_nothing_set_aside(&test.suite);
        if known.records.len() > FULL {
            test.login.ipmitool("sel clear").ok();
            known.records.clear();
        }
        if number % REPORT == 0 {
            eprintln!("killed {number} times");
        }
    }
    let log = test.suite.ipmid.log();
    assert!(!log.contains("damaged"), "{log}");
    let (records, changes) = known.acknowledged;
    eprintln!("killed {rounds} times in {records} records and {changes} settings: none is lost");
}

/// The records that a medium lost at the end of the log are more than one write that was interrupted.
#[test]
fn lost_end_of_the_log_is_a_line_and_a_copy_and_the_other_records_stay() {
    let mut suite = Suite::start();
    let count = |suite: &Suite| {
        let (code, info) = suite.bus.execute(0x0a, 0x40, &[]);
        assert_eq!(code, 0);
        u16::from_le_bytes([info[1], info[2]])
    };
    let before = count(&suite);
    for number in 0..40 {
        let oem = [0, 0, 0xe0, number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(suite.bus.execute(0x0a, 0x44, &oem).0, 0);
    }
    assert_eq!(count(&suite), before + 40);
    assert!(suite.ipmid.terminate().success());
    let path = suite.state().join("ipmid/sel");
    let mut bytes = fs::read(&path).expect("the journal");
    // Its records, which are alike, are the last in the file.
    let end = bytes.len() - 30 * 33;
    bytes[end..].fill(0);
    fs::write(&path, &bytes).expect("a damaged journal");
    suite.restart_ipmid();
    assert_eq!(count(&suite), before + 10);
    assert!(suite.ipmid.log().contains("journal is damaged"), "{}", suite.ipmid.log());
    assert_eq!(fs::read(suite.state().join("ipmid/sel.corrupt")).expect("a copy"), bytes);
    suite.ipmid.terminate();
    suite.restart_ipmid();
    assert_eq!(count(&suite), before + 10);
    assert_eq!(suite.ipmid.log().matches("journal is damaged").count(), 1);
}
