//! Reloads of the configuration while clients are busy.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::daemon::{Client, Daemon};
use crate::wire::{FAR, wait_until};

/// PLDM.
const KIND: u8 = 1;

struct Configured {
    daemon: Daemon,
    file: PathBuf,
    _folder: TempDir,
}

impl Configured {
    fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("causeway.toml");
        std::fs::write(&file, text).unwrap();
        let mut daemon = Daemon::with(&["--config", file.to_str().unwrap()]);
        // The connection that found the daemon there has to be gone.
        daemon.settle();
        Self { daemon, file, _folder: folder }
    }

    fn hang_up(&self, text: &str) {
        replace(&self.file, text);
        let pid = Pid::from_raw(i32::try_from(self.daemon.pid()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    /// Whether a connection that is over the limit is closed, and others are not.
    fn admits_another(&mut self) -> bool {
        let client = self.daemon.connect();
        let _closed = client.try_send_raw(&[KIND]);
        self.daemon.settle();
        !client.is_ended()
    }
}

/// Replaces a file at once: the daemon reads all of it or all of the other one.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// A request of `client` by its number, with an instance id.
fn request(client: u8, instance: u8) -> Vec<u8> {
    vec![KIND, 0x80 | instance & 0x1f, client, 0x02]
}

fn response(request: &[u8]) -> Vec<u8> {
    let mut response = request.to_vec();
    response[1] &= 0x1f;
    response.push(0);
    response
}

/// Every client asks, the far end answers them all, and each gets its own answer.
fn round(daemon: &mut Daemon, clients: &[Client], instance: u8) {
    for (client, number) in clients.iter().zip(0..) {
        client.send(FAR, &request(number, instance));
    }
    for _ in clients {
        let asked = daemon.wire.message();
        let answer = response(&asked.bytes);
        daemon.wire.answer(&asked, &answer);
    }
    for (client, number) in clients.iter().zip(0..) {
        let expected = response(&request(number, instance));
        assert_eq!(client.message(), (FAR, expected), "client {number}");
    }
}

#[test]
fn reloads_lose_no_message_of_sixteen_clients() {
    let mut configured = Configured::start("");
    let clients = configured.daemon.clients(KIND, 16);
    for number in 0..60_u8 {
        let text = match number % 3 {
            0 => "[mctp]\nanswer-limit-ms = 9000\n[mctp.limits]\nclients = 8\n",
            1 => "[mctp]\nlearned-s = 60\n[mctp.limits]\nassemblies = 256\n",
            _ => "[mctp]\nlearned-s = 0\n",
        };
        configured.hang_up(text);
        round(&mut configured.daemon, &clients, number);
    }
    assert_eq!(configured.daemon.end(), Some(0));
}

#[test]
fn the_limit_of_clients_is_that_of_the_file() {
    let mut configured = Configured::start("[mctp.limits]\nclients = 3\n");
    let clients = configured.daemon.clients(KIND, 3);
    wait_until(|| !configured.admits_another());
    configured.hang_up("[mctp.limits]\nclients = 4\n");
    wait_until(|| configured.admits_another());
    configured.hang_up("[mctp.limits]\nclients = 1\n");
    wait_until(|| !configured.admits_another());
    round(&mut configured.daemon, &clients, 1);
    // A wrong one changes nothing.
    configured.hang_up("[mctp.limits]\nclients = 0\n");
    round(&mut configured.daemon, &clients, 2);
    assert!(!configured.admits_another());
}
