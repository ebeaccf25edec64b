//! libmctp's own demultiplexer at the other end of the line, in both directions.
//!
//! Its `mctp-demux-daemon` is named by `LIBMCTP_DEMUX_DAEMON`; without that the test is skipped, and
//! says so.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::daemon::{Client, Daemon, spawn, try_connect};
use crate::wire::{Wire, filler, wait_until};

/// Libmctp's name for its socket, which cannot be chosen.
const SOCKET: &str = "mctp-mux";

struct Libmctp(Child);

impl Drop for Libmctp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn messages_of_all_sizes_to_and_from_libmctp() {
    let Some(program) = std::env::var_os("LIBMCTP_DEMUX_DAEMON").map(PathBuf::from) else {
        eprintln!("skipped: LIBMCTP_DEMUX_DAEMON does not name libmctp's mctp-demux-daemon");
        return;
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
    let _libmctp = Libmctp(command.stderr(Stdio::null()).spawn().unwrap());
    let theirs_client = connect_to(SOCKET);
    theirs_client.send_raw(&[0x7e]);
    let client = daemon.client_without_line(0x7e);
    for len in [2, 16, 63, 64, 65, 128, 1000, 1024, 4096, 16_384, 65_000] {
        let question = filler(0x7e, len, 1);
        theirs_client.send(8, &question);
        assert_eq!(client.message(), (9, question), "{len} to us");
        let answer = filler(0x7e, len, 2);
        client.send(9, &answer);
        assert_eq!(theirs_client.message(), (8, answer), "{len} back");
    }
    // Libmctp's daemon calls everything a request, so ours keep their tags for a while.
    for len in [2, 64, 65, 4096, 65_000] {
        let request = filler(0x7e, len, 3);
        client.send(9, &request);
        assert_eq!(theirs_client.message(), (8, request), "{len} to them");
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
