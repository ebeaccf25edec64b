//! Secrets from a file or a descriptor, never from the command line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::Error;

/// The most bytes of a line that are read.
const LONGEST_LINE: u64 = 256;

/// A secret (`what`) from the first line of a file (`-` is standard input) or of a descriptor, if one is given.
///
/// # Errors
///
/// When it cannot be read.
pub fn given(
    what: &str,
    file: Option<&Path>,
    descriptor: Option<u32>,
) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let failed = |from: &str, error: io::Error| {
        Error::failed(format_args!("cannot read the {what} from {from}: {error}"))
    };
    let path = match (file, descriptor) {
        (Some(path), _) if path == Path::new("-") => {
            let line = first_line(io::stdin().lock());
            return line.map(Some).map_err(|error| failed("standard input", error));
        }
        (Some(path), _) => path.to_owned(),
        (None, Some(descriptor)) => PathBuf::from(format!("/dev/fd/{descriptor}")),
        (None, None) => return Ok(None),
    };
    let line = File::open(&path).and_then(|file| first_line(BufReader::new(file)));
    line.map(Some).map_err(|error| failed(&path.display().to_string(), error))
}

/// The first line, without its end.
///
/// # Errors
///
/// When it cannot be read.
pub fn first_line(reader: impl BufRead) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(256));
    reader.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_without_its_end() {
        for text in ["secret", "secret\n", "secret\r\n", "secret\nmore\n"] {
            assert_eq!(first_line(text.as_bytes()).unwrap().as_slice(), b"secret", "{text:?}");
        }
        assert!(first_line(&b""[..]).unwrap().is_empty());
    }
}
