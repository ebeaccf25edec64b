//! The pages of the manual and the completions are those of this build.
//!
//! `CAUSEWAY_WRITE_MAN=1 cargo test -p causeway-vm --test pages` writes them anew.

#[path = "../../pages.rs"]
mod pages;

use pages::Tool;

fn tool() -> Tool {
    Tool {
        name: causeway_vm::NAME,
        section: "1",
        command: causeway_vm::command_line(),
        completions: causeway_vm::completions,
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
