//! A serial line between two programs: two pseudo-terminals, with what one is sent written to the other.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::thread;

use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

/// The line. Its ends are held open, so that it does not hang up between two openings.
#[derive(Debug)]
pub struct SerialLine {
    /// The devices of its two ends.
    pub devices: [String; 2],
    _ends: [OwnedFd; 2],
}

impl SerialLine {
    /// A line.
    ///
    /// # Panics
    ///
    /// If there is no pseudo-terminal.
    #[must_use]
    pub fn new() -> Self {
        let [one, two] = [(); 2].map(|()| openpty(None, None).expect("a pseudo-terminal"));
        for pair in [&one, &two] {
            let mut settings = tcgetattr(&pair.slave).expect("a terminal");
            cfmakeraw(&mut settings);
            tcsetattr(&pair.slave, SetArg::TCSANOW, &settings).expect("a terminal");
        }
        let name = |end: &OwnedFd| nix::unistd::ttyname(end).expect("a name").display().to_string();
        let devices = [name(&one.slave), name(&two.slave)];
        let ends = [one.slave, two.slave];
        let [one, two] = [one.master, two.master].map(File::from);
        let copies = [one.try_clone(), two.try_clone()].map(|copy| copy.expect("a descriptor"));
        let [one_copy, two_copy] = copies;
        thread::spawn(move || copy(one, two_copy));
        thread::spawn(move || copy(two, one_copy));
        Self { devices, _ends: ends }
    }
}

impl Default for SerialLine {
    fn default() -> Self {
        Self::new()
    }
}

fn copy(mut from: File, mut to: File) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}
