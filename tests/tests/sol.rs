//! Use of the console: viewers, take-over, and changes by an administrator meanwhile.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tests::clients::Login;
use tests::relay::{Relay, Way};
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::wait;

/// `ipmitool sol activate` on a terminal, once it is operational.
fn activate(login: &Login, instance: u8) -> Terminal {
    let mut command = login.ipmitool_command();
    command.args(["sol", "activate", &format!("instance={instance}")]);
    let mut terminal = Terminal::start(&command);
    terminal.until_shows("SOL Session operational");
    terminal.until_raw();
    terminal
}

/// Types a line at the console, and waits for the host's response.
#[track_caller]
fn assert_talks(terminal: &mut Terminal) {
    terminal.enter("hello\r");
    terminal.until_shows("hello from the host");
    terminal.until_shows("host$ ");
}

#[test]
fn viewers_see_the_writers_output_and_cannot_type() {
    let suite = Suite::start();
    let login = suite.administrator();
    let mut writer = activate(&login, 1);
    let mut viewers: Vec<Terminal> = (2..=4).map(|number| activate(&login, number)).collect();
    assert_talks(&mut writer);
    for viewer in &mut viewers {
        viewer.until_shows("hello from the host");
        viewer.enter("reset\r");
    }
    assert_talks(&mut writer);
    writer.enter("end\r");
    let since = writer.until_shows("end: not found");
    assert!(!since.contains("simulated host"), "a viewer typed: {since:?}");
    let fifth = login.ipmitool("sol activate instance=5").failed();
    assert!(fifth.contains("limit reached"), "{fifth}");
}

#[test]
fn the_same_user_takes_the_console_over_and_the_old_client_is_notified() {
    let suite = Suite::start();
    let login = suite.administrator();
    let mut old = Terminal::ipmiconsole(&login);
    assert_talks(&mut old);
    let mut new = activate(&login, 1);
    old.until_shows("SOL session stolen");
    old.until_ended();
    assert_talks(&mut new);
    assert_talks(&mut new);
}

/// Lets the host print without end, and kills the client meanwhile.
fn kill_in_a_flood(login: &Login) {
    let mut terminal = Terminal::sol(login);
    terminal.enter("burst 100000000\r");
    terminal.until_shows("line 00000001 of a burst of text");
    let client = i32::try_from(terminal.client()).expect("a process id");
    signal::kill(Pid::from_raw(client), Signal::SIGKILL).expect("a process of ours");
}

#[test]
fn a_client_killed_in_a_flood_leaves_the_console_to_the_same_user_at_once() {
    let suite = Suite::start();
    let login = suite.administrator();
    kill_in_a_flood(&login);
    let killed = Instant::now();
    let mut second = activate(&login, 1);
    eprintln!("active again after {:?}", killed.elapsed());
    // Nothing between what the first did not acknowledge and what comes now.
    let mut next = None;
    for _ in 0..3_000 {
        second.until_shows("line ");
        let number: u32 = second.until_shows(" ").parse().expect("a number");
        assert_eq!(number, next.unwrap_or(number));
        next = Some(number + 1);
        second.until_shows("of a burst of text\r\n");
    }
}

#[test]
fn a_client_killed_in_a_flood_leaves_the_console_to_another_user_after_its_retries() {
    let suite = Suite::start();
    let login = suite.administrator();
    let bob = suite.add_user(3, "bob", "s3cret", 4);
    login.ipmitool("sol payload enable 1 3").ok();
    kill_in_a_flood(&login);
    let killed = Instant::now();
    wait::until_true("the console is free", || bob.ipmitool("sol looptest 1 1").code == Some(0));
    eprintln!("another's after {:?}", killed.elapsed());
    let reason = "remote console does not answer";
    assert!(suite.netipmid.log().contains(reason), "{}", suite.netipmid.log());
    // The host is not blocked, neither before nor after the retries are used up.
    let mut console = activate(&bob, 1);
    console.until_shows("of a burst of text");
}

#[test]
fn the_clients_accept_every_payload_size() {
    for size in [16, 100, 259] {
        let suite = Suite::with(&format!("max-payload = {size}"));
        let login = suite.administrator();
        let mut first = activate(&login, 1);
        assert_talks(&mut first);
        first.enter("\r~.");
        first.until_ended();
        let mut second = Terminal::ipmiconsole(&login);
        assert_talks(&mut second);
    }
}

#[test]
fn earlier_output_is_shown_on_activation() {
    let suite = Suite::start();
    let login = suite.administrator();
    let mut first = activate(&login, 1);
    first.until_shows("simulated host, serial console.");
    first.enter("help\r");
    first.until_shows("burst N");
    first.enter("\r~.");
    first.until_ended();
    let mut second = activate(&login, 1);
    second.until_shows("simulated host, serial console.");
    second.until_shows("burst N");
}

