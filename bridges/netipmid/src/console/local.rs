//! Programs on the BMC that are attached to the host's console, beside the payload instances.
//!
//! Each has a stream socket. Output comes from the same ring as that of viewers: a program that reads too slowly
//! loses output, and delays neither the host nor a remote console.

use std::future;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::task::{Context, Poll};

use tokio::net::UnixStream;
use tracing::info;

use super::PayloadInstances;

/// Programs attached at a time.
const MAX: usize = 4;

/// Characters moved at a time.
const BUFFER: usize = 4096;

/// What a program gets in place of output that was overwritten before it was read.
const LOST: &[u8] = b"\r\n[output lost]\r\n";

/// The attached programs.
#[derive(Debug, Default)]
pub struct LocalConsoles {
    consoles: Vec<LocalConsole>,
}

/// One attached program.
#[derive(Debug)]
struct LocalConsole {
    stream: UnixStream,
    /// Whether what it sends is input for the host.
    writes: bool,
    /// The position up to which it was given output.
    position: u64,
    /// Output that is to be written.
    pending: Vec<u8>,
}

impl LocalConsoles {
    /// How many programs are attached.
    #[must_use]
    pub fn len(&self) -> u8 {
        u8::try_from(self.consoles.len()).unwrap_or(u8::MAX)
    }

