//! What is sent on the links: frames are put together as a device takes them.

use std::fmt::Debug;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use mctp_proto::packet::Header;
use mctp_proto::{Address, LinkId, MessageType};
use sys::Device;
use tokio::sync::Notify;

use super::Engine;
use crate::capture::Direction;
use crate::demux::{ClientId, KernelSend};

/// Bytes of frames written at once, when so many wait.
const CHUNK: usize = 8 * 1024;

/// Bytes that a device may take in one turn. The other end may read as fast as they are written: then clients would not be
/// served before all that waits is out.
const TURN: usize = 4 * CHUNK;

/// Puts packets into frames of a medium.
pub(crate) trait Framing: Debug + Send {
    /// Whether frames can follow each other in one write; otherwise each is a write of its own.
    const STREAM: bool;

    /// Appends a frame. The MTU of a link is checked against its medium at the start, so that all
    /// packets fit.
    fn emit(&self, address: Address, header: [u8; Header::LEN], payload: &[u8], out: &mut Vec<u8>);
}

/// [`Framing`] as a trait object.
trait AnyFraming: Debug + Send {
    fn is_stream(&self) -> bool;
    fn emit(&self, address: Address, header: [u8; Header::LEN], payload: &[u8], out: &mut Vec<u8>);
}

impl<F: Framing> AnyFraming for F {
    fn is_stream(&self) -> bool {
        F::STREAM
    }

    fn emit(&self, address: Address, header: [u8; Header::LEN], payload: &[u8], out: &mut Vec<u8>) {
        Framing::emit(self, address, header, payload, out);
    }
}

/// The result of sending a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sent {
    /// It is sent, or cannot be.
    Done,
    /// To be tried again a little later.
    Busy,
}

/// An output that takes whole messages.
pub(crate) trait MessageOutput: Debug + Send {
    /// Sends one message now, of a client that may have disconnected.
    fn send(&mut self, client: Option<ClientId>, message: &KernelSend) -> Sent;

    /// Takes requests of these types, and no others.
    fn listen_for(&mut self, types: &[MessageType]);

    /// Forgets clients that have disconnected.
    fn retain_clients(&mut self, is_connected: &dyn Fn(ClientId) -> bool);
}

/// Where what is sent on a link goes.
#[derive(Debug)]
pub(crate) struct Output(Kind);

#[derive(Debug)]
enum Kind {
    Frames(Arc<Device>, Box<dyn AnyFraming>),
    Messages(Box<dyn MessageOutput>),
    Transfers,
}

impl Output {
    /// Frames written to a device.
    pub(crate) fn frames(device: Arc<Device>, framing: impl Framing + 'static) -> Self {
        Self(Kind::Frames(device, Box::new(framing)))
    }

    /// Whole messages.
    pub(crate) fn messages(output: impl MessageOutput + 'static) -> Self {
        Self(Kind::Messages(Box::new(output)))
    }

    /// Packets that the binding itself takes ([`Engine::next_transfer`]), because transfers block.
    pub(crate) const fn transfers() -> Self {
        Self(Kind::Transfers)
    }
}

/// The sending side of a link, beside the demultiplexer.
#[derive(Debug, Default)]
pub(super) struct Transmitter {
    /// `None` while the link is down.
    pub(super) output: Option<Output>,
    /// Messages for which the output had no tag or no room, at most one of each sender.
    pub(super) refused: Vec<KernelSend>,
    pub(super) staging: Vec<u8>,
    pub(super) written: usize,
    /// The device takes nothing at present; the task that drains it is notified.
    pub(super) is_stalled: bool,
    pub(super) stalled: Arc<Notify>,
}

impl Transmitter {
    fn has_staged(&self) -> bool {
        self.written < self.staging.len()
    }

    pub(super) fn messages(&mut self) -> Option<&mut Box<dyn MessageOutput>> {
        match &mut self.output {
            Some(Output(Kind::Messages(messages))) => Some(messages),
            _ => None,
        }
    }
}

