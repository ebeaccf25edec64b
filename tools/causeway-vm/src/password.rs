//! The first password of a BMC: given in a file or by a descriptor, or made at random, and kept in a file.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use report::error::Error;
use report::secret;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::definition::write_new;
use crate::places::Place;

/// The most bytes of a password (IPMI v2.0 §22.30).
const LONGEST: usize = 20;
/// The characters of a random password: those that are told apart when they are read from a screen.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// How many characters a random password has, of 5 bits each; clients of IPMI 1.5 can send 16.
const LENGTH: usize = 16;

/// Where the password comes from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Source {
    /// Take the password from the first line of this file; - is standard input [default: a random one]
    #[arg(long, value_name = "FILE", conflicts_with = "password_fd")]
    password_file: Option<PathBuf>,
    /// Take the password from the first line of this descriptor
    #[arg(long, value_name = "FD")]
    password_fd: Option<u32>,
}

/// A password, and whether it was made here and so has to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Password {
    pub(crate) text: Zeroizing<String>,
    pub(crate) is_random: bool,
}

impl Source {
    /// A file.
    pub(crate) fn file(path: &Path) -> Self {
        Self { password_file: Some(path.to_owned()), password_fd: None }
    }

    /// Whether it can be read once only.
    pub(crate) fn is_stream(&self) -> bool {
        let is_stdin = self.password_file.as_deref().is_some_and(|path| path == Path::new("-"));
        is_stdin || self.password_fd.is_some()
    }

    /// The password.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a client could not send it.
    pub(crate) fn read(&self) -> Result<Password, Error> {
        match secret::given("password", self.password_file.as_deref(), self.password_fd)? {
            Some(given) => {
                let text = checked(&given)?;
                Ok(Password { text, is_random: false })
            }
            None => Ok(Password { text: random()?, is_random: true }),
        }
    }
}

fn checked(given: &[u8]) -> Result<Zeroizing<String>, Error> {
    let text = std::str::from_utf8(given).ok().filter(|text| {
        !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control)
    });
    let text = text.ok_or_else(|| {
        Error::usage(format_args!("a password has 1 to {LONGEST} bytes, and no control characters"))
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn random() -> Result<Zeroizing<String>, Error> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    fill(&mut *bytes)?;
    let characters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31)));
    Ok(Zeroizing::new(characters.copied().map(char::from).collect()))
}

/// Fills `bytes` with random ones.
///
/// # Errors
///
/// When the system has none.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(bytes).map_err(|_| Error::failed("the system gives no random bytes"))
}

/// Keeps the password in its file.
///
/// # Errors
///
/// When the file cannot be written.
pub(crate) fn keep(place: &Place, password: &str) -> Result<(), Error> {
    let path = place.password();
    let line = Zeroizing::new(format!("{password}\n"));
    write_new(&path, line.as_bytes())
        .map_err(|error| Error::failed(format_args!("cannot write {}: {error}", path.display())))
}

/// The password that was kept.
///
/// # Errors
///
/// When it cannot be read.
pub(crate) fn kept(path: &Path) -> Result<Zeroizing<String>, Error> {
    let mut text = Zeroizing::new(String::with_capacity(64));
    let read = fs::File::open(path).and_then(|file| file.take(64).read_to_string(&mut text));
    read.map_err(|error| Error::failed(format_args!("cannot read {}: {error}", path.display())))?;
    checked(text.trim_end_matches('\n').as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn random_passwords_differ_and_have_no_characters_that_look_alike() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), LENGTH);
        assert_ne!(one, other);
        assert!(!ALPHABET.iter().any(|c| b"l1o0".contains(c)));
    }

    #[test]
    fn passwords_that_no_client_can_send_are_refused() {
        for good in [&b"x"[..], b"twenty bytes exactly", "ü".as_bytes()] {
            assert!(checked(good).is_ok());
        }
        for bad in [&b""[..], b"twenty-one bytes long", b"a\0b", b"a\tb", b"\xff"] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_kept_password_is_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { state: folder.path().into(), runtime: "/r".into() };
        keep(&place, "secret word").unwrap();
        assert_eq!(kept(&place.password()).unwrap().as_str(), "secret word");
        let mode = fs::metadata(place.password()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(keep(&place, "other").is_err(), "it is never replaced");
    }
}
