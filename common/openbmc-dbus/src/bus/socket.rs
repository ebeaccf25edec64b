//! A stream socket that reads ahead: one system call brings in as many messages as are waiting,
//! where the library's own socket reads each header and each body by itself.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown,
};
use sys::Device;
use tokio::io::Interest;
use zbus::Message;
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;

/// Bytes read ahead at most. Some tens of `execute()` messages; a larger message bypasses it.
const READ_AHEAD: usize = 16 * 1024;

/// Bytes that a connection keeps allocated for what was read ahead, as it is a rest most of the time.
const KEPT: usize = 4 * 1024;

thread_local! {
    /// What all connections read into: between two reads a connection keeps what it has not handed on, not a buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_AHEAD].into_boxed_slice());
}

/// The fixed part of a message's header, with the length of what follows it.
const HEADER: usize = 16;

/// Descriptors that may come with one message; the system closes those beyond.
const DESCRIPTORS: usize = 4;

/// A connected unix stream socket, reading ahead and writing several messages at once.
///
/// It is watched for input alone: a socket watched for room, too, wakes its owner each time that
/// the peer has read something.
#[derive(Debug)]
pub(crate) struct BufferedStream(Device);

impl BufferedStream {
    /// Takes over a connected socket.
    ///
    /// # Errors
    ///
    /// What the runtime says.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        Device::with_interest(socket, Interest::READABLE).map(Self)
    }
}

impl BufferedStream {
    /// What receives and what sends.
    pub(crate) fn halves(self) -> (Reader, Writer) {
        let socket = Arc::new(self.0);
        let reader = Reader {
            socket: Arc::clone(&socket),
            ahead: Vec::new(),
            start: 0,
            descriptors: Vec::new(),
        };
        let joined = Vec::new();
        (reader, Writer { socket, joined })
    }
}

impl Socket for BufferedStream {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (reader, writer) = self.halves();
        Split::new(reader, writer)
    }
}

/// The receiving half: `ahead[start..]` is read but not yet handed on.
#[derive(Debug)]
pub(crate) struct Reader {
    socket: Arc<Device>,
    ahead: Vec<u8>,
    start: usize,
    /// What came with the last message that begins in the buffer: the system ends a read after the
    /// bytes that descriptors were sent with.
    descriptors: Vec<OwnedFd>,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, out: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        if self.start == self.ahead.len() {
            self.start = 0;
            self.ahead.clear(); // holds if the read is cancelled
            if out.len() >= READ_AHEAD {
                return receive(&self.socket, out).await;
            }
            let (count, descriptors) = receive_ahead(&self.socket, out, &mut self.ahead).await?;
            if self.ahead.is_empty() {
                return Ok((count, descriptors));
            }
            self.descriptors = descriptors;
            return Ok((count, Vec::new()));
        }
        let ready = self.ahead.get(self.start..).unwrap_or_default();
        let count = ready.len().min(out.len());
        out[..count].copy_from_slice(&ready[..count]);
        self.start += count;
        if self.start < self.ahead.len() {
            return Ok((count, Vec::new()));
        }
        if self.ahead.capacity() > KEPT {
            self.ahead = Vec::new();
            self.start = 0;
        }
        Ok((count, mem::take(&mut self.descriptors)))
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

impl Reader {
    /// Reads what has arrived, behind what is in the buffer already. Cancel safe. Descriptors are closed.
    ///
    /// # Errors
    ///
    /// What the socket says, and `UnexpectedEof` when the peer has closed it.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.ahead.drain(..self.start);
        self.start = 0;
        let ahead = &mut self.ahead;
        let read = |fd: BorrowedFd<'_>| {
            SCRATCH.with_borrow_mut(|scratch| {
                let count = rustix::io::read(fd, &mut scratch[..])?;
                ahead.extend_from_slice(scratch.get(..count).unwrap_or_default());
                Ok::<_, io::Error>((count, count < scratch.len()))
            })
        };
        match self.socket.read_by(read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next message that has arrived as a whole, of at most `longest` bytes: the peer need not be believed when
    /// it announces how long a message will be.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a longer message.
    pub(crate) fn next_message(&mut self, longest: usize) -> io::Result<Option<&[u8]>> {
        let arrived = self.ahead.get(self.start..).unwrap_or_default();
        let Some(header) = arrived.first_chunk() else { return Ok(None) };
        let length = announced(header).filter(|length| *length <= longest);
        let length = length.ok_or(io::ErrorKind::InvalidData)?;
        let message = arrived.get(..length);
        self.start += message.map_or(0, <[u8]>::len);
        Ok(message)
    }
}

/// A message as the library reads it, from all of its bytes.
///
/// # Errors
///
/// What the library says of bytes that are no message.
pub(crate) async fn parse(message: &[u8]) -> zbus::Result<Message> {
    NoSocket.receive_message(0, &mut message.to_vec(), &mut Vec::new()).await
}

/// There is nothing to receive: the bytes are there already.
#[derive(Debug)]
struct NoSocket;

#[async_trait]
impl ReadHalf for NoSocket {
    async fn recvmsg(&mut self, _: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        Ok((0, Vec::new()))
    }
}

/// How long the message is that begins with `header` (D-Bus specification, "Message Format"): the
/// header with the length of its fields, the fields filled up to a multiple of 8, and the body.
fn announced(header: &[u8; HEADER]) -> Option<usize> {
    let number = |at: usize| {
        let bytes = header.get(at..)?.first_chunk()?;
        let number = match header.first()? {
            b'l' => u32::from_le_bytes(*bytes),
            _ => u32::from_be_bytes(*bytes),
        };
        usize::try_from(number).ok()
    };
    let (body, fields) = (number(4)?, number(12)?);
    fields.checked_next_multiple_of(8)?.checked_add(body)?.checked_add(HEADER)
}

/// How many bytes were read, and the descriptors that came with them.
type Received = (usize, Vec<OwnedFd>);

/// Reads once, as much as is there.
async fn receive(socket: &Device, buffer: &mut [u8]) -> io::Result<Received> {
    socket.read_by(|fd| receive_now(fd, &mut *buffer)).await
}

/// The same, beyond `out` into `ahead`.
async fn receive_ahead(
    socket: &Device,
    out: &mut [u8],
    ahead: &mut Vec<u8>,
) -> io::Result<Received> {
    let read = |fd: BorrowedFd<'_>| -> io::Result<(Received, bool)> {
        SCRATCH.with_borrow_mut(|scratch| {
            let ((count, descriptors), is_drained) = receive_now(fd, scratch)?;
            let read = scratch.get(..count).unwrap_or_default();
            let (first, rest) = read.split_at(count.min(out.len()));
            out[..first.len()].copy_from_slice(first);
            ahead.extend_from_slice(rest);
            Ok::<_, io::Error>(((first.len(), descriptors), is_drained))
        })
    };
    socket.read_by(read).await
}

