//! A stream socket that reads ahead: one system call brings in as many messages as are waiting,
//! where the library's own socket reads each header and each body by itself.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use zbus::{
    Message,
    connection::socket::{ReadHalf, Socket, Split, WriteHalf},
    export::async_trait::async_trait,
};

/// Bytes read ahead at most. Some tens of `execute()` messages; a larger message bypasses it.
const READ_AHEAD: usize = 16 * 1024;

/// A connected unix stream socket, reading ahead and writing several messages at once.
#[derive(Debug)]
pub(super) struct BufferedStream(UnixStream);

impl BufferedStream {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }
}

impl Socket for BufferedStream {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (read, write) = self.0.into_split();
        let buffer = vec![0; READ_AHEAD].into_boxed_slice();
        Split::new(
            Reader {
                read,
                buffer,
                start: 0,
                end: 0,
            },
            Writer {
                write,
                joined: Vec::new(),
            },
        )
    }
}

/// The receiving half: `buffer[start..end]` is read but not yet handed on.
#[derive(Debug)]
pub(super) struct Reader {
    read: OwnedReadHalf,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, out: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        if self.start == self.end {
            if out.len() >= self.buffer.len() {
                return Ok((self.read.read(out).await?, Vec::new()));
            }
            self.start = 0;
            self.end = 0; // holds if the read is cancelled
            self.end = self.read.read(&mut self.buffer).await?;
        }
        let ready = &self.buffer[self.start..self.end];
        let count = ready.len().min(out.len());
        out[..count].copy_from_slice(&ready[..count]);
        self.start += count;
        Ok((count, Vec::new()))
    }
}

/// The sending half.
#[derive(Debug)]
pub(super) struct Writer {
    write: OwnedWriteHalf,
    /// Scratch space in which several messages are joined for one write.
    joined: Vec<u8>,
}

#[async_trait]
impl WriteHalf for Writer {
    async fn send_messages(&mut self, messages: &[Message]) -> zbus::Result<()> {
        if let [message] = messages {
            return Ok(self.write.write_all(message.data()).await?);
        }
        self.joined.clear();
        for message in messages {
            self.joined.extend_from_slice(message.data());
        }
        self.write.write_all(&self.joined).await?;
        self.joined.shrink_to(READ_AHEAD);
        Ok(())
    }

    async fn sendmsg(&mut self, bytes: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.write.write(bytes).await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.write.shutdown().await
    }
}
