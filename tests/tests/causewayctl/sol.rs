//! `sol`: the payload's state, its release, and the host's console from the BMC itself.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use serde_json::{Value, json};
use tests::bus::Bus;
use tests::client::Output;
use tests::host::{Host, Kind};
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::{ctl, wait};

/// The page with one space for many, and the words that differ from run to run as names.
fn stable(suite: &Suite, output: &Output) -> Output {
    let status = ctl::json_on(&suite.bus, "sol status");
    let session = status[0]["instances"][0]["session"].as_str().unwrap_or("none").to_owned();
    let console = status[0]["console"].as_str().expect("an address").to_owned();
    let words = output.stdout.lines().map(|line| {
        let words = line.split_whitespace().map(|word| match word {
            word if word.trim_end_matches(',') == session => word.replace(&session, "SESSION"),
            word if word == console => "CONSOLE".to_owned(),
            word => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ") + "\n"
    });
    let stderr = output.stderr.replace(&console, "CONSOLE");
    Output { stdout: words.collect(), stderr, ..output.clone() }
}

fn attach(suite: &Suite, options: &[&str]) -> Command {
    let mut command = ctl::command();
    command.arg("--bus").arg(suite.bus.address()).args(options);
    command
}

/// `causewayctl sol attach` on a terminal.
fn terminal(suite: &Suite, options: &[&str]) -> Terminal {
    let words = [&["sol", "attach"], options].concat();
    let mut terminal = Terminal::start(&attach(suite, &words));
    terminal.until_shows("~. at the start of a line detaches]");
    terminal.until_raw();
    terminal
}

fn attached(suite: &Suite) -> u64 {
    ctl::json_on(&suite.bus, "sol status")[0]["attached"].as_u64().expect("a number")
}

#[test]
fn status_shows_who_has_the_console_and_release_ends_it() {
    let host = Host::new(Kind::Unix);
    let suite = Suite::with_console(&host.address());
    super::check("sol-status-unconnected", &stable(&suite, &ctl::on(&suite.bus, "sol status")));
    let mut line = host.offer();
    wait::until_true("it is connected", || {
        ctl::json_on(&suite.bus, "sol status")[0]["connected"] == json!(true)
    });
    let mut lan = Terminal::ipmiconsole(&suite.administrator());
    line.print("host$ ");
    lan.until_shows("host$ ");
    lan.enter("typed");
    line.until_typed("typed");
    let output = ctl::on(&suite.bus, "sol status");
    output.ok();
    super::check("sol-status", &stable(&suite, &output));
    let status = ctl::json_on(&suite.bus, "sol status");
    let session = &ctl::json_on(&suite.bus, "session list")[0];
    assert_eq!(status[0]["instances"][0]["session"], session["id"]);
    assert_eq!(
        (&status[0]["bytes-from-host"], &status[0]["bytes-to-host"]),
        (&json!(6), &json!(5))
    );
    let missing = ctl::on(&suite.bus, "sol release 2");
    super::check("sol-release-missing", &missing);
    let released = ctl::json_on(&suite.bus, "sol release");
    assert_eq!(
        (&released["released"][0]["instance"], &released["channel"]),
        (&json!(1), &json!("lan0"))
    );
    lan.until_ended();
    assert_eq!(ctl::json_on(&suite.bus, "sol status")[0]["instances"], json!([]));
    assert_eq!(ctl::json_on(&suite.bus, "sol release --all")["released"], json!([]));
    let _lan = Terminal::ipmiconsole(&suite.administrator());
    let before = ctl::on(&suite.bus, "sol status");
    let id = ctl::json_on(&suite.bus, "sol status")[0]["instances"][0]["session"].clone();
    assert!(before.stdout.contains(id.as_str().expect("an id")), "{before}");
    let output = ctl::on(&suite.bus, "sol release --all");
    let stdout = output.stdout.replace(id.as_str().expect("an id"), "SESSION");
    super::check("sol-release", &Output { stdout, ..output });
}

#[test]
fn without_a_bridge_there_is_no_console() {
    let dir = tempfile::tempdir().expect("a folder");
    let bus = Bus::start(dir.path());
    for command in ["sol status", "sol release", "sol attach"] {
        super::check("sol-no-bridge", &ctl::on(&bus, command));
    }
    let suite = Suite::with_console("none");
    let refused = ctl::on(&suite.bus, "sol attach");
    assert!(refused.stderr.contains("the host has no console"), "{refused}");
    assert_eq!(refused.code, Some(1), "{refused}");
    let missing = ctl::on(&suite.bus, "sol status --channel eth7");
    assert!(missing.failed().contains("no bridge of channel eth7"), "{missing}");
}

/// A console with one client, which is netipmid: a program on the BMC reads and types beside a session over LAN.
#[test]
fn attached_programs_share_the_console_with_lan() {
    let host = Host::new(Kind::Unix);
    let suite = Suite::with_console(&host.address());
    let mut line = host.offer();
    let mut lan = Terminal::sol(&suite.administrator());
    line.print("before\r\n");
    lan.until_shows("before");
    let mut reader = terminal(&suite, &[]);
    let mut writer = terminal(&suite, &["--write", "--channel", "lan0"]);
    for terminal in [&mut reader, &mut writer] {
        terminal.until_shows("before");
    }
    assert_eq!(attached(&suite), 2);
    reader.enter("not for the host\r");
    writer.enter("from the BMC~.\r");
    line.until_typed("from the BMC~.\r");
    lan.enter("from LAN\r");
    line.until_typed("from LAN\r");
    line.print("to all\r\n");
    for terminal in [&mut lan, &mut reader, &mut writer] {
        terminal.until_shows("to all");
    }
    for terminal in [&mut reader, &mut writer] {
        terminal.enter("~.");
        assert_eq!(terminal.until_ended(), Some(0));
    }
    wait::until_true("netipmid has detached them", || attached(&suite) == 0);
    lan.enter("still there\r");
    line.until_typed("still there\r");
    let log = suite.netipmid.log();
    assert!(!log.contains("SOL deactivated"), "{log}");
}

/// obmc-console's socket serves several clients: netipmid is not asked.
#[test]
fn a_console_server_has_one_more_client() {
    let name = format!("causeway-console-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let listener = UnixListener::bind_addr(&address).expect("a free name");
    let suite = Suite::with_console(&format!("abstract:{name}"));
    let (mut netipmid, _) = listener.accept().expect("netipmid");
    let mut writer = terminal(&suite, &["--write"]);
    let (mut stream, _) = listener.accept().expect("causewayctl");
    stream.write_all(b"login: ").expect("a connection");
    writer.until_shows("login: ");
    writer.enter("root\r");
    let mut typed = [0; 5];
    stream.read_exact(&mut typed).expect("a connection");
    assert_eq!(&typed, b"root\r");
    assert_eq!(attached(&suite), 0);
    drop((stream, listener));
    writer.until_shows("the host's console has ended the connection");
    assert_eq!(writer.until_ended(), Some(1));
    netipmid.write_all(b"x").expect("netipmid stays connected");
}

#[test]
fn without_a_terminal_input_is_sent_up_to_its_end() {
    let host = Host::new(Kind::Unix);
    let suite = Suite::with_console(&host.address());
    let mut line = host.offer();
    line.print("hello\r\n");
    wait::until_true("it was read", || {
        ctl::json_on(&suite.bus, "sol status")[0]["bytes-from-host"] == json!(7)
    });
    let words = ["--json", "sol", "attach", "--write"];
    let output = ctl::with_input(Some(&suite.bus), &words, b"~.reboot\r");
    line.until_typed("~.reboot\r");
    let values: Vec<Value> = serde_json::Deserializer::from_str(output.ok())
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("JSON");
    for value in &values {
        tests::json_schema::check("sol", value).expect("the schema");
    }
    let last = values.last().expect("the end");
    assert_eq!((&last["ended"], &last["sent"]), (&json!("closed"), &json!(9)));
}

#[test]
fn at_most_four_programs_are_attached() {
    let host = Host::new(Kind::Unix);
    let suite = Suite::with_console(&host.address());
    let terminals: Vec<_> = (0..4).map(|_| terminal(&suite, &[])).collect();
    assert_eq!(attached(&suite), 4);
    super::check("sol-attach-full", &stable(&suite, &ctl::on(&suite.bus, "sol attach")));
    drop(terminals);
    wait::until_true("they are detached", || attached(&suite) == 0);
}
