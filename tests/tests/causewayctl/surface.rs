//! Every command has a page, JSON and an error: a command that is added is missing in the table here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use insta::assert_snapshot;
use serde_json::{Deserializer, Value, json};
use tests::client::Output;
use tests::host_device::{HostDevice, Kind};
use tests::mctp::{Client, Endpoints};
use tests::process::Process;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::{ctl, json_schema, wait};

/// Each command, a line that works, and one that does not. Words in braces are of [`Site::line`]; a line that does not work
/// and is empty stands for the command without a bus.
const COMMANDS: [(&str, &str, &str); 37] = [
    ("status", "", ""),
    (
        "doctor",
        "--config {dir}/causeway.toml --state-dir {dir}/state",
        "--config {dir}/none.toml --state-dir {dir}/state",
    ),
    ("setup", "--user s{n} {password}", "--channel 9 {password}"),
    ("user list", "", ""),
    ("user add", "u{n} {password}", "root {password}"),
    ("user passwd", "u{n} {password}", "nobody {password}"),
    ("user access", "u{n} --privilege user", "nobody --enabled off"),
    ("user remove", "u{n}", "nobody"),
    ("channel list", "", ""),
    ("channel set", "1 --privilege administrator", "9 --mode always"),
    ("cipher list", "", "--channel 9"),
    ("session list", "", ""),
    ("session show", "{session}", "200"),
    ("session close", "{session}", "200"),
    ("sol status", "", "--channel lan7"),
    ("sol release", "", "9"),
    ("sol attach", "--write", "--channel lan7"),
    ("counters", "", ""),
    ("metrics", "", "--output /nonexistent/folder/file"),
    ("record", "--channel kcs0", "--channel lan7"),
    ("trace", "--channel kcs0 --count 1", "--channel lan7"),
    ("mctp endpoints", "", ""),
    ("mctp bindings", "", ""),
    ("mctp clients", "", ""),
    ("mctp send", "9 1 80 3f 01 --socket {socket}", "9 0 80 02"),
    ("mctp ping", "9", "300"),
    ("ping", "{bmc}", "127.0.0.1:70000"),
    ("config check", "{dir}/causeway.toml", "/nonexistent/causeway.toml"),
    ("config show", "kcsbridged", "nobody"),
    ("config diff", "ipmid", "nobody"),
    ("config reload", "ipmid", "nobody"),
    (
        "backup",
        "{dir}/backup --root {dir}/root {passphrase}",
        "{dir}/none/backup --root {dir}/none {passphrase}",
    ),
    (
        "restore",
        "{dir}/backup --root {dir}/root --dry-run {passphrase}",
        "/nonexistent {passphrase}",
    ),
    ("raw", "6 4", "7 1"),
    ("commands", "watchdog", ""),
    ("decode", "request 18 01", "sel 01 02"),
    ("completions", "bash", "tcsh"),
];

/// A BMC that has something to show for every command.
struct Site {
    suite: Suite,
    endpoints: Endpoints,
    client: Client,
    sessions: Vec<Shell>,
    _bridge: Process,
    _host: HostDevice,
}

impl Site {
    fn start() -> Self {
        let suite = Suite::start();
        for (name, text) in [("password", "correct horse"), ("passphrase", "correct horse battery")]
        {
            fs::write(suite.dir().join(name), text).expect("a file");
        }
        // What a backup has of a machine whose daemons are stopped.
        let state = suite.dir().join("root/var/lib/ipmi");
        fs::create_dir_all(&state).expect("a folder");
        fs::write(state.join("settings"), "{}").expect("a file");
        let path = suite.dir().join("device");
        let device = path.display().to_string();
        let bridge = suite.bridge("kcsbridged", "kcs0", ["--device", &device]);
        let mut host = HostDevice::plug(Kind::Kcs, &path);
        host.request(0x06, 0x01);
        let endpoints = Endpoints::start(&suite);
        let client = endpoints.client(1);
        client.ask(0);
        Self { suite, endpoints, client, sessions: Vec::new(), _bridge: bridge, _host: host }
    }

    /// The line of a command with the words for it; the `number`th run of it.
    fn line(&mut self, command: &str, arguments: &str, number: usize) -> String {
        if arguments.contains("{session}") {
            self.sessions.push(Shell::open(&self.suite.administrator()));
        }
        let sessions = ctl::json_on(&self.suite.bus, "session list");
        let session = sessions.as_array().and_then(|all| all.last()).map(|last| &last["handle"]);
        let dir = self.suite.dir().display().to_string();
        let arguments = arguments
            .replace("{password}", "--password-file {dir}/password")
            .replace("{passphrase}", "--passphrase-file {dir}/passphrase")
            .replace("{dir}", &dir)
            .replace("{bmc}", &self.suite.address.to_string())
            .replace("{n}", &number.to_string())
            .replace("{socket}", self.endpoints.socket())
            .replace("{session}", &session.unwrap_or(&json!(0)).to_string());
        format!("{command} {arguments}")
    }

