//! Serial over LAN to consoles of every kind, which come and go.

use tests::host::{Host, Kind};
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::wait;

/// Waits until netipmid has connected to the console for the `count`th time.
#[track_caller]
fn connected(suite: &Suite, count: usize) {
    wait::until_true("netipmid has the console", || {
        let log = suite.netipmid.log();
        log.matches("connected to the host console").count() >= count
    });
}

/// Text goes both ways, then the console goes and comes back, twice.
fn comes_and_goes(kind: Kind) {
    let host = Host::new(kind);
    let suite = Suite::with_console(&host.address());
    let mut terminal = Terminal::sol(&suite.administrator());
    for count in 1..=3 {
        let mut line = host.offer();
        connected(&suite, count);
        line.print(&format!("print {count}\r\n"));
        terminal.until_shows(&format!("print {count}"));
        terminal.enter(&format!("type {count}\r"));
        line.until_typed(&format!("type {count}\r"));
        if kind == Kind::Abstract {
            terminal.enter("~B");
            line.until_break();
        }
    }
    terminal.enter("\r~.");
    terminal.until_shows("terminated ipmitool");
}

#[test]
fn obmc_console_comes_and_goes() {
    comes_and_goes(Kind::Abstract);
}

#[test]
fn a_unix_socket_comes_and_goes() {
    comes_and_goes(Kind::Unix);
}

#[test]
fn a_host_that_dials_comes_and_goes() {
    comes_and_goes(Kind::Dialling);
}

#[test]
fn a_tcp_port_comes_and_goes() {
    comes_and_goes(Kind::Tcp);
}

#[test]
fn a_terminal_comes_and_goes() {
    comes_and_goes(Kind::Terminal);
}

#[test]
fn ipmiconsole_escapes_a_break_and_itself() {
    let host = Host::new(Kind::Abstract);
    let suite = Suite::with_console(&host.address());
    let login = suite.administrator();
    let mut line = host.offer();
    let mut terminal = Terminal::ipmiconsole(&login);
    terminal.enter("a");
    line.until_typed("a");
    terminal.enter("&B");
    line.until_break();
    terminal.enter("&&b");
    line.until_typed("&b");
    terminal.enter("&D");
    line.until_typed("\x7f");
    line.print("still there\r\n");
    terminal.until_shows("still there");
    terminal.enter("&.");
    terminal.until_ended();
}

/// A virtual machine's serial port, with the machine ended and started again.
fn virtual_machine(kind: Kind) {
    let host = Host::new(kind);
    let Some(mut machine) = host.virtual_machine() else {
        eprintln!("skipped: no qemu-system-x86_64");
        return;
    };
    let suite = Suite::with_console(&host.address());
    let mut terminal = Terminal::sol(&suite.administrator());
    for count in 1..=2 {
        connected(&suite, count);
        terminal.enter("\r");
        terminal.until_shows("boot sector here");
        terminal.enter("abc");
        terminal.until_shows("abc");
        if kind == Kind::Telnet {
            terminal.enter("\r~B");
            terminal.until_shows("!");
        }
        if count == 1 {
            machine.kill();
            machine = host.virtual_machine().expect("QEMU, as before");
        }
    }
    drop(machine);
}

#[test]
fn a_virtual_machine_on_a_unix_socket_has_its_console() {
    virtual_machine(Kind::Unix);
}

#[test]
fn a_virtual_machine_that_dials_has_its_console() {
    virtual_machine(Kind::Dialling);
}

#[test]
fn a_second_host_that_dials_is_refused_and_the_next_process_is_dialled_again() {
    let host = Host::new(Kind::Dialling);
    let mut suite = Suite::with_console(&host.address());
    let mut terminal = Terminal::sol(&suite.administrator());
    let mut line = host.offer();
    line.print("first\r\n");
    terminal.until_shows("first");
    for _ in 0..3 {
        host.offer().until_closed();
    }
    let log = suite.netipmid.log();
    assert_eq!(log.matches("a second host dials the console").count(), 1, "{log}");
    line.print("still there\r\n");
    terminal.until_shows("still there");
    // Its socket is left behind, and replaced.
    suite.netipmid.kill();
    suite.restart_netipmid();
    let mut line = host.offer();
    connected(&suite, 1);
    line.print("printed before anybody looks\r\n");
    let mut terminal = Terminal::sol(&suite.administrator());
    terminal.until_shows("printed before anybody looks");
}

#[test]
fn a_virtual_machine_on_a_tcp_port_has_its_console() {
    virtual_machine(Kind::Tcp);
}

#[test]
fn a_virtual_machine_on_a_telnet_port_takes_breaks() {
    virtual_machine(Kind::Telnet);
}
