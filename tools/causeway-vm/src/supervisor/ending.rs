//! The end of a machine whose BMC ends: over its control socket (QMP), and by a signal if it does not obey.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use crate::places::Place;

/// How long QEMU may take to quit: it writes what disks have cached.
const QUIT_LIMIT: Duration = Duration::from_secs(10);
/// How long a killed process may take to end.
const KILL_LIMIT: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(10);
/// The most bytes that are read of what QEMU says before it quits.
const MOST_BYTES: u64 = 1 << 20;

/// QEMU's process, while it runs.
pub(crate) fn process(place: &Place) -> Option<u32> {
    let text = fs::read_to_string(place.guest_pid()).ok()?;
    let pid: u32 = text.trim().parse().ok()?;
    // A number is given to another process some time after the first has ended.
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let socket = place.socket("qmp").display().to_string().replace(',', ",,");
    let has_socket = line.windows(socket.len()).any(|part| part == socket.as_bytes());
    has_socket.then_some(pid)
}

/// Ends QEMU, if it runs. Nothing else may be connected to its control socket.
///
/// # Errors
///
/// A text, when it cannot be ended.
pub(crate) async fn end_guest(place: &Place) -> Result<(), String> {
    let pid = process(place);
    if pid.is_none() && !place.socket("qmp").exists() {
        return Ok(());
    }
    let quit = timeout(QUIT_LIMIT, quit(&place.socket("qmp"))).await;
    let has_quit = matches!(quit, Ok(Ok(())));
    let Some(pid) = pid else { return Ok(()) };
    if has_quit && until_ended(place, pid, QUIT_LIMIT).await {
        return Ok(());
    }
    if let Ok(raw) = i32::try_from(pid)
        && process(place) == Some(pid)
    {
        let _ended = kill(Pid::from_raw(raw), Signal::SIGKILL);
    }
    if until_ended(place, pid, KILL_LIMIT).await {
        Ok(())
    } else {
        Err(format!("QEMU (process {pid}) does not end after SIGKILL"))
    }
}

async fn until_ended(place: &Place, pid: u32, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    // One that nobody has waited for has no command line.
    while process(place) == Some(pid) {
        if Instant::now() >= end {
            return false;
        }
        sleep(INTERVAL).await;
    }
    true
}

/// Asks QEMU to quit, and waits until it has closed the connection.
async fn quit(socket: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(socket).await?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(MOST_BYTES));
    let mut line = Vec::new();
    // The greeting.
    reader.read_until(b'\n', &mut line).await?;
    writer.write_all(b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n").await?;
    while reader.read_until(b'\n', &mut line).await? > 0 {
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_machine_is_asked_to_quit_over_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { state: folder.path().into(), runtime: folder.path().into() };
        assert_eq!(end_guest(&place).await, Ok(()));
        let listener = UnixListener::bind(place.socket("qmp")).unwrap();
        let machine = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"{\"QMP\": {}}\r\n").await.unwrap();
            let mut asked = String::new();
            let mut lines = BufReader::new(stream);
            while !asked.contains("quit") {
                lines.read_line(&mut asked).await.unwrap();
            }
            asked
        });
        assert_eq!(end_guest(&place).await, Ok(()));
        assert!(machine.await.unwrap().contains("qmp_capabilities"));
    }

    #[test]
    fn a_process_that_is_no_machine_of_this_bmc_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { state: folder.path().into(), runtime: folder.path().into() };
        assert_eq!(process(&place), None);
        fs::write(place.guest_pid(), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(process(&place), None);
    }
}
