//! Packets as a pcap file has them: written to a file, and to programs that trace.
//!
//! The link type is `LINUX_SLL2`: unlike `LINKTYPE_MCTP` it has the direction, the binding (as the
//! interface number) and the physical address of each packet, every Wireshark since 3.4 opens it,
//! and those with an MCTP dissector of their own use it for protocol 00FAh. `mctp.lua` beside this
//! crate's README does so for those without.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use mctp_proto::{Address, LinkId};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

/// `LINKTYPE_LINUX_SLL2` of the pcap registry.
const LINKTYPE: u32 = 276;
/// `ETH_P_MCTP` and `ARPHRD_MCTP` of Linux.
const ETH_P_MCTP: u16 = 0x00fa;
const ARPHRD_MCTP: u16 = 290;
const SNAP_LENGTH: u32 = 65_535;

/// Messages are for administrators: read by the owner's group and no other.
const MODE: u32 = 0o640;

/// Which way a packet went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the link.
    In,
    /// To the link.
    Out,
}

/// Programs that may trace at a time.
const TRACERS: usize = 4;

/// Bytes that may wait for a program that traces; packets beyond are lost to it. The kernel allows less unless it is
/// configured otherwise.
const TRACER_QUEUE: usize = 1 << 20;

/// What packets are written to. Without a file and a tracer, a packet costs one look at this.
#[derive(Debug, Default)]
pub struct Capture {
    /// `None` without one, and once it could not be written.
    file: Option<File>,
    tracers: Vec<Tracer>,
}

/// A program that traces, at the other end of a socket.
#[derive(Debug)]
struct Tracer {
    socket: OwnedFd,
    /// Packets for which there was no room since the last one.
    lost: u64,
}

/// Why a program cannot trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// There are as many as may be.
    #[error("{TRACERS} programs trace already")]
    Full,
    /// There is no socket for it.
    #[error("no socket: {0}")]
    Socket(#[from] Errno),
}

