//! Providers: processes that answer commands. The examples of `docs/provider.md` over LAN and KCS, one that is killed
//! under load, and one that does everything that it should not.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{env, thread};

use serde_json::Value;
use tests::host_device::{HostDevice, Kind};
use tests::process::Process;
use tests::provider::{self, OF_EXAMPLE, OWN, examples, python_example, until_answered};
use tests::shell::Shell;
use tests::suite::Suite;
use tests::{client, wait};

/// The bus name of ipmid's object for providers.
const PROVIDERS: &str = "org.causeway.Ipmi.Providers";
/// Commands of `data/provider.py`.
const WELL: u8 = 0x10;
const HANGS: u8 = 0x11;
const LONG: u8 = 0x12;
const TWICE: u8 = 0x13;
const DIES: u8 = 0x14;
const MALFORMED: u8 = 0x15;

/// The provider of this folder's data, once it has registered.
fn misbehaving(suite: &Suite, name: &str, mode: &str) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/provider.py");
    provider::start_python(suite, name, &script, &[mode])
}

/// What ipmitool prints of a response, over LAN.
#[track_caller]
fn raw(suite: &Suite, request: &str) -> String {
    let output = suite.administrator().ipmitool(&format!("raw {request}"));
    output.ok().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn examples_answer_over_lan_and_kcs() {
    let suite = Suite::start();
    let path = suite.dir().join("device");
    let device = path.display().to_string();
    let _bridge = suite.bridge(Kind::Kcs.bridge(), Kind::Kcs.channel(), ["--device", &device]);
    let mut host = HostDevice::plug(Kind::Kcs, &path);
    let base = host.request(0x06, 0x01);

    let _python = python_example(&suite);
    assert_eq!(raw(&suite, "0x30 1 1 2 3"), "03 02 01");
    assert_eq!(raw(&suite, "6 1"), OF_EXAMPLE);
    host.send_with(OWN, 0x01, &[1, 2]);
    assert_eq!(host.receive(OWN, 0x01), [0x00, 2, 1]);
    // Handed on.
    assert_eq!(host.request(0x06, 0x01), base);

    let _c = provider::c_example(&suite);
    assert_eq!(raw(&suite, "0x2e 2 0xd9 0x7e 0 2"), "d9 7e 00 07");
    host.send_with(0x2e, 0x02, &[0xd9, 0x7e, 0x00, 0x04]);
    assert_eq!(host.receive(0x2e, 0x02), [0xcb, 0xd9, 0x7e, 0x00]);
    host.send_with(0x2e, 0x02, &[0xd9, 0x7e, 0x00]);
    assert_eq!(host.receive(0x2e, 0x02), [0xc7, 0xd9, 0x7e, 0x00]);
}

/// The example in a crate of its own is built with the versions of its lock file.
#[test]
fn example_in_rust_answers() {
    let target = env::current_exe().expect("the path of this test");
    let target = target.ancestors().nth(3).expect("<target>/<profile>/deps/<test>");
    let target = target.join("provider-example");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--target-dir"])
        .arg(&target)
        .current_dir(examples().join("rust"))
        .status()
        .expect("cargo");
    assert!(built.success(), "the example does not build");
    let suite = Suite::start();
    let rust = provider::start(&suite, "provider-rs", &target.join("debug/provider"), &[]);
    until_answered(&suite, &rust, 0x2e, 0x03, &[0xd9, 0x7e, 0x00]);
    assert!(raw(&suite, "0x2e 3 0xd9 0x7e 0").starts_with("d9 7e 00"));
}

/// Requests are under way when the provider of Get Device ID is killed: each is answered, by the provider, with C3h,
/// or by ipmid's own command, and all later ones by that.
#[test]
fn killed_under_load_leaves_the_base_command() {
    let suite = Suite::start();
    let login = suite.administrator();
    let base = raw(&suite, "6 1");
    assert_ne!(base, OF_EXAMPLE);
    let mut python = python_example(&suite);
    let (is_over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answers = thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut shell = Shell::open(&login);
                    let mut answers = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let answer = shell.run("raw 6 1");
                        answers.push(answer.split_whitespace().collect::<Vec<_>>().join(" "));
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                    answers
                })
            })
            .collect();
        let until_asked = |count| {
            let limit = asked.load(Ordering::Relaxed) + count;
            wait::until_true("requests", || asked.load(Ordering::Relaxed) >= limit);
        };
        until_asked(30);
        python.kill();
        until_asked(60);
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("a client")).collect::<Vec<_>>()
    });
    for answers in answers {
        let is_known = |answer: &String| {
            answer.contains(OF_EXAMPLE) || answer.contains(&base) || answer.contains("0xc3")
        };
        assert!(answers.iter().all(is_known), "{answers:?}");
        assert!(answers.last().is_some_and(|last| last.contains(&base)), "{answers:?}");
        assert!(answers.iter().filter(|answer| answer.contains("0xc3")).count() <= 1);
    }
    assert_eq!(raw(&suite, "6 1"), base);
}

