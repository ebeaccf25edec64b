//! `config show`, `diff` and `reload`.

use std::fs;

use serde_json::{Value, json};
use tests::bus::Bus;
use tests::client::Output;
use tests::ctl;
use tests::suite::Suite;

/// The output with the suite's folder as a word.
fn on(suite: &Suite, line: &str) -> Output {
    let output = ctl::on(&suite.bus, line);
    let stdout = output.stdout.replace(&suite.dir().display().to_string(), "DIR");
    // Columns are as wide as the folder's name.
    let squeezed =
        stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n");
    Output { stdout: squeezed.collect(), ..output }
}

fn configure(suite: &Suite, lines: &str) {
    let console = suite.dir().join("console");
    let text = format!("[sol]\nconsole = \"unix:{}\"\n{lines}", console.display());
    fs::write(suite.dir().join("causeway.toml"), text).expect("the configuration");
}

#[test]
fn what_is_in_force_has_its_origin() {
    let suite = Suite::start();
    configure(&suite, "[lan]\nsessions = 8\n");
    super::check("config-show", &on(&suite, "config show netipmid"));
    let all = ctl::json_on(&suite.bus, "config show");
    let all = all.as_array().expect("a list");
    for daemon in ["ipmid", "netipmid@lan0", "platformd"] {
        assert!(all.iter().any(|shown| shown["daemon"] == daemon), "{daemon}: {all:?}");
    }
    let console = all.iter().find(|shown| shown["key"] == "sol.console").expect("the key");
    assert!(console["from"].as_str().expect("a text").ends_with("causeway.toml:3"), "{console}");
    assert_eq!(console["live"], json!(true));
}

#[test]
fn a_reload_and_what_it_would_change_are_shown() {
    let suite = Suite::start();
    configure(&suite, "");
    super::check("config-diff-none", &on(&suite, "config diff"));
    configure(&suite, "[lan]\nsessions = 8\ncipher-suites = [17]\n[sel]\ncapacity = 100\n");
    super::check("config-diff", &on(&suite, "config diff"));
    let json = ctl::json_on(&suite.bus, "config diff netipmid");
    let change = json!({"key": "lan.sessions", "running": "62", "file": "8", "live": true});
    assert!(json[0]["changes"].as_array().expect("a list").contains(&change), "{json}");
    super::check("config-reload", &on(&suite, "config reload"));
    super::check("config-diff-restart", &on(&suite, "config diff"));
    let json = ctl::json_on(&suite.bus, "config reload ipmid");
    let expected = json!({
        "daemon": "ipmid", "applied": [], "restart-needed": ["sel.capacity"], "refused": null,
    });
    assert_eq!(json, json!([expected]));
}

#[test]
fn a_file_that_is_wrong_has_its_line() {
    let suite = Suite::start();
    configure(&suite, "[lan]\nsessions = 0\n");
    for line in ["config diff", "config reload"] {
        let output = on(&suite, line);
        super::check(&format!("{}-refused", line.replace(' ', "-")), &output);
        let json = ctl::on(&suite.bus, &format!("--json {line} netipmid"));
        assert_eq!(json.code, Some(1), "{json}");
        let json = ctl::json_of(&json, "config");
        assert_eq!(json[0]["refused"]["line"], json!(4), "{json}");
        assert_ne!(json[0]["refused"]["error"], Value::Null);
    }
}

#[test]
fn daemons_that_are_not_there_are_errors() {
    let suite = Suite::start();
    super::check("config-no-daemon", &on(&suite, "config reload mctp-demuxd"));
    let dir = tempfile::tempdir().expect("a folder");
    let bus = Bus::start(dir.path());
    super::check("config-nothing", &ctl::on(&bus, "config show"));
}
