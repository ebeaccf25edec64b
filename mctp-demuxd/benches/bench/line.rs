//! The far end of the line: as little work as will do, since it shares the machine.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// A pty whose master is the far end.
pub(crate) struct Line {
    master: File,
    _slave: OwnedFd,
    pub(crate) path: PathBuf,
    unread: Vec<u8>,
    buffer: Vec<u8>,
}

impl Line {
    pub(crate) fn new() -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().to_str().unwrap());
        let slave = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut mode = tcgetattr(&slave).unwrap();
        mode.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &mode).unwrap();
        fcntl_setfl(&master, OFlags::NONBLOCK).unwrap();
        let (unread, buffer) = (Vec::new(), vec![0; 64 * 1024]);
        Self { master: master.into(), _slave: slave, path, unread, buffer }
    }

    /// Reads and throws away what comes, until the process ends.
    pub(crate) fn throw_away(&self) {
        let mut master = self.master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                wait(&master, PollFlags::POLLIN);
                if matches!(master.read(&mut buffer), Err(e) if e.kind() != ErrorKind::WouldBlock) {
                    return;
                }
            }
        });
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.master.write(bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(&self.master, PollFlags::POLLOUT);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits for something on the line and gives how many messages have ended.
    pub(crate) fn messages_ended(&mut self) -> usize {
        wait(&self.master, PollFlags::POLLIN);
        self.read_packets().iter().filter(|packet| packet[3] & 0x40 != 0).count()
    }

    /// Answers requests of type 20h until a client has a message; what else comes is thrown away.
    pub(crate) fn answer_requests_until(&mut self, client: &impl AsFd) {
        loop {
            let mut fds = [
                PollFd::new(client.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.master.as_fd(), PollFlags::POLLIN),
            ];
            poll(&mut fds, PollTimeout::from(10_000_u16)).unwrap();
            let [client, _] = fds.map(|fd| fd.any().unwrap_or_default());
            if client {
                return;
            }
            for packet in self.read_packets() {
                // The start of a request; all that the others send is left unanswered.
                if packet[3] & 0x88 == 0x88 && packet.get(4) == Some(&0x20) {
                    let answer = packets(packet[2], packet[1], packet[3] & 7, &packet[4..]);
                    self.write(&answer);
                }
            }
        }
    }

    /// The packets that have come whole, check sequences unseen.
    fn read_packets(&mut self) -> Vec<Vec<u8>> {
        if let Ok(len) = self.master.read(&mut self.buffer) {
            self.unread.extend_from_slice(&self.buffer[..len]);
        }
        let (mut all, mut start) = (Vec::new(), 0);
        while let Some((packet, len)) = take(&self.unread[start..]) {
            all.push(packet);
            start += len;
        }
        self.unread.drain(..start);
        all
    }
}

fn take(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut at, mut packet) = (3, Vec::with_capacity(70));
    while packet.len() < usize::from(*bytes.get(2)?) {
        let byte = *bytes.get(at)?;
        if byte == 0x7d {
            packet.push(bytes.get(at + 1)? ^ 0x20);
            at += 2;
        } else {
            packet.push(byte);
            at += 1;
        }
    }
    (bytes.len() >= at + 3).then_some((packet, at + 3))
}

pub(crate) fn wait(fd: &impl AsFd, flags: PollFlags) {
    poll(&mut [PollFd::new(fd.as_fd(), flags)], PollTimeout::from(5000_u16)).unwrap();
}

/// A message in frames of packets of 64 bytes; without anything that needs an escape.
pub(crate) fn packets(to: u8, from: u8, owner_and_tag: u8, message: &[u8]) -> Vec<u8> {
    let last = message.len().div_ceil(64) - 1;
    let mut out = Vec::new();
    for (index, payload) in message.chunks(64).enumerate() {
        let edges = u8::from(index == 0) << 7 | u8::from(index == last) << 6;
        let flags = edges | u8::try_from(index % 4).unwrap() << 4 | owner_and_tag;
        let count = u8::try_from(4 + payload.len()).unwrap();
        let covered = [&[1, count, 1, to, from, flags], payload].concat();
        out.push(0x7e);
        out.extend_from_slice(&covered);
        out.extend(fcs(&covered).to_be_bytes());
        out.push(0x7e);
    }
    out
}

fn fcs(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        let step = |crc: u16, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 }
        };
        (0..8).fold(crc ^ u16::from(*byte), step)
    })
}
