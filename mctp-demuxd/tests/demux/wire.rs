//! The far end of a serial line, bit by bit (DSP0253, DSP0236).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

pub(crate) const SOM: u8 = 0x80;
pub(crate) const EOM: u8 = 0x40;
pub(crate) const TO: u8 = 0x08;

/// The daemon's EID, and the one the far end mostly uses.
pub(crate) const OWN: u8 = 8;
pub(crate) const FAR: u8 = 9;

/// How long to wait for what is to come, on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn fcs(bytes: &[u8]) -> u16 {
    let mut crc = 0xffff_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 };
        }
    }
    crc
}

pub(crate) fn frame(packet: &[u8]) -> Vec<u8> {
    let mut covered = vec![1, u8::try_from(packet.len()).unwrap()];
    let mut out = vec![0x7e, covered[0], covered[1]];
    for byte in packet {
        match byte {
            0x7d => out.extend([0x7d, 0x5d]),
            0x7e => out.extend([0x7d, 0x5e]),
            plain => out.push(*plain),
        }
    }
    covered.extend(packet);
    out.extend(fcs(&covered).to_be_bytes());
    out.push(0x7e);
    out
}

/// A message as it came: to whom, from whom, tag owner bit and tag, bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    pub(crate) to: u8,
    pub(crate) from: u8,
    pub(crate) owner: bool,
    pub(crate) tag: u8,
    pub(crate) bytes: Vec<u8>,
}

/// The far end of the line.
pub(crate) struct Wire {
    master: File,
    /// Holds the near end open, so that the daemon may come and go.
    _slave: OwnedFd,
    pub(crate) path: PathBuf,
    unread: Vec<u8>,
    open: Vec<Message>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().to_str().unwrap());
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        let mut mode = tcgetattr(&slave).unwrap();
        mode.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &mode).unwrap();
        let (unread, open) = (Vec::new(), Vec::new());
        Self { master: master.into(), _slave: slave, path, unread, open }
    }

    /// The far end itself, for what is no serial frame.
    pub(crate) fn far(&mut self) -> &mut File {
        &mut self.master
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.master.write_all(bytes).unwrap();
    }

    /// One packet: to, from, flags, payload.
    pub(crate) fn send_packet(&mut self, to: u8, from: u8, flags: u8, payload: &[u8]) {
        let bytes = frame(&[&[1, to, from, flags], payload].concat());
        self.send_raw(&bytes);
    }

    /// A whole message to the daemon in packets of 64 bytes.
    pub(crate) fn send(&mut self, from: u8, owner_and_tag: u8, message: &[u8]) {
        let stream = packets(OWN, from, owner_and_tag, message);
        // A pty takes about 4 KiB before the other side has to read.
        for chunk in stream.chunks(2048) {
            self.send_raw(chunk);
        }
    }

    pub(crate) fn request(&mut self, tag: u8, message: &[u8]) {
        self.send(FAR, TO | tag, message);
    }

    /// The next frame's bytes between the flags, or `None` after `patience`.
    fn next_frame(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            if !readable(&self.master, left) {
                return None;
            }
            let mut buffer = [0; 16 * 1024];
            let len = self.master.read(&mut buffer).unwrap();
            self.unread.extend(&buffer[..len]);
        }
    }

    /// Takes a whole frame off what was read; exactly two flags have to stand around it.
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let [flag, revision, count, ..] = self.unread[..] else {
            return None;
        };
        assert_eq!((flag, revision), (0x7e, 1), "{:02x?}", self.unread);
        let (mut at, mut packet) = (3, Vec::new());
        while packet.len() < usize::from(count) {
            match *self.unread.get(at)? {
                0x7e => panic!("a flag inside a frame: {:02x?}", self.unread),
                0x7d => {
                    packet.push(self.unread.get(at + 1)? ^ 0x20);
                    at += 2;
                }
                plain => {
                    packet.push(plain);
                    at += 1;
                }
            }
        }
        let end: [u8; 3] = self.unread.get(at..at + 3)?.try_into().unwrap();
        let check = fcs(&[&[revision, count], &packet[..]].concat()).to_be_bytes();
        assert_eq!(end, [check[0], check[1], 0x7e]);
        self.unread.drain(..at + 3);
        Some(packet)
    }

    pub(crate) fn packet(&mut self) -> Vec<u8> {
        self.next_frame(PATIENCE).expect("a packet on the line")
    }

    /// The next whole message on the line.
    pub(crate) fn message(&mut self) -> Message {
        self.message_within(PATIENCE).expect("a message on the line")
    }

    pub(crate) fn message_within(&mut self, patience: Duration) -> Option<Message> {
        loop {
            let packet = self.next_frame(patience)?;
            let [version, to, from, flags, payload @ ..] = &packet[..] else { panic!("short") };
            assert_eq!(*version, 1);
            let key = |m: &Message| (m.to, m.from, m.owner, m.tag);
            let (owner, tag) = (flags & TO != 0, flags & 7);
            let whole = Message { to: *to, from: *from, owner, tag, bytes: payload.to_vec() };
            let at = self.open.iter().position(|open| key(open) == key(&whole));
            match at {
                None => {
                    assert_ne!(flags & SOM, 0, "an end without a start");
                    self.open.push(whole);
                }
                Some(at) => {
                    assert_eq!(flags & SOM, 0, "a start on an open key");
                    self.open[at].bytes.extend(payload);
                }
            }
            if flags & EOM != 0 {
                let at = at.unwrap_or(self.open.len() - 1);
                return Some(self.open.remove(at));
            }
        }
    }

    /// Nothing comes for a while.
    pub(crate) fn is_silent(&mut self) {
        let packet = self.next_frame(Duration::from_millis(150));
        assert_eq!(packet, None, "silence was expected");
    }

    pub(crate) fn answer(&mut self, request: &Message, bytes: &[u8]) {
        assert!(request.owner, "an answer is not answered");
        self.send(request.to, request.tag, bytes);
    }
}

