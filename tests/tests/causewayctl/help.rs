//! Help, completions, and the rules that all subcommands share.

use tests::ctl;

/// All subcommands, with those of subcommands, by the help of each.
pub(super) fn subcommands() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut at = 0;
    while let Some(parent) = all.get(at).cloned() {
        let help = ctl::run(&format!("{parent} --help"));
        let (_, list) = help.ok().split_once("Commands:\n").unwrap_or_default();
        let names = list.lines().take_while(|line| !line.is_empty());
        let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next());
        all.extend(names.map(|name| format!("{parent} {name}").trim().to_owned()));
        at += 1;
    }
    all
}

#[test]
fn every_subcommand_has_help() {
    let all = subcommands();
    assert!(all.len() > 4, "{all:?}");
    for subcommand in all {
        let help = ctl::run(&format!("{subcommand} --help"));
        let name = format!("help {subcommand}").trim().replace(' ', "-");
        super::check(&name, &help);
        for option in ["--json", "--bus"] {
            assert!(help.stdout.contains(option), "{help}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2_and_nothing_on_standard_output() {
    for line in ["", "--no-such-option", "no-such-command", "raw", "raw 6", "raw 6 256", "raw 7 1"]
    {
        let output = ctl::run(line);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output}");
    }
    super::check("wrong-subcommand", &ctl::run("statsu"));
}

#[test]
fn version_is_printed() {
    let output = ctl::run("--version");
    assert!(output.ok().starts_with("causewayctl "), "{output}");
}

#[test]
fn completions_are_of_the_shell() {
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        let output = ctl::run(&format!("completions {shell}"));
        assert!(output.ok().contains(sign), "{output}");
        let json = ctl::run(&format!("--json completions {shell}"));
        let json = ctl::json_of(&json, "completions");
        assert_eq!(json["script"].as_str(), Some(output.stdout.as_str()));
    }
}

#[test]
fn without_a_bus_the_error_has_a_remedy() {
    super::check("no-bus", &ctl::run("status"));
    let output = ctl::run("--json status");
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{output}");
    let error = serde_json::from_str(&output.stderr).expect("JSON");
    tests::json_schema::check("error", &error).unwrap();
}