    /// Whether no program is attached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.consoles.is_empty()
    }

    /// Attaches a program; returns its end of the connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::QuotaExceeded`] when too many are attached; when there are no descriptors.
    pub fn attach(&mut self, instances: &PayloadInstances, writes: bool) -> io::Result<OwnedFd> {
        if self.consoles.len() == MAX {
            return Err(ErrorKind::QuotaExceeded.into());
        }
        let (ours, theirs) = net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let stream = UnixStream::from_std(ours)?;
        let position = instances.scrollback();
        self.consoles.push(LocalConsole { stream, writes, position, pending: Vec::new() });
        info!(
            writes,
            attached = self.consoles.len(),
            "a program on the BMC is attached to the console"
        );
        Ok(theirs.into())
    }

    /// Waits until one of them can be served, with output up to the position `head`, and room for so much input.
    /// Returns it for [`transfer`](Self::transfer). Cancel safe.
    pub async fn ready(&self, head: u64, room: usize) -> usize {
        future::poll_fn(|context| {
            let mut consoles = self.consoles.iter();
            match consoles.position(|console| console.is_ready(context, head, room)) {
                Some(index) => Poll::Ready(index),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Moves characters between the program `index` and the console once.
    pub fn transfer(&mut self, index: usize, instances: &mut PayloadInstances) {
        let Some(console) = self.consoles.get_mut(index) else { return };
        console.write(instances);
        if let Err(error) = console.read(instances) {
            let writes = console.writes;
            self.consoles.remove(index);
            info!(writes, %error, attached = self.consoles.len(), "a program on the BMC is detached from the console");
        }
    }
}

impl LocalConsole {
    fn is_ready(&self, context: &mut Context<'_>, head: u64, room: usize) -> bool {
        let has_output = self.position < head || !self.pending.is_empty();
        let reads = !self.writes || room > 0;
        // An error is found by the transfer.
        has_output && self.stream.poll_write_ready(context).is_ready()
            || reads && self.stream.poll_read_ready(context).is_ready()
    }

    fn write(&mut self, instances: &PayloadInstances) {
        if self.pending.is_empty() && self.position < instances.output_len() {
            let mut output = Vec::new();
            let first = instances.read_output(self.position, BUFFER, &mut output);
            if first > self.position {
                self.pending.extend_from_slice(LOST);
            }
            self.position = first + output.len() as u64;
            self.pending.append(&mut output);
        }
        if self.pending.is_empty() {
            return;
        }
        match self.stream.try_write(&self.pending) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // It reads no more; what it has sent is still read, up to the end.
            Err(_) => {
                self.pending.clear();
                self.position = u64::MAX;
            }
        }
    }

    fn read(&mut self, instances: &mut PayloadInstances) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        let room = if self.writes { instances.local_input().room().min(BUFFER) } else { BUFFER };
        let Some(buffer) = buffer.get_mut(..room).filter(|buffer| !buffer.is_empty()) else {
            return Ok(());
        };
        match self.stream.try_read(buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                if self.writes {
                    instances.local_input().push(buffer.get(..count).unwrap_or_default());
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Duration;

    use super::*;
    use crate::console::{HostInput, Settings, SolSection};

    fn instances() -> PayloadInstances {
        let section = SolSection { ring: 8192, scrollback: 8, ..SolSection::default() };
        PayloadInstances::new(&section, Settings::default())
    }

    fn attach(
        consoles: &mut LocalConsoles,
        instances: &PayloadInstances,
        writes: bool,
    ) -> net::UnixStream {
        consoles.attach(instances, writes).unwrap().into()
    }

    /// Serves until nothing can be done for a while.
    async fn settle(consoles: &mut LocalConsoles, instances: &mut PayloadInstances) {
        let wait = Duration::from_millis(50);
        loop {
            let ready = consoles.ready(instances.output_len(), instances.local_input().room());
            let Ok(index) = tokio::time::timeout(wait, ready).await else { return };
            consoles.transfer(index, instances);
        }
    }

    #[tokio::test]
    async fn output_goes_to_all_from_the_scrollback_on() {
        let (mut consoles, mut instances) = (LocalConsoles::default(), instances());
        instances.handle_output(b"0123456789abcdef");
        let mut ends = [false, true].map(|writes| attach(&mut consoles, &instances, writes));
        settle(&mut consoles, &mut instances).await;
        instances.handle_output(b"more");
        settle(&mut consoles, &mut instances).await;
        for end in &mut ends {
            let mut output = [0; 12];
            end.read_exact(&mut output).unwrap();
            assert_eq!(&output, b"89abcdefmore");
        }
    }

    #[tokio::test]
    async fn input_is_that_of_writers_alone_and_ends_with_its_program() {
        let (mut consoles, mut instances) = (LocalConsoles::default(), instances());
        let mut ends = [false, true].map(|writes| attach(&mut consoles, &instances, writes));
        for end in &mut ends {
            end.write_all(b"typed").unwrap();
        }
        settle(&mut consoles, &mut instances).await;
        assert_eq!(instances.host_input(), Some(HostInput::Chars(b"typed")));
        instances.consume(5);
        assert_eq!(instances.input_len(), 5);
        assert_eq!(instances.host_input(), None);
        drop(ends);
        settle(&mut consoles, &mut instances).await;
        assert!(consoles.is_empty());
    }

    #[tokio::test]
    async fn a_slow_reader_loses_output_and_delays_nobody() {
        let (mut consoles, mut instances) = (LocalConsoles::default(), instances());
        let mut end = attach(&mut consoles, &instances, false);
        for _ in 0..1000 {
            assert!(instances.room() > 0);
            instances.handle_output(&[b'.'; 1024]);
            let ready = consoles.ready(instances.output_len(), instances.local_input().room());
            if let Ok(index) = tokio::time::timeout(Duration::from_millis(1), ready).await {
                consoles.transfer(index, &mut instances);
            }
        }
        end.set_nonblocking(true).unwrap();
        let mut output = Vec::new();
        loop {
            match end.read_to_end(&mut output) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => panic!("{read:?}"),
            }
            let before = output.len();
            settle(&mut consoles, &mut instances).await;
            let _ = end.read_to_end(&mut output);
            if output.len() == before {
                break;
            }
        }
        assert!(output.windows(LOST.len()).any(|part| part == LOST));
        assert!(output.len() < 1_024_000);
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_holds_at_most_room_of_input() {
        let (mut consoles, mut instances) = (LocalConsoles::default(), instances());
        let mut end = attach(&mut consoles, &instances, true);
        end.write_all(&[b'x'; 10_000]).unwrap();
        settle(&mut consoles, &mut instances).await;
        assert_eq!(instances.local_input().room(), 0);
        let mut count = 0;
        while let Some(HostInput::Chars(chars)) = instances.host_input() {
            let len = chars.len();
            instances.consume(len);
            count += len;
            settle(&mut consoles, &mut instances).await;
        }
        assert_eq!(count, 10_000);
    }

    #[tokio::test]
    async fn input_of_a_program_that_has_ended_arrives_whole() {
        let (mut consoles, mut instances) = (LocalConsoles::default(), instances());
        instances.handle_output(b"output that nobody reads");
        let mut end = attach(&mut consoles, &instances, true);
        end.write_all(b"reboot\r").unwrap();
        drop(end);
        settle(&mut consoles, &mut instances).await;
        assert_eq!(instances.host_input(), Some(HostInput::Chars(b"reboot\r")));
        assert!(consoles.is_empty());
    }

    #[tokio::test]
    async fn no_more_than_the_most_are_attached() {
        let (mut consoles, instances) = (LocalConsoles::default(), instances());
        let _ends: Vec<_> = (0..MAX).map(|_| attach(&mut consoles, &instances, false)).collect();
        let refused = consoles.attach(&instances, false).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::QuotaExceeded);
    }
}