pub(crate) fn packets(to: u8, from: u8, owner_and_tag: u8, message: &[u8]) -> Vec<u8> {
    let last = message.len().div_ceil(64).saturating_sub(1);
    let part = |(index, payload): (usize, &[u8])| {
        let start = if index == 0 { SOM } else { 0 };
        let end = if index == last { EOM } else { 0 };
        let sequence = u8::try_from(index % 4).unwrap() << 4;
        frame(&[&[1, to, from, start | end | sequence | owner_and_tag], payload].concat())
    };
    message.chunks(64).enumerate().flat_map(part).collect()
}

pub(crate) fn readable(fd: &impl AsFd, within: Duration) -> bool {
    let within = PollTimeout::try_from(within.as_millis()).unwrap();
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, within).unwrap() > 0
}

/// Waits for a condition that nothing announces.
pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to that");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes that are different in every place and for every seed.
pub(crate) fn filler(kind: u8, len: usize, seed: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..len).map(|at| ((at * 7 + at / 251 + seed * 13) % 256).to_le_bytes()[0]).collect();
    bytes[0] = kind;
    bytes
}

#[test]
fn the_far_end_agrees_with_the_published_vectors() {
    use hex_literal::hex;
    assert_eq!(fcs(b"123456789"), 0x6f91);
    assert_eq!(
        frame(&hex!("01 08 7e c9 05 7d 7e")),
        hex!("7e 01 07 01 08 7d 5e c9 05 7d 5d 7d 5e 74 6f 7e")
    );
}

/// Carries bytes between two lines until both are gone.
pub(crate) fn join(one: &Wire, other: &Wire) -> [std::thread::JoinHandle<()>; 2] {
    let carry = |from: &Wire, to: &Wire| {
        let (mut from, mut to) = (from.master.try_clone().unwrap(), to.master.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..len]).is_err() {
                    break;
                }
            }
        })
    };
    [carry(one, other), carry(other, one)]
}

/// Carries bytes between a line and a stream until either is gone.
pub(crate) fn carry(line: &Wire, stream: &std::os::unix::net::UnixStream) {
    let (mut from, mut to) = (line.master.try_clone().unwrap(), stream.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let (mut from, mut to) = (stream.try_clone().unwrap(), line.master.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
}
