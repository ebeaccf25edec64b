//! `sol attach`: the host's console on this terminal.
//!
//! obmc-console serves several clients, so that this program is one more of them. Other consoles have one client, which
//! is netipmid: it gives this program a socket with its output.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, SocketAddr};
use std::thread;

use clap::Args;
use openbmc_dbus::ipmi::sol_payload;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::escape::Escape;
use super::{Payload, Which};
use crate::bus::Bus;
use crate::error::Error;
use crate::output::{self, Report};

/// Bytes moved at a time.
const BUFFER: usize = 4096;

/// Attach to the host's console from the BMC itself; ~. at the start of a line detaches
///
/// Shows what the host prints, and with --write sends what is typed (~~ is one ~). A SOL session over LAN goes on as it
/// is: both see the output, and both may type. Without a terminal, input is sent as it is up to its end.
#[derive(Args, Debug)]
pub(crate) struct Attach {
    #[command(flatten)]
    pub(super) which: Which,
    /// Send what is typed to the host too
    #[arg(long)]
    write: bool,
}

/// A piece of the host's output, as JSON.
#[derive(Serialize)]
struct Output<'a> {
    output: &'a str,
}

/// The end, as JSON.
#[derive(Serialize)]
struct Ended {
    ended: End,
    received: u64,
    sent: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    /// By `~.`, or by a signal.
    Detached,
    /// Input or output of this program has ended.
    Closed,
    /// The console has ended the connection.
    ConsoleClosed,
}

pub(super) async fn run(
    attach: &Attach,
    bus: &Bus,
    payload: &Payload,
    json: bool,
) -> Result<Report, Error> {
    let stream = connect(bus, payload, attach.write).await?;
    if !json {
        let Payload { channel, console, .. } = payload;
        let mode = if attach.write { "" } else { ", read-only" };
        let is_connected = if payload.connected { "" } else { "; it is not connected now" };
        let text = format!(
            "[console {console} of channel {channel}{mode}{is_connected}; ~. at the start of a line detaches]\n"
        );
        // A closed stream has no reader.
        let _closed = io::stderr().write_all(text.as_bytes());
    }
    let terminal = Terminal::enter(attach.write)?;
    let keys = (attach.write || terminal.is_some()).then(keys);
    let escape = terminal.is_some().then_some(Escape::LineStart);
    let mut session = Session { stream, escape, write: attach.write, json, received: 0, sent: 0 };
    let ended = session.serve(keys).await;
    drop(terminal);
    let Session { received, sent, .. } = session;
    let ended = ended.map_err(|error| Error::failed(format_args!("the console: {error}")))?;
    match ended {
        End::ConsoleClosed if !json => {
            Err(Error::failed("the host's console has ended the connection")
                .remedy("causewayctl sol status"))
        }
        ended => {
            let report = Report::new(&Ended { ended, received, sent }, |_| {});
            Ok(report.failed_if(matches!(ended, End::ConsoleClosed)))
        }
    }
}

async fn connect(bus: &Bus, payload: &Payload, write: bool) -> Result<UnixStream, Error> {
    let console = &payload.console;
    let failed = |error: &dyn std::fmt::Display| {
        Error::failed(format_args!("cannot attach to the console {console}: {error}"))
    };
    let stream = match console.strip_prefix("abstract:") {
        Some(name) => SocketAddr::from_abstract_name(name)
            .and_then(|address| net::UnixStream::connect_addr(&address))
            .map_err(|error| failed(&error).remedy("systemctl status 'obmc-console*'"))?,
        None => {
            let call = bus.client().call(&payload.object, sol_payload::ATTACH, &(write,)).await;
            let descriptor: zbus::OwnedFd = call.map_err(|error| failed(&error))?;
            net::UnixStream::from(std::os::fd::OwnedFd::from(descriptor))
        }
    };
    let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
    stream.map_err(|error| failed(&error))
}

/// What is typed, read by a thread, because a terminal that others share cannot be made non-blocking. It ends with the
/// program.
fn keys() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let mut buffer = [0; BUFFER];
        while let Ok(count @ 1..) = io::stdin().lock().read(&mut buffer) {
            let keys = buffer.get(..count).unwrap_or_default().to_vec();
            if sender.blocking_send(keys).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The terminal of standard input, which is set back when this is dropped.
struct Terminal {
    terminal: File,
    before: Termios,
}

impl Terminal {
    /// Sets the terminal so that keys come one by one; `None` where there is none. With `raw`, keys such as ^C are
    /// input too.
    fn enter(raw: bool) -> Result<Option<Self>, Error> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let set = || {
            let terminal = File::from(io::stdin().as_fd().try_clone_to_owned()?);
            let before = tcgetattr(&terminal)?;
            let mut during = before.clone();
            if raw {
                during.make_raw();
            } else {
                during.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
                during.special_codes[SpecialCodeIndex::VMIN] = 1;
                during.special_codes[SpecialCodeIndex::VTIME] = 0;
            }
            tcsetattr(&terminal, OptionalActions::Now, &during)?;
            Ok(Self { terminal, before })
        };
        set()
            .map(Some)
            .map_err(|error: io::Error| Error::failed(format_args!("the terminal: {error}")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no setting.
        let _gone = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// One attachment.
struct Session {
    stream: UnixStream,
    /// On a terminal.
    escape: Option<Escape>,
    write: bool,
    json: bool,
    received: u64,
    sent: u64,
}

impl Session {
    async fn serve(&mut self, mut keys: Option<mpsc::Receiver<Vec<u8>>>) -> io::Result<End> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let typed = async {
                match &mut keys {
                    Some(keys) => keys.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = self.stream.read(&mut buffer) => match read {
                    Ok(0) => return Ok(End::ConsoleClosed),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                        return Ok(End::ConsoleClosed);
                    }
                    read => {
                        if !self.show(buffer.get(..read?).unwrap_or_default())? {
                            return Ok(End::Closed);
                        }
                    }
                },
                typed = typed => match typed {
                    Some(typed) => {
                        if self.typed(&typed).await? {
                            return Ok(End::Detached);
                        }
                    }
                    None => return Ok(End::Closed),
                },
                () = any(&mut interrupt, &mut terminate, &mut hangup) => return Ok(End::Detached),
            }
        }
    }

    /// Shows output; `false` once standard output is closed.
    fn show(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.received += bytes.len() as u64;
        let text = String::from_utf8_lossy(bytes);
        let json = self.json.then(|| output::json(&Output { output: &text }));
        let bytes = json.as_ref().map_or(bytes, |json| json.as_bytes());
        let mut output = io::stdout().lock();
        match output.write_all(bytes).and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Sends keys; `true` if they detach.
    async fn typed(&mut self, keys: &[u8]) -> io::Result<bool> {
        let mut out = Vec::new();
        let detaches = match &mut self.escape {
            Some(escape) => escape.take(keys, &mut out),
            None => {
                out.extend_from_slice(keys);
                false
            }
        };
        if self.write {
            self.stream.write_all(&out).await?;
            self.sent += out.len() as u64;
        }
        Ok(detaches)
    }
}

/// Waits for one of the signals.
async fn any(one: &mut Signal, two: &mut Signal, three: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = two.recv() => {}
        _ = three.recv() => {}
    }
}
