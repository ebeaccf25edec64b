//! `status`.

use serde_json::{Value, json};
use tests::bus::Bus;
use tests::client::Output;
use tests::ctl;
use tests::suite::Suite;

/// The page with numbers of processes and times as words, and one space for many.
fn stable(suite: &Suite, output: &Output) -> Output {
    let json = ctl::json_of(&ctl::on(&suite.bus, "--json status"), "status");
    let words = output.stdout.lines().map(|line| {
        let words = line.split_whitespace().map(|word| word_of(&json, word));
        words.collect::<Vec<_>>().join(" ") + "\n"
    });
    Output { stdout: words.collect(), ..output.clone() }
}

fn word_of(status: &Value, word: &str) -> String {
    let daemons = status.as_array().expect("a list");
    let is = |name: &str| {
        daemons.iter().any(|daemon| daemon[name].to_string().trim_matches('"') == word)
    };
    for (name, text) in [("pid", "PID"), ("since", "TIME"), ("version", "VERSION")] {
        if is(name) {
            return text.to_owned();
        }
    }
    word.to_owned()
}

fn daemon<'a>(status: &'a Value, name: &str) -> &'a Value {
    let daemons = status.as_array().expect("a list");
    daemons.iter().find(|daemon| daemon["daemon"] == name).unwrap_or_else(|| panic!("{status}"))
}

#[test]
fn status_of_a_healthy_bmc_has_every_daemon_and_no_problem() {
    let suite = Suite::start();
    let output = ctl::on(&suite.bus, "status");
    output.ok();
    super::check("status-healthy", &stable(&suite, &output));
    let status = ctl::json_on(&suite.bus, "status");
    for (name, process) in
        [("ipmid", &suite.ipmid), ("netipmid", &suite.netipmid), ("platformd", &suite.platformd)]
    {
        let daemon = daemon(&status, name);
        assert_eq!(daemon["pid"], json!(process.id()), "{status}");
        assert_eq!((&daemon["state"], &daemon["problem"]), (&json!("up"), &Value::Null));
        assert!(daemon["version"].is_string() && daemon["since"].is_string(), "{status}");
    }
    assert_eq!(daemon(&status, "netipmid")["channels"], json!(["lan0"]));
}

#[test]
fn daemon_that_hangs_is_a_problem_with_a_remedy() {
    let mut suite = Suite::start();
    suite.netipmid.pause();
    let output = ctl::on(&suite.bus, "--json status");
    assert_eq!(output.code, Some(1), "{output}");
    let status = ctl::json_of(&output, "status");
    let netipmid = daemon(&status, "netipmid");
    assert_eq!(
        (&netipmid["state"], &netipmid["problem"]),
        (&json!("hung"), &json!("it does not answer"))
    );
    assert!(netipmid["remedy"].as_str().is_some_and(|text| text.contains("journalctl")));
    assert_eq!(daemon(&status, "ipmid")["state"], "up");
    suite.netipmid.resume();
}

#[test]
fn status_without_ipmid_says_so_and_how_to_start_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let bus = Bus::start(dir.path());
    super::check("status-nothing", &ctl::on(&bus, "status"));
    let output = ctl::on(&bus, "--json status");
    assert_eq!(output.code, Some(1));
    assert_eq!(daemon(&ctl::json_of(&output, "status"), "ipmid")["state"], "down");
}