    /// Runs a line that works.
    fn run(&mut self, command: &str, arguments: &str, options: &str, number: usize) -> Output {
        // What it ends has to be there.
        let _terminal =
            (command == "sol release").then(|| Terminal::sol(&self.suite.administrator()));
        let line = self.line(command, arguments, number);
        ctl::on(&self.suite.bus, &format!("{options} {line}"))
    }
}

/// The lines of a page, each once and in the order of the alphabet, with `#` for what differs from run to run.
fn outline(text: &str, dir: &str) -> String {
    let word = |word: &str| match word {
        // Of a histogram, beyond its largest bound.
        "more" => "#".to_owned(),
        word if word.contains(|c: char| c.is_ascii_digit()) => "#".to_owned(),
        word => word.to_owned(),
    };
    let text = text.replace(dir, "DIR");
    // What was dropped while the daemons started, which may be nothing.
    let dropped = ["_refusals_total", "_drops_total", "_rejections_total"];
    let is_stable = |line: &&str| !dropped.iter().any(|name| line.contains(name));
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    let lines: BTreeSet<String> = text.lines().filter(is_stable).map(line).collect();
    lines.into_iter().map(|line| line + "\n").collect()
}

/// A value with types in place of texts and numbers; of the items of a list, each that is different once.
fn form(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!("boolean"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(items) => {
            let mut forms: Vec<Value> = Vec::new();
            for form in items.iter().map(form) {
                if !forms.contains(&form) {
                    forms.push(form);
                }
            }
            forms.sort_by_key(Value::to_string);
            forms.into()
        }
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), form(value))).collect()
        }
    }
}

/// The forms of the values that a command has printed, which its schema accepts.
fn forms(command: &str, output: &Output) -> String {
    let subcommand = command.split(' ').next().expect("a subcommand");
    let mut forms = BTreeSet::new();
    for value in Deserializer::from_str(&output.stdout).into_iter::<Value>() {
        let value = value.unwrap_or_else(|error| panic!("{error}: {output}"));
        json_schema::check(subcommand, &value).unwrap_or_else(|error| panic!("{error}\n{output}"));
        // The host prints when it wants to.
        if command != "sol attach" || value.get("output").is_none() {
            forms.insert(serde_json::to_string_pretty(&form(&value)).expect("JSON"));
        }
    }
    assert!(!forms.is_empty(), "{output}");
    forms.into_iter().collect::<Vec<_>>().join("\n")
}

#[test]
fn every_command_is_in_the_table() {
    let all = super::help::subcommands();
    let is_group = |name: &String| all.iter().any(|other| other.starts_with(&format!("{name} ")));
    let leaves: BTreeSet<&str> =
        all.iter().filter(|name| !name.is_empty() && !is_group(name)).map(String::as_str).collect();
    let table: BTreeSet<&str> = COMMANDS.iter().map(|(command, ..)| *command).collect();
    assert_eq!(leaves, table, "a command has a page, JSON and an error (COMMANDS)");
}

#[test]
fn every_command_prints_a_page_and_json() {
    let mut site = Site::start();
    let dir = site.suite.dir().display().to_string();
    let (mut pages, mut json) = (String::new(), String::new());
    for (command, arguments, _) in COMMANDS {
        let output = site.run(command, arguments, "", 1);
        assert_eq!(
            (output.code, output.stderr.contains("causewayctl: ")),
            (Some(0), false),
            "{output}"
        );
        let page = match command {
            // The host prints when it wants to.
            "sol attach" => "",
            // A script of completions is another program's.
            "completions" => output.stdout.lines().next().unwrap_or_default(),
            _ => &output.stdout,
        };
        writeln!(pages, "==== {command}\n{}", outline(page, &dir)).expect("a text");
        let output = site.run(command, arguments, "--json", 2);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output}");
        writeln!(json, "==== {command}\n{}\n", forms(command, &output)).expect("a text");
    }
    assert_snapshot!("pages", pages);
    assert_snapshot!("json", json);
    site.client.ask(1);
}

#[test]
fn every_command_says_what_is_wrong() {
    let mut site = Site::start();
    let dir = site.suite.dir().display().to_string();
    let mut errors = String::new();
    for (command, _, wrong) in COMMANDS {
        let line = site.line(command, wrong, 1);
        for options in ["", "--json"] {
            let line = format!("{options} {line}");
            let output = match wrong {
                "" => ctl::run(&line),
                _ => ctl::on(&site.suite.bus, &line),
            };
            assert!(matches!(output.code, Some(1 | 2)), "{output}");
            assert!(
                !output.stderr.is_empty() || command == "doctor" || command.starts_with("config"),
                "{output}"
            );
            if options.is_empty() {
                let said = format!("{}{}", output.stdout, output.stderr).replace(&dir, "DIR");
                let code = output.code.unwrap_or_default();
                writeln!(errors, "==== {command}: exit code {code}\n{said}").expect("a text");
            } else if output.code == Some(1) && !output.stderr.is_empty() {
                let error = serde_json::from_str(&output.stderr).expect("JSON");
                json_schema::check("error", &error).unwrap();
            }
        }
    }
    assert_snapshot!("errors", errors);
    wait::until_true("the host is still answered", || {
        ctl::on(&site.suite.bus, "raw 6 1").code == Some(0)
    });
}
