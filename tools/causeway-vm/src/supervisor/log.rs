//! The log of a BMC: what its processes write on standard error, in one file of bounded size, or on standard error.

use std::collections::VecDeque;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use daemon::lock;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A file that is larger becomes the old one.
const MOST_BYTES: u64 = 1 << 20;
/// A longer line is cut in two.
const LONGEST_LINE: usize = 4096;
/// How many lines of a process are remembered, to say why it does not start.
const TAIL: usize = 3;

/// Which lines are shown on standard error too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    None,
    /// Warnings and errors.
    Warnings,
    All,
}

/// The log file, shared by those who write to it.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    files: Option<Files>,
    shown: Shown,
    /// What is before each line that is shown.
    prefix: String,
}

/// The file that is written, and the old one beside it.
#[derive(Debug)]
struct Files {
    path: PathBuf,
    file: Option<File>,
    size: u64,
}

/// The last lines of one process.
pub(crate) type Tail = Arc<Mutex<VecDeque<String>>>;

impl Log {
    /// A log in the file `path`.
    pub(crate) fn new(path: &Path, shown: Shown) -> Self {
        let files = Files { path: path.to_owned(), file: None, size: 0 };
        Self::of(Inner { files: Some(files), shown, prefix: String::new() })
    }

    /// A log of all lines on standard error alone, each after the BMC's `name`.
    pub(crate) fn shown(name: impl Display) -> Self {
        Self::of(Inner { files: None, shown: Shown::All, prefix: format!("{name} ") })
    }

    fn of(inner: Inner) -> Self {
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Adds a line of a process.
    fn add(&self, line: &[u8]) {
        let mut inner = lock(&self.0);
        let has = |word: &[u8]| line.windows(word.len()).any(|part| part == word);
        let is_shown = match inner.shown {
            Shown::None => false,
            Shown::Warnings => has(b": warning: ") || has(b": error: "),
            Shown::All => true,
        };
        if is_shown {
            // A closed standard error has no reader.
            let _closed = io::stderr().write_all(&[inner.prefix.as_bytes(), line, b"\n"].concat());
        }
        // Without a place on the disk, the BMC runs on.
        let _full = inner.files.as_mut().map(|files| files.write(line));
    }

    /// Adds a line of the supervisor, which is shown in any case.
    pub(crate) fn report(&self, line: &str) {
        let mut inner = lock(&self.0);
        let _closed = io::stderr().write_all(format!("{line}\n").as_bytes());
        let _full = inner.files.as_mut().map(|files| files.write(line.as_bytes()));
    }

    /// Reads `output` to its end.
    pub(crate) async fn follow(self, mut output: impl AsyncRead + Unpin, tail: Tail) {
        let mut pending = Vec::new();
        let mut buffer = [0; 512];
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            pending.extend(buffer.iter().take(count));
            while let Some(end) = line_end(&pending) {
                let mut line: Vec<u8> = pending.drain(..end).collect();
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                self.add(&line);
                remember(&tail, &line);
            }
        }
        if !pending.is_empty() {
            self.add(&pending);
            remember(&tail, &pending);
        }
    }
}

impl Files {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() || self.size > MOST_BYTES {
            if self.file.take().is_some() {
                fs::rename(&self.path, self.path.with_extension("old"))?;
            }
            let options = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path);
            let file = options?;
            self.size = file.metadata()?.len();
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            // In one write, so that lines of several writers do not mix.
            file.write_all(&[line, b"\n"].concat())?;
            self.size += line.len() as u64 + 1;
        }
        Ok(())
    }
}

/// Where the first line ends: after its end, or where it is too long.
fn line_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    end.or((bytes.len() >= LONGEST_LINE).then_some(LONGEST_LINE))
}

fn remember(tail: &Tail, line: &[u8]) {
    let mut tail = lock(tail);
    if tail.len() >= TAIL {
        tail.pop_front();
    }
    tail.push_back(String::from_utf8_lossy(line).trim().chars().take(300).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn follow(log: &Log, bytes: &[u8]) -> Vec<String> {
        let tail = Tail::default();
        log.clone().follow(bytes, Arc::clone(&tail)).await;
        lock(&tail).drain(..).collect()
    }

    #[tokio::test]
    async fn lines_are_kept_whole_and_long_ones_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Log::new(&path, Shown::None);
        assert_eq!(follow(&log, b"a\nb\nc\nd\n").await, ["b", "c", "d"]);
        follow(&log, &[b'x'; LONGEST_LINE + 1]).await;
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(lines, [1, 1, 1, 1, LONGEST_LINE, 1]);
    }

    #[tokio::test]
    async fn the_files_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Log::new(&path, Shown::None);
        let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
        for _ in 0..3000 {
            log.add(&line[..1023]);
        }
        let size = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size("log") <= MOST_BYTES + 1024 && size("log.old") <= MOST_BYTES + 1024);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
