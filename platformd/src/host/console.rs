//! The serial line of a simulated host: it dials the socket at which the console is listened for, as a QEMU does.

use std::collections::VecDeque;
use std::future;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use daemon::{AbortOnDrop, Outage};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time;
use tracing::{info, warn};

use crate::config;

/// Time between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);
/// Output that waits for a connection, at most; beyond that the oldest is dropped.
const MOST_PENDING: usize = 65_536;
/// Bytes read at a time; what is typed is dropped.
const BUFFER: usize = 256;

/// The console, whose task runs until this is dropped.
pub(crate) struct SimulatedConsole {
    script: Vec<String>,
    commands: UnboundedSender<Command>,
    _task: AbortOnDrop,
}

#[derive(Debug)]
enum Command {
    Print(String),
    Lose(bool),
}

impl SimulatedConsole {
    /// The console of the platform's file; `None` if it has none.
    pub(crate) fn open(config: &config::Console) -> Option<Self> {
        let path = config.path.clone()?;
        // Bounded by the script, a line of which is sent at most once in each start.
        let (commands, received) = mpsc::unbounded_channel();
        let line = Line::new(path);
        let script = config.script.iter().map(|(_, text)| text.clone()).collect();
        Some(Self { script, commands, _task: AbortOnDrop::spawn(line.run(received)) })
    }

    /// Prints a line of the script.
    pub(crate) fn print(&self, line: usize) {
        if let Some(text) = self.script.get(line) {
            // The task runs as long as this.
            let _ = self.commands.send(Command::Print(text.clone()));
        }
    }

    /// Disconnects the console, or lets it connect again.
    pub(crate) fn lose(&self, is_lost: bool) {
        let _ = self.commands.send(Command::Lose(is_lost));
    }
}

/// The connection.
struct Line {
    path: PathBuf,
    stream: Option<UnixStream>,
    pending: VecDeque<u8>,
    is_lost: bool,
    outage: Outage,
}

impl Line {
    fn new(path: PathBuf) -> Self {
        let (stream, pending, outage) = (None, VecDeque::new(), Outage::new());
        Self { path, stream, pending, is_lost: false, outage }
    }

    async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        self.connect().await;
        loop {
            let is_retrying = self.stream.is_none() && !self.is_lost;
            tokio::select! {
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Print(text)) => self.push(&text),
                    Some(Command::Lose(is_lost)) => self.lose(is_lost).await,
                },
                done = transfer(self.stream.as_ref(), &mut self.pending) => if done.is_err() {
                    self.stream = None;
                },
                () = time::sleep(RETRY), if is_retrying => self.connect().await,
            }
        }
    }

    fn push(&mut self, text: &str) {
        // A line that is disconnected transmits all the same.
        if !self.is_lost {
            self.pending.extend(text.bytes());
            let surplus = self.pending.len().saturating_sub(MOST_PENDING);
            self.pending.drain(..surplus);
        }
    }

    async fn lose(&mut self, is_lost: bool) {
        self.is_lost = is_lost;
        if is_lost {
            self.stream = None;
            self.pending.clear();
        } else if self.stream.is_none() {
            self.connect().await;
        }
    }

    async fn connect(&mut self) {
        match UnixStream::connect(&self.path).await {
            Ok(stream) => {
                if self.outage.end() {
                    info!(path = %self.path.display(), "the simulated host's console is connected");
                }
                self.stream = Some(stream);
            }
            Err(error) if self.outage.begin() => warn!(
                path = %self.path.display(), %error,
                "cannot connect the simulated host's console; retrying every second"
            ),
            Err(_) => {}
        }
    }
}

/// Moves bytes once; never ends without a connection. Cancel safe.
async fn transfer(stream: Option<&UnixStream>, pending: &mut VecDeque<u8>) -> io::Result<()> {
    let Some(stream) = stream else { return future::pending().await };
    let mut typed = [0; BUFFER];
    let writable = async {
        if pending.is_empty() {
            return future::pending().await;
        }
        stream.writable().await
    };
    tokio::select! {
        ready = stream.readable() => {
            ready?;
            match stream.try_read(&mut typed) {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(error),
            }
        }
        ready = writable => {
            ready?;
            match stream.try_write(pending.as_slices().0) {
                Ok(count) => {
                    pending.drain(..count);
                    Ok(())
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(error),
            }
        }
    }
}