#[test]
fn provider_that_misbehaves_loses_its_commands_only() {
    let suite = Suite::start();
    let mut bad = misbehaving(&suite, "bad", "");
    until_answered(&suite, &bad, OWN, WELL, &[]);
    let execute = |command| suite.bus.execute(OWN, command, &[]);
    assert_eq!(execute(WELL), (0, vec![1]));
    assert_eq!(execute(LONG).0, 0xca);
    assert_eq!(execute(TWICE), (0, vec![1]));
    assert_eq!(execute(MALFORMED).0, 0xff);
    assert_eq!(execute(WELL), (0, vec![1]));

    // Hanging requests do not delay others, and after three of them none is sent to it.
    let good = python_example(&suite);
    thread::scope(|scope| {
        let hanging: Vec<_> = (0..3).map(|_| scope.spawn(|| execute(HANGS).0)).collect();
        while !hanging.iter().all(|request| request.is_finished()) {
            assert_eq!(suite.bus.execute(OWN, 0x01, &[1, 2]), (0, vec![2, 1]), "{}", good.log());
        }
        for request in hanging {
            assert_eq!(request.join().expect("a request"), 0xc3);
        }
    });
    assert_eq!(execute(WELL).0, 0xc0);
    assert_eq!(suite.bus.execute(OWN, 0x01, &[1, 2]), (0, vec![2, 1]));
    assert!(suite.ipmid.log().contains("does not answer"), "{}", suite.ipmid.log());
    wait::until_true("it gets a request again", || execute(WELL) == (0, vec![1]));

    assert_eq!(execute(DIES).0, 0xc3);
    wait::until_true("its commands are withdrawn", || execute(WELL).0 == 0xc1);
    assert!(bad.exited().is_some());
    assert_eq!(suite.bus.execute(OWN, 0x01, &[1, 2]), (0, vec![2, 1]));
}

/// The paths of the providers' statistics.
fn statistics(suite: &Suite) -> Vec<String> {
    let address = format!("--address={}", suite.bus.address());
    let mut busctl = Command::new("busctl");
    let tree = client::run(busctl.args([&address, "tree", "--list", PROVIDERS]));
    let lines = tree.ok().lines().filter(|line| line.contains("/Providers/"));
    lines.map(|line| line.trim().to_owned()).collect()
}

fn counter(suite: &Suite, path: &str, name: &str) -> u64 {
    let interface = "org.causeway.Ipmi.Providers.Statistics";
    let output = suite.bus.busctl(&["get-property", PROVIDERS, path, interface, name]);
    let value: Value = serde_json::from_str(output.ok()).expect("JSON of busctl");
    value["data"].as_u64().expect("a number")
}

/// The firewall reports a provider's command and disables it, its requests are counted, and the log names the provider.
#[test]
fn provider_is_subject_to_the_firewall_counted_and_logged() {
    let suite = Suite::start();
    // Get Command Support: channel, network function, LUN; a clear bit is a command.
    let supported = || suite.bus.execute(0x06, 0x0a, &[0x0e, OWN, 0x00]).1;
    assert_eq!(supported(), [0xff; 16]);
    let mut python = python_example(&suite);
    assert_eq!(supported()[0], 0xfd);
    let paths = statistics(&suite);
    assert_eq!(paths.len(), 1, "{paths:?}");
    let asked = counter(&suite, &paths[0], "Requests");
    assert_eq!(suite.bus.execute(OWN, 0x01, &[1, 2]), (0, vec![2, 1]));
    assert_eq!(counter(&suite, &paths[0], "Requests"), asked + 1);
    assert_eq!(counter(&suite, &paths[0], "Answered"), asked + 1);
    assert_eq!(counter(&suite, &paths[0], "Commands"), 2);
    let process = format!("pid {})", python.id());
    let log = suite.ipmid.log();
    let named = |line: &str| line.contains("a provider's command") && line.contains(&process);
    assert!(log.lines().any(named), "{log}");

    // Set Command Enables: none of the half, on the LAN's channel.
    let none = [&[0x01, OWN, 0x00][..], &[0; 16]].concat();
    assert_eq!(suite.bus.execute(0x06, 0x60, &none).0, 0x00);
    let refused = suite.administrator().ipmitool("raw 0x30 1 1 2").failed();
    assert!(refused.contains("0xd4"), "{refused}");
    assert_eq!(suite.bus.execute(OWN, 0x01, &[1, 2]), (0, vec![2, 1]));
    python.kill();
    wait::until_true("it is forgotten", || supported() == [0xff; 16]);
    assert_eq!(statistics(&suite), Vec::<String>::new());
}

#[test]
fn registrations_that_are_refused_change_nothing() {
    let suite = Suite::start();
    let provider = misbehaving(&suite, "refused", "refused");
    let error = |name: &str| format!("org.causeway.Ipmi.Providers.Error.{name}\n");
    let expected: String =
        ["LimitExceeded", "Reserved", "Reserved", "InvalidCommand"].map(error).concat();
    wait::until_true("all are refused", || provider.log().ends_with(&expected));
    for (netfn, command) in [(OWN, 0x00), (OWN, 0x30), (OWN, 0xfe)] {
        assert_eq!(suite.bus.execute(netfn, command, &[]).0, 0xc1);
    }
    // Get Device ID and the password's command are ipmid's own.
    assert_eq!(suite.bus.execute(0x06, 0x01, &[]).0, 0x00);
    assert_eq!(suite.bus.execute(0x06, 0x47, &[]).0, 0xc7);
    assert!(suite.ipmid.log().contains("commands of a provider are refused"));
}

#[test]
fn flood_of_registrations_hinders_nobody() {
    let suite = Suite::start();
    let good = python_example(&suite);
    let flood = misbehaving(&suite, "flood", "flood");
    wait::until_true("it floods", || flood.log().contains("registered"));
    let mut shell = Shell::open(&suite.administrator());
    for _ in 0..50 {
        assert!(shell.run("raw 0x30 1 1 2").contains("02 01"), "{}", good.log());
        assert!(shell.run("raw 6 1").contains(OF_EXAMPLE));
    }
}
