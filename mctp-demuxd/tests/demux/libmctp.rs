//! libmctp's own demultiplexer at the other end of the line, in both directions.
//!
//! Its `mctp-demux-daemon` is named by `LIBMCTP_DEMUX_DAEMON`; without that the test is skipped, and
//! says so.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::daemon::{Client, Daemon, spawn, try_connect};
use crate::wire::{Wire, filler, wait_until};

/// Libmctp's name for its socket, which cannot be chosen.
const SOCKET: &str = "mctp-mux";

/// The process, and its end of the line.
struct Libmctp(Child, #[expect(dead_code, reason = "held open")] Wire);

impl Drop for Libmctp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One of libmctp's daemons at a time, whichever process a test is in: its socket's name cannot be
/// chosen.
fn alone() -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libmctp.lock");
    let file = File::create(path).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}

/// A type that says nothing of requests and answers.
const PLAIN: u8 = 0x7d;

/// Our daemon and libmctp's, at the two ends of a line; `None` where there is no libmctp.
fn pair() -> Option<(Daemon, Libmctp)> {
    let Some(program) = std::env::var_os("LIBMCTP_DEMUX_DAEMON").map(PathBuf::from) else {
        eprintln!("skipped: LIBMCTP_DEMUX_DAEMON does not name libmctp's mctp-demux-daemon");
        return None;
    };
    // Two ptys, joined: what one master reads the other writes.
    let (ours, theirs) = (Wire::new(), Wire::new());
    let binding = format!("serial:{}", ours.path.display());
    let (child, socket) = spawn(&[&binding], "unix:path=/nonexistent");
    let theirs_path = theirs.path.clone();
    let _join = crate::wire::join(&ours, &theirs);
    let daemon = Daemon::take_over(child, socket, ours);
    let mut command = Command::new(program);
    command.args(["--eid", "9", "serial"]).arg(theirs_path);
    let child = command.stderr(Stdio::null()).spawn().unwrap();
    Some((daemon, Libmctp(child, theirs)))
}

#[test]
fn messages_of_all_sizes_to_and_from_libmctp() {
    let _alone = alone();
    let Some((daemon, _libmctp)) = pair() else { return };
    let theirs_client = connect_to(SOCKET);
    theirs_client.send_raw(&[PLAIN]);
    let client = daemon.client_without_line(PLAIN);
    for len in [2, 16, 63, 64, 65, 128, 1000, 1024, 4096, 16_384, 65_000] {
        let question = filler(PLAIN, len, 1);
        theirs_client.send(8, &question);
        assert_eq!(client.message(), (9, question), "{len} to us");
        let answer = filler(PLAIN, len, 2);
        client.send(9, &answer);
        assert_eq!(theirs_client.message(), (8, answer), "{len} back");
    }
    // Libmctp's daemon calls everything a request, so ours keep their tags for a while.
    for len in [2, 64, 65, 4096, 65_000] {
        let request = filler(PLAIN, len, 3);
        client.send(9, &request);
        assert_eq!(theirs_client.message(), (8, request), "{len} to them");
    }
}

#[test]
fn forty_pldm_round_trips_with_libmctp_wait_for_no_tag() {
    let _alone = alone();
    let Some((daemon, _libmctp)) = pair() else { return };
    let theirs_client = connect_to(SOCKET);
    theirs_client.send_raw(&[1]);
    let client = daemon.connect();
    client.send_raw(&[1]);
    for number in 0..40_u8 {
        let instance = number % 32;
        client.send(9, &[1, 0x80 | instance, 0, 2]);
        assert_eq!(theirs_client.message(), (8, vec![1, 0x80 | instance, 0, 2]));
        theirs_client.send(8, &[1, instance, 0, 2, 0, number]);
        assert_eq!(client.message(), (9, vec![1, instance, 0, 2, 0, number]));
    }
}

fn connect_to(name: &str) -> Client {
    let mut socket = None;
    wait_until(|| {
        socket = try_connect(name);
        socket.is_some()
    });
    Client(socket.unwrap())
}
