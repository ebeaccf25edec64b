//! A host's serial console to try Serial-over-LAN on: a line shell behind a unix socket.
//!
//! `console PATH` serves everybody who connects to PATH the same console, as a console server does:
//! what one types, all see. It runs nothing; it is no way into the machine.

use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, thread};

use tests::operands::operands;

/// What the console says to a line, but for `burst`.
const HELP: &str = "help, hello, burst N (N lines of text), reset\r\n";

/// What the host prints when it starts.
const GREETING: &str = "\r\nsimulated host, serial console. Type help.\r\n";

/// What stands before a line.
const PROMPT: &str = "host$ ";

/// Everybody who looks at the console.
type Viewers = Arc<Mutex<Vec<UnixStream>>>;

fn main() -> ExitCode {
    let path = match operands("console PATH") {
        Ok([path]) => PathBuf::from(path),
        Err(code) => return code,
    };
    match listen(&path).and_then(|listener| serve(&listener)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("console: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// Listens at `path`, in place of a socket that an earlier process left behind.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

fn serve(listener: &UnixListener) -> io::Result<()> {
    let viewers = Viewers::default();
    for stream in listener.incoming() {
        let mut stream = stream?;
        lock(&viewers).push(stream.try_clone()?);
        let viewers = Arc::clone(&viewers);
        thread::spawn(move || {
            print(&viewers, &format!("{GREETING}{PROMPT}"));
            read_lines(&mut stream, &viewers);
        });
    }
    Ok(())
}

fn lock(viewers: &Viewers) -> MutexGuard<'_, Vec<UnixStream>> {
    viewers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows text to everybody; who does not take it has gone.
fn print(viewers: &Viewers, text: &str) {
    lock(viewers).retain_mut(|viewer| viewer.write_all(text.as_bytes()).is_ok());
}

/// Echoes what is typed, and answers each line.
fn read_lines(stream: &mut UnixStream, viewers: &Viewers) {
    let mut line = String::new();
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) {
        match byte[0] {
            b'\r' | b'\n' => {
                print(viewers, "\r\n");
                answer(line.trim(), viewers);
                print(viewers, PROMPT);
                line.clear();
            }
            0x08 | 0x7f if line.pop().is_some() => print(viewers, "\u{8} \u{8}"),
            typed @ 0x20..0x7f => {
                line.push(char::from(typed));
                print(viewers, &char::from(typed).to_string());
            }
            _ => {}
        }
    }
}

fn answer(line: &str, viewers: &Viewers) {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        [] => {}
        ["help"] => print(viewers, HELP),
        ["hello"] => print(viewers, "hello from the host\r\n"),
        ["reset"] => print(viewers, GREETING),
        ["burst", count] => {
            for number in 1..=count.parse().unwrap_or(0_u32) {
                print(viewers, &format!("line {number:08} of a burst of text\r\n"));
            }
        }
        _ => print(viewers, &format!("{line}: not found\r\n")),
    }
}
