//! What pam-ipmi does when a password is changed: keeps it for IPMI, encrypted.
//!
//! `ipmi-pass ROOT USER` takes the password from its standard input and puts it into
//! `ROOT/etc/ipmi_pass`.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use tests::openbmc::Files;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut password = String::new();
    let [root, user] = &arguments[..] else {
        eprintln!("usage: ipmi-pass ROOT USER");
        return ExitCode::from(2);
    };
    if std::io::stdin().read_to_string(&mut password).is_err() {
        return ExitCode::FAILURE;
    }
    Files::below(Path::new(root)).save_password(user, &password);
    ExitCode::SUCCESS
}
