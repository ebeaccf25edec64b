//! Serial-over-LAN with the clients that people use, on a terminal.

use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tests::clients::CIPHER_SUITES;
use tests::suite::Suite;
use tests::terminal::Terminal;

/// Lines of the burst: 10 MB together.
const BURST: usize = 300_000;

/// A line typed at the console is echoed and answered.
#[track_caller]
fn assert_talks(terminal: &mut Terminal) {
    terminal.enter("hello\r");
    terminal.until_shows("hello");
    terminal.until_shows("hello from the host");
    terminal.until_shows("host$ ");
}

#[test]
fn ipmitool_types_breaks_leaves_and_comes_back() {
    let suite = Suite::start();
    for cipher_suite in CIPHER_SUITES {
        let login = suite.administrator().suite(cipher_suite);
        for _ in 0..3 {
            let mut terminal = Terminal::sol(&login);
            assert_talks(&mut terminal);
            terminal.enter("\r~B");
            assert_talks(&mut terminal);
            terminal.enter("\r~.");
            terminal.until_shows("terminated ipmitool");
            assert_eq!(terminal.until_ended(), Some(0));
        }
    }
}

#[test]
fn ipmiconsole_types_and_leaves() {
    let suite = Suite::start();
    for cipher_suite in CIPHER_SUITES {
        let login = suite.administrator().suite(cipher_suite);
        let mut command = login.program("ipmiconsole");
        command.args(["-h", &login.address.to_string(), "-u", &login.user]);
        command.args(["-p", &login.password, "-I", &cipher_suite.to_string()]);
        let mut terminal = Terminal::start(&command);
        terminal.until_shows("SOL established");
        terminal.until_raw();
        assert_talks(&mut terminal);
        terminal.enter("&.");
        terminal.until_ended();
    }
}

#[test]
fn a_killed_client_leaves_the_console_to_the_next() {
    let suite = Suite::start();
    let login = suite.administrator();
    let mut first = Terminal::sol(&login);
    assert_talks(&mut first);
    let client = i32::try_from(first.client()).expect("a process id");
    signal::kill(Pid::from_raw(client), Signal::SIGKILL).expect("a process of ours");
    let killed = Instant::now();
    let mut second = Terminal::sol(&login);
    eprintln!("active again after {:?}", killed.elapsed());
    assert_talks(&mut second);
}

#[test]
fn a_second_user_does_not_take_the_console_away() {
    let suite = Suite::start();
    let administrator = suite.administrator();
    let bob = suite.add_user(3, "bob", "s3cret", 4);
    administrator.ipmitool("sol payload enable 1 3").ok();
    let mut first = Terminal::sol(&administrator);
    let refused = bob.ipmitool("sol activate").failed();
    assert!(refused.contains("already active"), "{refused}");
    assert_talks(&mut first);
}

#[test]
fn a_burst_arrives_whole_and_in_order() {
    let suite = Suite::start();
    let mut command = suite.administrator().ipmitool_command();
    command.args(["sol", "activate"]).stdin(Stdio::null());
    let mut terminal = Terminal::start(&command);
    terminal.until_shows("SOL Session operational");
    let begun = Instant::now();
    terminal.enter(&format!("burst {BURST}\r"));
    let mut bytes = 0;
    for number in 1..=BURST {
        let line = format!("line {number:08} of a burst of text\r\n");
        let between = terminal.until_shows(&line);
        assert!(number == 1 || between.is_empty(), "{between:?} before line {number}");
        bytes += line.len();
    }
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{bytes} bytes in {seconds:.1} s");
    assert_talks(&mut terminal);
}