#[test]
fn disabling_sol_ends_it_at_once() {
    let suite = Suite::start();
    let login = suite.administrator();
    let mut console = Terminal::ipmiconsole(&login);
    assert_talks(&mut console);
    login.ipmitool("sol set enabled false 1").ok();
    console.until_ended();
    let refused = login.ipmitool("sol activate").failed();
    assert!(refused.contains("SOL payload disabled"), "{refused}");
    login.ipmitool("sol set enabled true 1").ok();
    wait::until_true("SOL can be activated again", || {
        let mut command = login.ipmitool_command();
        command.args(["sol", "looptest", "1", "1"]);
        tests::client::run(&mut command).code == Some(0)
    });
}

#[test]
fn a_user_who_loses_the_payload_loses_the_console() {
    let suite = Suite::start();
    let login = suite.administrator();
    let bob = suite.add_user(3, "bob", "s3cret", 4);
    login.ipmitool("sol payload enable 1 3").ok();
    let mut console = Terminal::ipmiconsole(&bob);
    assert_talks(&mut console);
    login.ipmitool("sol payload disable 1 3").ok();
    console.until_ended();
    let refused = bob.ipmitool("sol activate").failed();
    assert!(refused.contains("SOL payload disabled"), "{refused}");
}

#[test]
fn parameters_are_read_and_set() {
    let suite = Suite::start();
    let login = suite.administrator();
    for (name, value, shown) in [
        ("privilege-level", "operator", "Privilege Level                 : OPERATOR"),
        ("force-encryption", "false", "Force Encryption                : false"),
        ("character-accumulate-level", "10", "Character Accumulate Level (ms) : 50"),
        ("character-send-threshold", "96", "Character Send Threshold        : 96"),
        ("retry-count", "3", "Retry Count                     : 3"),
        ("retry-interval", "20", "Retry Interval (ms)             : 200"),
        ("non-volatile-bit-rate", "115.2", "Non-Volatile Bit Rate (kbps)    : 115.2"),
    ] {
        login.ipmitool(&format!("sol set {name} {value} 1")).ok();
        let info = login.ipmitool("sol info 1");
        assert!(info.ok().contains(shown), "{name}: {info}");
    }
    let mut console = activate(&login, 1);
    assert_talks(&mut console);
}

#[test]
fn sol_works_without_the_settings_service() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    suite.platformd.kill();
    let mut console = activate(&login, 1);
    assert_talks(&mut console);
    wait::until_true("the bridge's own settings are there", || {
        login.ipmitool("sol info 1").stdout.contains("Enabled                         : true")
    });
    login.ipmitool("sol set retry-count 2 1").ok();
    assert!(login.ipmitool("sol info 1").ok().contains("Retry Count                     : 2"));
    suite.restart_platformd();
    wait::until_true("the service's settings hold again", || {
        login.ipmitool("sol info 1").stdout.contains("Retry Count                     : 7")
    });
    assert_talks(&mut console);
}

/// Loses and doubles datagrams of the SOL payload, each at `percent`; the same ones in every run.
/// Real clients take a late copy of an old packet for a new one, so that none overtakes another.
fn bad_network(percent: u64) -> impl FnMut(Way, &[u8]) -> Vec<Vec<u8>> + Send {
    let mut state = 1_u64;
    let mut chance = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % 100 < percent
    };
    move |_, bytes| {
        // Payload type SOL, encrypted and authenticated, in the RMCP+ format.
        let is_sol = bytes.get(4..6) == Some(&[0x06, 0xc1]);
        let copies = match is_sol {
            true => usize::from(!chance()) + usize::from(chance()),
            false => 1,
        };
        vec![bytes.to_vec(); copies]
    }
}

#[test]
fn nothing_is_lost_over_a_bad_network() {
    const LINES: usize = 600;
    let suite = Suite::start();
    let login = suite.administrator();
    login.ipmitool("sol set retry-interval 5 1").ok();
    let relay = Relay::tampering(suite.address, bad_network(30));
    let mut terminal = Terminal::ipmiconsole(&login.at(relay.address()));
    terminal.until_shows("host$ ");
    // At the host's end: what ipmitool does about losses of what is typed is not ours.
    let mut host = UnixStream::connect(suite.dir().join("console")).expect("the console");
    let mut shown = host.try_clone().expect("a second handle");
    // The console waits for everybody who looks on.
    thread::spawn(move || std::io::copy(&mut shown, &mut std::io::sink()));
    write!(host, "burst {LINES}\r").expect("the console");
    for number in 1..=LINES {
        let line = format!("line {number:08} of a burst of text\r\n");
        let between = terminal.until_shows(&line);
        assert!(number == 1 || between.is_empty(), "{between:?} before line {number}");
    }
    let sent = relay.sent(Way::ToClient).len();
    eprintln!("{sent} datagrams to the client for {LINES} lines");
}
