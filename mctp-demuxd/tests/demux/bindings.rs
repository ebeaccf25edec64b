//! PCIe and I2C, over what can stand in for their devices: a pty that carries whole messages, and a
//! pipe in place of the queue of what others write.

use std::io::{Read, Write};

use hex_literal::hex;
use rustix::io::ioctl_fionread;

use crate::daemon::{Client, Daemon, registered, spawn, try_connect};
use crate::wire::{PATIENCE, Wire, readable, wait_until};

/// A vendor defined message from 02:03.0: EID 9 to 8, request with tag 2, type 20h.
const VDM_IN: [u8; 24] =
    hex!("72 00 10 02 02 18 10 7f 00 00 1a b4 01 08 09 ca 20 61 62 63 64 65 66 00");

#[test]
fn pcie_messages_are_answered_to_their_requester() {
    let line = Wire::new();
    let (child, socket) =
        spawn(&[&format!("pcie:{}", line.path.display())], "unix:path=/nonexistent");
    let mut daemon = Daemon::take_over(child, socket, line);
    let client = daemon.client_without_line(0x20);
    daemon.wire.send_raw(&VDM_IN);
    assert_eq!(client.message(), (9, b"\x20abcdef".to_vec()));
    client.send(9, b"\x20ok");
    assert!(readable(daemon.wire.far(), PATIENCE));
    let mut buffer = [0; 64];
    let len = daemon.wire.far().read(&mut buffer).unwrap();
    // By id to 02:03.0, from an id that the driver fills in, TO clear, one byte of padding.
    let answer = hex!("72 00 10 01 00 00 10 7f 02 18 1a b4 01 09 08 c2 20 6f 6b 00");
    assert_eq!(buffer[..len], answer);
    // Its sender can now be asked, too.
    client.send(9, b"\x20what");
    assert!(readable(daemon.wire.far(), PATIENCE));
    let len = daemon.wire.far().read(&mut buffer).unwrap();
    assert_eq!((&buffer[8..10], buffer[15] & 0x08, len), (&hex!("02 18")[..], 0x08, 24));
}

#[test]
fn an_endpoint_without_an_id_asks_to_be_found_on_pcie() {
    let line = Wire::new();
    let binding = format!("pcie:{}", line.path.display());
    let (child, socket) = spawn(&["--eid", "0", &binding], "unix:path=/nonexistent");
    let mut daemon = Daemon::take_over(child, socket, line);
    assert!(readable(daemon.wire.far(), PATIENCE));
    let mut buffer = [0; 64];
    let len = daemon.wire.far().read(&mut buffer).unwrap();
    // Discovery Notify, to the root complex.
    assert_eq!(buffer[..len], hex!("70 00 10 01 00 00 10 7f 00 00 1a b4 01 00 00 c8 00 80 0d 00"));
}

#[test]
fn what_others_write_to_our_i2c_address_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (queue, bus) = (folder.path().join("slave-mqueue"), folder.path().join("i2c-9"));
    nix::unistd::mkfifo(&queue, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut options = std::fs::OpenOptions::new();
    let mut far = options.read(true).write(true).open(&queue).unwrap();
    let binding = format!("i2c:{},address=0x1d,slave-mqueue={}", bus.display(), queue.display());
    let (mut child, socket) = spawn(&[&binding], "unix:path=/nonexistent");
    let client = registered(|| connect(&socket), 0x20);
    let transaction = |destination: u8, packet: &[u8]| {
        let count = u8::try_from(packet.len() + 1).unwrap();
        let mut bytes = vec![destination << 1, 0x0f, count, 0x21];
        bytes.extend(packet);
        bytes.push(pec(&bytes));
        bytes
    };
    let packet = hex!("01 08 09 c8 20 61 62 63");
    assert_eq!(
        transaction(0x1d, &hex!("01 08 09 c8 00 80 02")),
        hex!("3a 0f 08 21 01 08 09 c8 00 80 02 7b")
    );
    let mut damaged = transaction(0x1d, &packet);
    damaged[9] ^= 0x40;
    for bytes in [damaged, transaction(0x1e, &packet), transaction(0x1d, &packet)] {
        far.write_all(&bytes).unwrap();
        // One read has to be one transaction, as the real queue has it.
        wait_until(|| ioctl_fionread(&far).unwrap() == 0);
    }
    assert_eq!(client.message(), (9, b"\x20abc".to_vec()));
    // No such bus: the answer cannot be sent, and what comes after it is taken as before.
    client.send(9, b"\x20answer");
    far.write_all(&transaction(0x1d, &packet)).unwrap();
    assert_eq!(client.message(), (9, b"\x20abc".to_vec()));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

fn connect(name: &str) -> Client {
    let mut socket = None;
    wait_until(|| {
        socket = try_connect(name);
        socket.is_some()
    });
    Client(socket.unwrap())
}

fn pec(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| if crc & 0x80 != 0 { crc << 1 ^ 7 } else { crc << 1 })
    })
}
