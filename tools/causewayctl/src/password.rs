//! Passwords: from a prompt, a file or a descriptor, never from the command line.

use std::fs::OpenOptions;
use std::io::{self, BufReader, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use report::secret::{first_line, given};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::bmc::LONG_PASSWORD;
use crate::error::Error;

/// The least characters of a password that is not weak.
const LEAST: usize = 8;

/// Passwords that are guessed first; in lower case.
const COMMON: [&str; 22] = [
    "0penbmc",
    "admin",
    "administrator",
    "adminadmin",
    "calvin",
    "change-me-at-once",
    "changeme",
    "changeit",
    "default",
    "iloveyou",
    "ipmi",
    "letmein",
    "openbmc",
    "passw0rd",
    "password",
    "password1",
    "qwerty",
    "qwertyuiop",
    "root",
    "rootroot",
    "superuser",
    "welcome",
];

/// Where the password comes from: a prompt, unless one of these is given.
#[derive(Args, Debug)]
pub(crate) struct Source {
    /// Read the password from the first line of this file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "password_fd")]
    password_file: Option<PathBuf>,
    /// Read the password from the first line of this descriptor
    #[arg(long, value_name = "FD")]
    password_fd: Option<u32>,
    /// Take a weak password too
    #[arg(long)]
    allow_weak: bool,
}

impl Source {
    /// The password for the user `name`.
    pub(crate) fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let password = self.unchecked(name)?;
        let length = password.len();
        if length == 0 || password.contains(&0) || length > LONG_PASSWORD {
            let text = format!("a password has 1 to {LONG_PASSWORD} bytes, none of them 0");
            return Err(Error::usage(text));
        }
        match weakness(name, &password).filter(|_| !self.allow_weak) {
            Some(weakness) => Err(Error::failed(format_args!("the password is weak: {weakness}"))
                .remedy("take another, or --allow-weak")),
            None => Ok(password),
        }
    }

    fn unchecked(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let Self { password_file, password_fd, .. } = self;
        match given("password", password_file.as_deref(), *password_fd)? {
            Some(password) => Ok(password),
            None => ask_twice("password", &format!("Password for {name}: ")),
        }
    }
}

/// Where the passphrase of a backup comes from: a prompt, unless one of these is given.
#[cfg(feature = "backup")]
#[derive(Args, Debug)]
pub(crate) struct Passphrase {
    /// Read the passphrase from the first line of this file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase from the first line of this descriptor
    #[arg(long, value_name = "FD")]
    passphrase_fd: Option<u32>,
}

#[cfg(feature = "backup")]
impl Passphrase {
    /// The most and, unless it may be weak, the least bytes.
    const LONGEST: usize = 255;
    const LEAST: usize = 12;

    /// A new passphrase.
    pub(crate) fn ask_twice(&self, allow_weak: bool) -> Result<Zeroizing<Vec<u8>>, Error> {
        let passphrase = match self.given()? {
            Some(passphrase) => passphrase,
            None => ask_twice("passphrase", "Passphrase of the backup: ")?,
        };
        let least = Self::LEAST;
        let short = (passphrase.len() < least).then(|| format!("it has fewer than {least} bytes"));
        let weakness = short.or_else(|| weakness("", &passphrase).map(str::to_owned));
        match weakness.filter(|_| !allow_weak) {
            Some(weakness) => {
                Err(Error::failed(format_args!("the passphrase is weak: {weakness}"))
                    .remedy("take another, or --allow-weak"))
            }
            None => Self::checked(passphrase),
        }
    }

    /// The passphrase of an earlier backup.
    pub(crate) fn ask_once(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let passphrase = match self.given()? {
            Some(passphrase) => passphrase,
            None => {
                must_have_terminal("passphrase")?;
                prompt("Passphrase of the backup: ")?
            }
        };
        Self::checked(passphrase)
    }

    fn given(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        given("passphrase", self.passphrase_file.as_deref(), self.passphrase_fd)
    }

    fn checked(passphrase: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Error> {
        if passphrase.is_empty() || passphrase.len() > Self::LONGEST {
            let text = format!("a passphrase has 1 to {} bytes", Self::LONGEST);
            return Err(Error::usage(text));
        }
        Ok(passphrase)
    }
}

/// Asks for a new password (`what`) on the terminal.
fn ask_twice(what: &str, question: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    must_have_terminal(what)?;
    let first = prompt(question)?;
    let second = prompt("Again: ")?;
    let differ = || Error::failed(format_args!("the two {what}s differ"));
    if first == second { Ok(first) } else { Err(differ()) }
}

fn must_have_terminal(what: &str) -> Result<(), Error> {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Error::usage(format_args!("there is no terminal to ask for the {what} on"))
        .remedy(format_args!("--{what}-file FILE or --{what}-fd FD")))
}

/// Asks on the terminal, which does not show what is typed.
fn prompt(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |error: io::Error| Error::failed(format_args!("the terminal: {error}"));
    let mut terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(failed)?;
    let shown = tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL);
    // Before the question, after which characters are typed.
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).map_err(|error| failed(error.into()))?;
    terminal.write_all(text.as_bytes()).map_err(failed)?;
    let line = first_line(BufReader::new(&terminal));
    tcsetattr(&terminal, OptionalActions::Flush, &shown).map_err(|error| failed(error.into()))?;
    line.map_err(failed)
}

/// Asks for a line on the terminal, with an answer for an empty one; that answer where there is no terminal.
pub(crate) fn ask(text: &str, default: &str) -> Result<String, Error> {
    if !io::stdin().is_terminal() {
        return Ok(default.to_owned());
    }
    let failed = |error: io::Error| Error::failed(format_args!("the terminal: {error}"));
    let mut terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(failed)?;
    write!(terminal, "{text} [{default}]: ").map_err(failed)?;
    let line = first_line(BufReader::new(&terminal)).map_err(failed)?;
    let line = String::from_utf8_lossy(&line).trim().to_owned();
    Ok(if line.is_empty() { default.to_owned() } else { line })
}

/// Why a password of the user `name` is weak; `None` if it is not.
fn weakness(name: &str, password: &[u8]) -> Option<&'static str> {
    let lower = Zeroizing::new(password.to_ascii_lowercase());
    let name = name.to_ascii_lowercase();
    let has_name =
        !name.is_empty() && lower.windows(name.len()).any(|part| part == name.as_bytes());
    let steps = lower.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let is_run = |step: u8| steps.clone().all(|other| other == step);
    if password.len() < LEAST {
        Some("it has fewer than 8 characters")
    } else if has_name {
        Some("it has the user's name in it")
    } else if COMMON.iter().any(|common| common.as_bytes() == lower.as_slice()) {
        Some("it is one that is guessed first")
    } else if is_run(0) || is_run(1) || is_run(0xff) {
        Some("it is one character again and again, or a row of them")
    } else if password.iter().all(u8::is_ascii_digit) {
        Some("it has digits only")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_found() {
        for weak in [
            "",
            "short1!",
            "admin-2026",
            "xxADMINxx",
            "PassW0rd",
            "password",
            "aaaaaaaa",
            "12345678",
            "87654321",
            "abcdefghij",
            "20261128",
            "0penBmc",
        ] {
            assert!(weakness("admin", weak.as_bytes()).is_some(), "{weak}");
        }
        for good in ["correct horse", "tr0ub4dor&3", "Zq7-mmmm", "0penBmc!0penBmc!"] {
            assert_eq!(weakness("admin", good.as_bytes()), None, "{good}");
        }
        assert_eq!(weakness("", b"correct horse"), None);
    }
}
