//! The pages of the manual and the completions are those of this build.
//!
//! `CAUSEWAY_WRITE_MAN=1 cargo test -p causewayctl --test pages` writes them anew.

#[path = "../../pages.rs"]
mod pages;

use pages::Tool;

fn tool() -> Tool {
    Tool {
        name: causewayctl::NAME,
        section: "8",
        command: causewayctl::command_line(),
        completions: causewayctl::completions,
    }
}

#[test]
fn pages_of_the_manual_are_those_of_the_command_line() {
    tool().check_pages();
}

#[test]
fn completions_are_those_of_the_command_line() {
    tool().check_completions();
}
