//! Packets written to a pcap file.
//!
//! The link type is `LINUX_SLL2`: unlike `LINKTYPE_MCTP` it has the direction, the binding (as the
//! interface number) and the physical address of each packet, every Wireshark since 3.4 opens it,
//! and those with an MCTP dissector of their own use it for protocol 00FAh. `mctp.lua` beside this
//! crate's README does so for those without.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use mctp_proto::{Address, LinkId};

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

/// An open capture.
#[derive(Debug)]
pub struct Capture {
    /// `None` once it could not be written.
    file: Option<File>,
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
        Ok(Self { file: Some(file) })
    }

    /// Adds one packet, in its parts. When the file cannot be written the capture ends with one log line.
    pub fn write(
        &mut self,
        direction: Direction,
        link: LinkId,
        address: Address,
        packet: &[&[u8]],
    ) {
        let Some(file) = &mut self.file else { return };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stamp = (since.as_secs(), since.subsec_micros());
        if let Err(error) = file.write_all(&record(stamp, direction, link, address, packet)) {
            tracing::warn!(%error, "cannot write the capture; it ends here");
            self.file = None;
        }
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
}