impl Capture {
    /// Starts a file anew.
    ///
    /// # Errors
    ///
    /// What creating or writing it gives.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(MODE).open(path)?;
        if file.metadata()?.is_file() {
            // The mode is this one whatever the umask is, and for a file that was there before.
            file.set_permissions(Permissions::from_mode(MODE))?;
        }
        file.write_all(&file_header())?;
        Ok(Self { file: Some(file), tracers: Vec::new() })
    }

    /// Adds a program that traces, until it closes the socket that this returns.
    ///
    /// Each message of the socket (`SOCK_SEQPACKET`) is a part of a pcap file: first its header, then a record for
    /// each packet. A message of eight bytes is how many packets were lost before the next one, because the program
    /// did not read.
    ///
    /// # Errors
    ///
    /// [`TraceError`].
    pub fn trace(&mut self) -> Result<OwnedFd, TraceError> {
        self.tracers.retain(Tracer::is_there);
        if self.tracers.len() >= TRACERS {
            return Err(TraceError::Full);
        }
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        set_socket_send_buffer_size(&ours, TRACER_QUEUE)?;
        send(&ours, &file_header(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        self.tracers.push(Tracer { socket: ours, lost: 0 });
        Ok(theirs)
    }

    /// Adds one packet, in its parts. When the file cannot be written it ends with one log line.
    pub fn write(
        &mut self,
        direction: Direction,
        link: LinkId,
        address: Address,
        packet: &[&[u8]],
    ) {
        if self.file.is_none() && self.tracers.is_empty() {
            return;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stamp = (since.as_secs(), since.subsec_micros());
        let record = record(stamp, direction, link, address, packet);
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(&record)
        {
            tracing::warn!(%error, "cannot write the capture; it ends here");
            self.file = None;
        }
        self.tracers.retain_mut(|tracer| tracer.write(&record));
    }
}

impl Tracer {
    /// Sends a record; `false` if the program has gone.
    fn write(&mut self, record: &[u8]) -> bool {
        let lost = self.lost.to_ne_bytes();
        let messages = [(self.lost > 0).then_some(&lost[..]), Some(record)];
        for message in messages.into_iter().flatten() {
            match send(&self.socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) if message.len() == lost.len() => self.lost = 0,
                Ok(_) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => {
                    self.lost += 1;
                    return true;
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Whether the program has its end open. It sends nothing.
    fn is_there(&self) -> bool {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        recv(&self.socket, &mut [0; 1], flags).err() == Some(Errno::AGAIN)
    }
}

/// The pcap file header, in this machine's byte order, with microseconds.
fn file_header() -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    out.extend(0xa1b2_c3d4_u32.to_ne_bytes());
    out.extend(2_u16.to_ne_bytes());
    out.extend(4_u16.to_ne_bytes());
    out.extend([0; 8]);
    out.extend(SNAP_LENGTH.to_ne_bytes());
    out.extend(LINKTYPE.to_ne_bytes());
    out
}

/// One record: pcap header, cooked header (big endian), packet.
fn record(
    (seconds, micros): (u64, u32),
    direction: Direction,
    link: LinkId,
    address: Address,
    packet: &[&[u8]],
) -> Vec<u8> {
    const COOKED: usize = 20;
    const TO_US: u8 = 0;
    const SENT_BY_US: u8 = 4;
    let (address_len, address) = match address {
        Address::None => (0, [0; 2]),
        Address::Smbus(address) => (1, [address, 0]),
        Address::Pcie(id) => (2, id.to_be_bytes()),
    };
    let packet_len: usize = packet.iter().map(|part| part.len()).sum();
    let len = u32::try_from(COOKED + packet_len).unwrap_or(SNAP_LENGTH);
    // The field holds 32 bits until 2106.
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(16 + COOKED + packet_len);
    for field in [seconds, micros, len, len] {
        out.extend(field.to_ne_bytes());
    }
    out.extend(ETH_P_MCTP.to_be_bytes());
    out.extend([0; 2]);
    // Interfaces count from 1; 0 stands for none.
    out.extend((u32::from(link.0) + 1).to_be_bytes());
    out.extend(ARPHRD_MCTP.to_be_bytes());
    out.extend([if direction == Direction::In { TO_US } else { SENT_BY_US }, address_len]);
    out.extend(address);
    out.extend([0; 6]);
    for part in packet {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn record_has_a_cooked_header() {
        let packet = hex!("01 08 09 c8 00 80 02");
        let got = record((1, 2), Direction::Out, LinkId(1), Address::Smbus(0x1d), &[&packet]);
        let head = [1_u32, 2, 27, 27].map(u32::to_ne_bytes).concat();
        assert_eq!(got[..16], head);
        assert_eq!(got[16..36], hex!("00fa 0000 00000002 0122 04 01 1d00000000000000"));
        assert_eq!(got[36..], packet);
    }

    #[test]
    fn a_capture_is_a_header_and_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        let mut capture = Capture::create(&path).unwrap();
        capture.write(Direction::In, LinkId(0), Address::None, &[&[1, 8, 9, 0xc8], &[5]]);
        assert_eq!(std::fs::read(&path).unwrap().len(), 24 + 16 + 20 + 5);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
    }

    #[test]
    fn a_file_that_was_there_gets_the_mode_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Capture::create(&path).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (24, MODE));
    }

    /// The next message of a tracer's socket; `None` if there is none.
    fn next(socket: &OwnedFd) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 8192];
        let (length, _) = recv(socket, &mut *buffer, RecvFlags::DONTWAIT).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    #[test]
    fn tracers_get_a_header_and_records_and_how_many_they_lost() {
        let mut capture = Capture::default();
        let packet = hex!("01 08 09 c8 00 80 02");
        let write = |capture: &mut Capture| {
            capture.write(Direction::In, LinkId(0), Address::None, &[&packet]);
        };
        write(&mut capture);
        let tracer = capture.trace().unwrap();
        write(&mut capture);
        assert_eq!(next(&tracer).unwrap(), file_header());
        assert_eq!(next(&tracer).unwrap()[36..], packet);
        assert_eq!(next(&tracer), None);
        // It does not read, until its socket is full.
        while capture.tracers[0].lost < 3 {
            write(&mut capture);
        }
        while next(&tracer).is_some() {}
        write(&mut capture);
        assert_eq!(next(&tracer).unwrap(), 3_u64.to_ne_bytes());
        assert_eq!(next(&tracer).unwrap()[36..], packet);
    }

    #[test]
    fn tracers_are_bounded_and_leave_when_they_close_their_socket() {
        let mut capture = Capture::default();
        let tracers: Vec<_> = (0..TRACERS).map(|_| capture.trace().unwrap()).collect();
        assert!(matches!(capture.trace(), Err(TraceError::Full)));
        drop(tracers);
        let _tracer = capture.trace().unwrap();
        assert_eq!(capture.tracers.len(), 1);
        capture.write(Direction::Out, LinkId(0), Address::None, &[&[1]]);
        assert_eq!(capture.tracers.len(), 1);
    }
}