/// What [`receive`] returns, and whether nothing is left to read.
fn receive_now(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(Received, bool)> {
    let room = buffer.len();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = rustix::net::recvmsg(fd, &mut slices, &mut control, flags)?;
    let descriptors: Vec<_> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        })
        .flatten()
        .collect();
    let drained = received.bytes < room && descriptors.is_empty();
    Ok(((received.bytes, descriptors), drained))
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct Writer {
    socket: Arc<Device>,
    /// Scratch space in which several messages are joined for one write.
    joined: Vec<u8>,
}

impl Writer {
    /// Writes as much of `bytes` as there is room for, and waits for room when there is none. Cancel safe.
    ///
    /// # Errors
    ///
    /// What the socket says.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        send(&self.socket, bytes, &[]).await
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// What the socket says.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

#[async_trait]
impl WriteHalf for Writer {
    async fn send_messages(&mut self, messages: &[Message]) -> zbus::Result<()> {
        let alone = |message: &Message| !message.data().fds().is_empty();
        for group in messages.chunk_by(|a, b| !alone(a) && !alone(b)) {
            match group {
                [message] if alone(message) => self.send_message(message).await?,
                [message] => self.write_all(message.data()).await?,
                several => {
                    let mut joined = mem::take(&mut self.joined);
                    joined.clear();
                    for message in several {
                        joined.extend_from_slice(message.data());
                    }
                    self.write_all(&joined).await?;
                    joined.shrink_to(READ_AHEAD);
                    self.joined = joined;
                }
            }
        }
        Ok(())
    }

    async fn sendmsg(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        send(&self.socket, bytes, fds).await
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&*self.socket, Shutdown::Write)?)
    }
}

/// Writes as much of `bytes` as there is room for, and waits for room when there is none.
async fn send(socket: &Device, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    match send_now(socket.as_fd(), bytes, fds) {
        Err(Errno::AGAIN | Errno::INTR) => {
            socket.when_writable(|fd| Ok(send_now(fd, bytes, fds)?)).await
        }
        result => Ok(result?),
    }
}

