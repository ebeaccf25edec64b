//! `ping`.

use serde_json::json;
use tests::ctl;
use tests::suite::{Suite, free_address};

#[test]
fn ping_tells_who_answers_over_lan() {
    let suite = Suite::start();
    let there = suite.address.to_string();
    let output = ctl::run(&format!("ping {there}"));
    assert!(output.ok().contains(&format!("{there}  answers")), "{output}");
    assert_eq!(ctl::run(&format!("ping --quiet {there}")).ok(), "");
    // The port beside it has nobody.
    let absent = free_address();
    let output = ctl::run(&format!("--json ping --wait 1 {there} {absent}"));
    assert_eq!(output.code, Some(1), "{output}");
    let answers = ctl::json_of(&output, "ping");
    assert_eq!(answers[0]["answers"], json!(true));
    assert!(answers[0]["milliseconds"].is_u64(), "{answers}");
    let missing = json!({"address": absent.to_string(), "answers": false, "dcmi": false, "milliseconds": null});
    assert_eq!(answers[1], missing);
    let quiet = ctl::run(&format!("ping --quiet --wait 1 {there} {absent}"));
    assert!(quiet.failed().contains("no answer") && !quiet.stdout.contains(&there), "{quiet}");
}

#[test]
fn ping_of_a_row_of_ports_asks_each() {
    let suite = Suite::start();
    let (host, port) = (suite.address.ip(), suite.address.port());
    let output = ctl::run(&format!("--json ping --wait 1 {host}:{port}-{}", port + 70));
    let answers = ctl::json_of(&output, "ping");
    let answers = answers.as_array().expect("a list");
    assert_eq!((answers.len(), answers[0]["answers"].clone()), (71, json!(true)));
    super::check("ping-wrong-address", &ctl::run("ping ::1"));
    assert!(ctl::run("ping nobody.invalid").failed().contains("nobody.invalid"));
}
