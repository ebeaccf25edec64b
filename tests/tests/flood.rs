//! Floods: sessions continue, other users log in, and memory does not grow.
//!
//! `tests/bench/flood` runs the same with 100,000 datagrams in 30 s.

use std::time::{Duration, Instant};

use tests::attack::Attacker;
use tests::clients::Login;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::wait;

/// Get Device ID, in ipmitool's shell.
const GET_DEVICE_ID: &str = "raw 6 1";

/// Open Session Requests, unless the variable of this name says how many.
const COUNT: usize = 10_000;
const COUNT_VARIABLE: &str = "CAUSEWAY_FLOOD";

/// Open Session Requests a second: 100,000 in 30 s.
const FLOOD_RATE: usize = 3_400;

/// Wrong passwords, and how many a second.
const GUESSES: usize = 2_000;
const GUESS_RATE: usize = 1_000;

/// An attack is broken off after this time, where the machine is too slow for its rate.
const LIMIT: Duration = Duration::from_secs(60);

/// How much memory the daemon may take beyond what it had after a first, smaller attack, in kB: less
/// than 150 bytes for each datagram.
const GROWTH: u64 = 1_024;

/// Logs in, with retries: datagrams may be lost where a machine is too slow for them all.
#[track_caller]
fn log_in(login: &Login) {
    let begun = Instant::now();
    wait::until_true("a new login", || login.ipmitool("mc guid").code == Some(0));
    eprintln!("a new login in {:?}", begun.elapsed());
}

/// The session answers, and others log in, for as long as the attack lasts.
#[track_caller]
fn endure(attacker: Attacker, login: &Login, shell: &mut Shell, id: &str) {
    let begun = Instant::now();
    while !attacker.is_done() && begun.elapsed() < LIMIT {
        assert_eq!(shell.run(GET_DEVICE_ID), id, "in a session");
        log_in(login);
    }
    eprintln!("{} strikes in {:?}", attacker.count(), begun.elapsed());
    drop(attacker);
    assert_eq!(shell.run(GET_DEVICE_ID), id, "in a session, afterwards");
    log_in(login);
}

#[test]
fn a_flood_of_open_sessions_hinders_nobody_and_fills_no_memory() {
    let count = std::env::var(COUNT_VARIABLE).ok();
    let count = count.map_or(COUNT, |count| count.parse().expect("a number"));
    let suite = Suite::start();
    let login = suite.administrator();
    let mut shell = Shell::open(&login);
    let id = shell.run(GET_DEVICE_ID);
    let attack = |count| Attacker::open_sessions(suite.address, count, FLOOD_RATE);
    endure(attack(COUNT / 4), &login, &mut shell, &id);
    let before = suite.netipmid.memory();
    endure(attack(count), &login, &mut shell, &id);
    let after = suite.netipmid.memory();
    eprintln!("{before} kB before, {after} kB after");
    assert!(after <= before + GROWTH, "{before} kB before, {after} kB after");
    assert!(suite.rejections()["handshake-evicted"] > 0, "the table was never full");
}

#[test]
fn a_source_that_guesses_passwords_hinders_nobody_else() {
    let suite = Suite::start();
    let login = suite.administrator();
    let mut shell = Shell::open(&login);
    let id = shell.run(GET_DEVICE_ID);
    let attacker = Attacker::guess(suite.address, GUESSES, GUESS_RATE);
    endure(attacker, &login, &mut shell, &id);
    let counts = suite.rejections();
    assert!(counts["wrong-password"] > 0 && counts["too-many-failures"] > 0, "{counts:?}");
}