fn send_now(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    if fds.is_empty() {
        return rustix::net::send(socket, bytes, flags);
    }
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG);
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use zbus::Fd;

    use super::*;

    /// A connected pair of streams.
    fn pair() -> (BufferedStream, BufferedStream) {
        let (near, far) = UnixStream::pair().unwrap();
        let stream = |socket: UnixStream| BufferedStream::new(socket.into()).unwrap();
        (stream(near), stream(far))
    }

    fn signal(number: u32) -> Message {
        Message::signal("/", "a.b", "Number").build(&number).unwrap()
    }

    async fn receive(reader: &mut Reader) -> Message {
        reader.receive_message(0, &mut Vec::new(), &mut Vec::new()).await.unwrap()
    }

    fn numbers(messages: &[Message]) -> Vec<u32> {
        let number = |message: &Message| message.body().deserialize().unwrap();
        messages.iter().map(number).collect()
    }

    #[tokio::test]
    async fn descriptors_come_with_their_message() {
        let (near, far) = pair();
        let (mut reader, mut writer) = (near.halves().0, far.halves().1);
        let (mut ours, sent) = UnixStream::pair().unwrap();
        let descriptor = Message::signal("/", "a.b", "Descriptor").build(&Fd::from(&sent)).unwrap();
        let messages = [signal(1), signal(2), descriptor, signal(3)];
        writer.send_messages(&messages).await.unwrap();
        let before = [receive(&mut reader).await, receive(&mut reader).await];
        assert_eq!(numbers(&before), [1, 2]);
        assert!(before.iter().all(|message| message.data().fds().is_empty()));
        let with = receive(&mut reader).await;
        let received: zbus::OwnedFd = with.body().deserialize().unwrap();
        assert_eq!(numbers(&[receive(&mut reader).await]), [3]);
        let received: std::os::fd::OwnedFd = received.into();
        rustix::io::write(received, b"x").unwrap();
        let mut byte = [0];
        ours.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x");
    }

    async fn next(reader: &mut Reader, longest: usize) -> io::Result<Message> {
        loop {
            if let Some(message) = reader.next_message(longest)? {
                return Ok(parse(message).await.unwrap());
            }
            reader.fill().await?;
        }
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_refused_by_its_header() {
        let (near, far) = pair();
        let (mut reader, writer) = (near.halves().0, far.halves().1);
        let message = signal(7);
        let length = message.data().len();
        for _ in 0..2 {
            writer.write_all(message.data()).await.unwrap();
        }
        assert_eq!(numbers(&[next(&mut reader, length).await.unwrap()]), [7]);
        assert!(next(&mut reader, length - 1).await.is_err());
        // Nothing but the header of a message of 4 GiB.
        let (near, far) = pair();
        let (mut reader, writer) = (near.halves().0, far.halves().1);
        writer.write_all(&[b'l', 4, 0, 1]).await.unwrap();
        writer.write_all(&[0xff; 12]).await.unwrap();
        assert!(next(&mut reader, length).await.is_err());
    }

    #[tokio::test]
    async fn messages_arrive_whole_however_they_are_cut_and_however_long() {
        let (near, far) = pair();
        let (mut reader, writer) = (near.halves().0, far.halves().1);
        let long = vec![0x5a_u8; 2 * READ_AHEAD];
        let long = Message::signal("/", "a.b", "Bytes").build(&long).unwrap();
        let sent = [signal(1), long.clone(), signal(2), signal(3)];
        let bytes: Vec<_> = sent.iter().flat_map(|message| message.data().to_vec()).collect();
        let writing = async {
            for part in bytes.chunks(1001) {
                writer.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let reading = async {
            for message in &sent {
                let received = next(&mut reader, long.data().len()).await.unwrap();
                assert_eq!(received.data().bytes(), message.data().bytes());
            }
        };
        tokio::join!(writing, reading);
    }

    #[tokio::test]
    async fn a_peer_that_reads_late_loses_nothing() {
        let (near, far) = pair();
        let (mut reader, mut writer) = (near.halves().0, far.halves().1);
        let count = 20_000; // far more than the system holds for the peer
        let messages: Vec<_> = (0..count).map(signal).collect();
        let writing = async {
            for batch in messages.chunks(100) {
                writer.send_messages(batch).await.unwrap();
            }
        };
        let reading = async {
            let mut received = Vec::new();
            while received.len() < messages.len() {
                received.push(receive(&mut reader).await);
            }
            received
        };
        let ((), received) = tokio::join!(writing, reading);
        assert_eq!(numbers(&received), (0..count).collect::<Vec<_>>());
    }
}