impl Engine {
    /// Writes what waits for a device, at most [`TURN`] bytes of it; `WouldBlock` when it takes no more.
    pub(crate) fn write_frames(&mut self, link: LinkId, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut written = 0;
        loop {
            let filled = self.fill(link);
            let Some(transmitter) = self.transmitter(link) else {
                return Ok(());
            };
            if !filled || written >= TURN {
                transmitter.is_stalled = false;
                return Ok(());
            }
            let rest = transmitter.staging.get(transmitter.written..).unwrap_or_default();
            match rustix::io::write(fd, rest) {
                Ok(len) => {
                    transmitter.written += len;
                    written += len;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next packet for a bus whose transfers block: address, header and payload.
    pub(crate) fn next_transfer(
        &mut self,
        link: LinkId,
    ) -> Option<(Address, [u8; Header::LEN], Vec<u8>)> {
        let mut next = None;
        let Self { demux, sockets, capture, now, .. } = self;
        demux.next_packet(*now, link, sockets, &mut |address, header, payload| {
            capture.write(Direction::Out, link, address, &[&header, payload]);
            next = Some((address, header, payload.to_vec()));
        });
        if next.is_none()
            && let Some(transmitter) = self.transmitter(link)
        {
            transmitter.is_stalled = false;
        }
        next
    }

    pub(super) fn wants_flush(&self) -> bool {
        self.transmitters.iter().enumerate().any(|(index, transmitter)| {
            let link = LinkId(u8::try_from(index).unwrap_or_default());
            !transmitter.is_stalled
                && (!transmitter.refused.is_empty()
                    || transmitter.has_staged()
                    || self.demux.wants_to_send(link))
        })
    }

    /// Writes what waits for the links; gives whether one of them would take more in its next turn.
    pub(super) fn flush(&mut self) -> bool {
        for index in 0..self.transmitters.len() {
            let link = LinkId(u8::try_from(index).unwrap_or_default());
            let Some(transmitter) = self.transmitter(link).filter(|t| !t.is_stalled) else {
                continue;
            };
            let (done, stalls) = match &transmitter.output {
                Some(Output(Kind::Messages(_))) => (self.flush_messages(link), true),
                // Whatever the error is, the task that drains the device meets it.
                Some(Output(Kind::Frames(device, _))) => {
                    let device = Arc::clone(device);
                    (self.write_frames(link, device.as_fd()).is_ok(), true)
                }
                // Transfers block, and are made by the binding's own task, which says when it has taken all packets. Until
                // then the flusher has nothing to do: it would run for ever, and no other task beside it.
                Some(Output(Kind::Transfers)) => (false, true),
                None => (false, false),
            };
            if let Some(transmitter) = self.transmitter(link).filter(|_| !done) {
                transmitter.is_stalled = stalls;
                transmitter.stalled.notify_one();
            }
        }
        self.wants_flush()
    }

    /// Gives whether everything was taken. A sender whose message was refused has to wait, and no
    /// other.
    fn flush_messages(&mut self, link: LinkId) -> bool {
        let Self { demux, sockets, transmitters, now, .. } = self;
        let Some(transmitter) = transmitters.get_mut(usize::from(link.0)) else {
            return true;
        };
        let mut again = std::mem::take(&mut transmitter.refused).into_iter();
        let Some(messages) = transmitter.messages() else {
            return true;
        };
        let mut refused: Vec<KernelSend> = Vec::new();
        loop {
            let waits = |sender| refused.iter().any(|other| other.sender == sender);
            let next =
                again.next().or_else(|| demux.next_kernel_message(*now, link, waits, sockets));
            let Some(next) = next else { break };
            let client = next.sender.filter(|id| demux.has_client(*id));
            if messages.send(client, &next) == Sent::Busy {
                refused.push(next);
            }
        }
        transmitter.refused = refused;
        transmitter.refused.is_empty()
    }

    /// Fills the staging buffer once all in it is written; gives whether there is anything.
    fn fill(&mut self, link: LinkId) -> bool {
        let Self { demux, sockets, transmitters, capture, now, .. } = self;
        let Some(transmitter) = transmitters.get_mut(usize::from(link.0)) else {
            return false;
        };
        if transmitter.has_staged() {
            return true;
        }
        transmitter.staging.clear();
        transmitter.written = 0;
        let Some(Output(Kind::Frames(_, framing))) = &transmitter.output else {
            return false;
        };
        let (staging, stream) = (&mut transmitter.staging, framing.is_stream());
        let mut full = false;
        while !full
            && demux.next_packet(*now, link, sockets, &mut |address, header, payload| {
                capture.write(Direction::Out, link, address, &[&header, payload]);
                framing.emit(address, header, payload, staging);
                full = !stream || staging.len() >= CHUNK;
            })
        {}
        transmitter.has_staged()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use mctp_proto::packet::Header;
    use mctp_proto::{Address, BASELINE_MTU, Eid, LinkId, Medium};
    use sys::Device;

    use super::{Framing, Output, TURN};
    use crate::capture::Capture;
    use crate::config::QueueLimits;
    use crate::demux::{ClientId, Demux, LinkKind, Settings};
    use crate::engine::{EngineHandle, Port};

    /// A message that wants no answer: PLDM.
    const DATAGRAM: [u8; 5] = [9, 1, 0xc0, 2, 0x0a];

    /// A serial link and a client of type 1.
    fn link_and_client() -> (Port, ClientId) {
        let mut settings = Settings { clients: 1, ..Settings::default() };
        settings.identity.static_eid = Some(Eid(8));
        let kind = LinkKind::Packets(Medium::Serial, BASELINE_MTU);
        let demux = Demux::new(settings, vec![("bus".to_owned(), kind)]);
        let queue = QueueLimits { bytes: 16, messages: 16 };
        let handle = EngineHandle::new(demux, queue, Capture::default());
        let port = Port::new(handle, LinkId(0));
        let client = port.with(|engine, _| engine.demux.register(&[1]).unwrap());
        (port, client)
    }

    fn send(port: &Port, client: ClientId, message: &[u8]) {
        port.with(|engine, _| {
            engine.demux.client_message(engine.now, client, message, &mut engine.sockets)
        });
    }

    /// Packets without frames.
    #[derive(Debug)]
    struct Bare;

    impl Framing for Bare {
        const STREAM: bool = true;

        fn emit(&self, _: Address, _: [u8; Header::LEN], payload: &[u8], out: &mut Vec<u8>) {
            out.extend_from_slice(payload);
        }
    }

    #[tokio::test]
    async fn a_device_that_takes_all_has_its_turn_and_no_more() {
        let (near, _far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let sink = File::create("/dev/null").unwrap();
        let (port, client) = link_and_client();
        port.up(Output::frames(Arc::new(Device::new(near.into()).unwrap()), Bare));
        let mut message = vec![0; 65_536];
        message[..DATAGRAM.len()].copy_from_slice(&DATAGRAM);
        send(&port, client, &message);
        let turn = || port.with(|engine, link| engine.write_frames(link, sink.as_fd())).unwrap();
        let turns = std::iter::repeat_with(turn)
            .take_while(|()| port.with(|engine, _| engine.wants_flush()))
            .count();
        assert_eq!(turns, message.len() / TURN - 1);
    }

    #[test]
    fn packets_that_wait_for_a_transfer_give_the_flusher_nothing_more_to_do() {
        let (port, client) = link_and_client();
        port.up(Output::transfers());
        for _ in 0..2 {
            send(&port, client, &DATAGRAM);
            assert!(port.with(|engine, _| engine.wants_flush()));
            port.with(|engine, _| engine.flush());
            assert!(!port.with(|engine, _| engine.wants_flush()));
            let transfer = || port.with(|engine, link| engine.next_transfer(link));
            assert!(transfer().is_some() && transfer().is_none());
        }
    }
}
