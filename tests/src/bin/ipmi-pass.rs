//! Simulates pam-ipmi at a password change: stores the password for IPMI, encrypted.
//!
//! `ipmi-pass ROOT USER` takes the password from its standard input and puts it into
//! `ROOT/etc/ipmi_pass`.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use tests::openbmc::Files;
use tests::operands::operands;

fn main() -> ExitCode {
    let [root, user] = match operands("ipmi-pass ROOT USER") {
        Ok(operands) => operands,
        Err(code) => return code,
    };
    let Ok(user) = user.into_string() else {
        return ExitCode::FAILURE;
    };
    let mut password = String::new();
    if std::io::stdin().read_to_string(&mut password).is_err() {
        return ExitCode::FAILURE;
    }
    Files::below(Path::new(&root)).save_password(&user, &password);
    ExitCode::SUCCESS
}
