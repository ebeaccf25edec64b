//! The demultiplexer with its sockets and devices, shared by all tasks of the one thread.
//!
//! Every task works on the [`Engine`] through [`EngineHandle::with`] and never awaits in there. What
//! has to be sent on a link ([`transmit`]) is written by the flusher once the tasks that were ready
//! have had their turn, so that messages that came together leave in one write. The engine knows no
//! medium: each binding gives it an [`Output`].

mod transmit;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use daemon::lock;
use mctp_proto::{Address, DropReason, LinkId, MessageType};
use rustix::net::RecvFlags;
use sys::Device;
use tokio::io::Interest;
use tokio::sync::Notify;

use self::transmit::Transmitter;
pub(crate) use self::transmit::{Framing, MessageOutput, Output, Sent};
use crate::capture::{Capture, Direction};
use crate::config::QueueLimits;
use crate::demux::{Change, ClientId, Demux, KernelMessage, LinkState, Progress, Refusal};
use crate::sockets::Sockets;

/// Work for one client, in bytes, after which others have their turn.
const TURN: usize = 4096;

/// What the work for a message is beside its bytes.
const MESSAGE: usize = 256;

/// An EID, the largest message, and one byte by which a larger one shows.
const CLIENT_BUFFER: usize = mctp_proto::MAX_MESSAGE + 2;

/// The demultiplexer, its sockets and its devices.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) demux: Demux,
    pub(crate) sockets: Sockets,
    transmitters: Vec<Transmitter>,
    pub(crate) capture: Capture,
    buffer: Vec<u8>,
    now: Duration,
    /// When the timer will go off.
    armed: Option<Duration>,
}

/// The result of reading a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    /// There may be more.
    More,
    /// There is nothing more.
    Drained,
    /// Nothing more is to be read until the client is resumed.
    Held,
    /// The client has disconnected.
    Ended,
}

/// The engine behind its lock. There is one thread, so the lock is always free.
#[derive(Debug)]
pub(crate) struct EngineHandle {
    engine: Mutex<Engine>,
    start: Instant,
    flush: Notify,
    timer: Notify,
    changed: Notify,
    /// Wakes the task that keeps assignments.
    assigned: Notify,
    /// Wakes the tasks that wait for an endpoint to be found.
    found: Notify,
    /// Wakes the tasks that wait for the answer to a ping.
    pinged: Notify,
}

impl EngineHandle {
    pub(crate) fn new(demux: Demux, queue: QueueLimits, capture: Capture) -> Arc<Self> {
        let transmitters = demux.links().iter().map(|_| Transmitter::default()).collect();
        let engine = Engine {
            demux,
            sockets: Sockets::new(queue),
            transmitters,
            capture,
            buffer: vec![0; CLIENT_BUFFER],
            now: Duration::ZERO,
            armed: None,
        };
        Arc::new(Self {
            engine: Mutex::new(engine),
            start: Instant::now(),
            flush: Notify::new(),
            timer: Notify::new(),
            changed: Notify::new(),
            assigned: Notify::new(),
            found: Notify::new(),
            pinged: Notify::new(),
        })
    }

    /// Looks at the engine, without the consequences that [`with`](Self::with) sees to.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&Engine) -> R) -> R {
        look(&lock(&self.engine))
    }

    /// Works on the engine, and wakes the tasks for which that makes work.
    pub(crate) fn with<R>(self: &Arc<Self>, work: impl FnOnce(&mut Engine) -> R) -> R {
        let mut engine = lock(&self.engine);
        engine.now = self.start.elapsed();
        let result = work(&mut engine);
        if engine.wants_flush() {
            self.flush.notify_one();
        }
        let due = engine.demux.poll_timeout();
        if due.is_some_and(|due| engine.armed.is_none_or(|armed| due < armed)) {
            engine.armed = due;
            self.timer.notify_one();
        }
        if engine.demux.has_changes() {
            self.changed.notify_one();
        }
        if engine.demux.take_owner_advanced() {
            self.assigned.notify_one();
            self.found.notify_waiters();
        }
        if engine.demux.take_pinged() {
            self.pinged.notify_waiters();
        }
        for (id, socket) in engine.sockets.take_filling() {
            tokio::spawn(drain_client(Arc::clone(self), id, socket));
        }
        result
    }

    /// Does what is due, for ever.
    pub(crate) async fn run_timer(self: Arc<Self>) {
        loop {
            let armed = self.with(|engine| engine.armed);
            let due = armed.map(|due| self.start + due);
            tokio::select! {
                () = daemon::sleep_until(due) => self.with(|engine| {
                    engine.armed = None;
                    engine.demux.handle_timeout(engine.now, &mut engine.sockets);
                    engine.armed = engine.demux.poll_timeout();
                }),
                () = self.timer.notified() => {}
            }
        }
    }

    /// Writes what waits for the links, for ever.
    pub(crate) async fn run_flusher(self: Arc<Self>) {
        loop {
            self.flush.notified().await;
            if self.with(Engine::flush) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits until what is assigned may have changed.
    pub(crate) async fn assignments_changed(&self) {
        self.assigned.notified().await;
    }

    /// Waits until the bus owner has heard of an endpoint, or has waited for one in vain.
    pub(crate) fn bus_owner_advances(&self) -> tokio::sync::futures::Notified<'_> {
        self.found.notified()
    }

    /// Waits until a ping was answered.
    pub(crate) fn ping_answered(&self) -> tokio::sync::futures::Notified<'_> {
        self.pinged.notified()
    }

    /// Waits until endpoints or this endpoint's id have changed.
    pub(crate) async fn changes(self: &Arc<Self>) -> Vec<Change> {
        loop {
            self.changed.notified().await;
            let changes = self.with(|engine| engine.demux.take_changes());
            if !changes.is_empty() {
                return changes;
            }
        }
    }
}

/// Gives a client what waits for it as its socket has room, until nothing waits.
async fn drain_client(handle: Arc<EngineHandle>, id: ClientId, socket: Arc<Device>) {
    let drained = socket.when_writable(|_| handle.with(|engine| engine.sockets.drain(id)));
    if let Err(error) = drained.await {
        tracing::warn!(client = id.0, %error, "cannot wait for room in a client's socket; disconnecting it");
        handle.with(|engine| engine.remove_client(id));
    }
}

/// What a binding works with: the engine, and the link that the binding serves.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    handle: Arc<EngineHandle>,
    link: LinkId,
}

impl Port {
    pub(crate) fn new(handle: Arc<EngineHandle>, link: LinkId) -> Self {
        Self { handle, link }
    }

    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Engine, LinkId) -> R) -> R {
        self.handle.with(|engine| work(engine, self.link))
    }

    /// A device is open: messages for it are taken from now on.
    pub(crate) fn up(&self, output: Output) {
        self.with(|engine, link| {
            engine.link_up(link, output);
            tracing::info!(binding = engine.link_name(link), "open");
        });
    }

    /// The device has failed; gives whether the link was up.
    pub(crate) fn down(&self) -> bool {
        self.with(Engine::link_down)
    }

    /// Notified when the device takes nothing more, or (on media whose transfers block) when there is
    /// something to transfer.
    pub(crate) fn stalled(&self) -> Arc<Notify> {
        self.with(|engine, link| {
            let transmitter = engine.transmitter(link);
            transmitter.map(|transmitter| Arc::clone(&transmitter.stalled)).unwrap_or_default()
        })
    }
}

impl Engine {
    /// Sends what the bus owner was just made to ask.
    pub(crate) fn drain_owner(&mut self) {
        self.demux.drain_owner(self.now);
    }

    /// The time on the demultiplexer's clock.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// What passed over a link, and whether it is up.
    pub(crate) fn link(&self, link: LinkId) -> Option<&LinkState> {
        self.demux.links().get(usize::from(link.0))
    }

    pub(crate) fn link_name(&self, link: LinkId) -> &str {
        self.link(link).map_or("", |link| &link.name)
    }

    /// Adds a client whose first message was `first`.
    pub(crate) fn register(
        &mut self,
        first: &[u8],
        socket: &Arc<Device>,
    ) -> Result<(ClientId, Arc<Notify>), Refusal> {
        let id = self.demux.register(first)?;
        self.listen_for_types();
        Ok((id, self.sockets.add(id, Arc::clone(socket))))
    }

    pub(crate) fn remove_client(&mut self, id: ClientId) {
        self.demux.remove_client(self.now, id);
        self.sockets.remove(id);
        self.listen_for_types();
        let Self { transmitters, demux, .. } = self;
        for messages in transmitters.iter_mut().filter_map(Transmitter::messages) {
            messages.retain_clients(&|id| demux.has_client(id));
        }
    }

    /// Takes what a client has sent, one turn's worth at most; gives how much work that was.
    pub(crate) fn read_client(&mut self, id: ClientId, socket: &Device) -> (Reading, usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut work = 0;
        let mut reading = Reading::More;
        while reading == Reading::More && work < TURN {
            reading = self.read_client_once(id, socket, &mut buffer, &mut work);
        }
        self.buffer = buffer;
        (reading, work)
    }

    /// Takes one message, and adds what work it was.
    fn read_client_once(
        &mut self,
        id: ClientId,
        socket: &Device,
        buffer: &mut [u8],
        work: &mut usize,
    ) -> Reading {
        if !self.demux.has_client(id) {
            return Reading::Ended;
        }
        let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
        let received =
            socket.try_io(Interest::READABLE, |fd| Ok(rustix::net::recv(fd, &mut *buffer, flags)?));
        let len = match received {
            Ok((_, len @ 1..)) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Reading::Drained,
            Ok(_) | Err(_) => return Reading::Ended,
        };
        *work += MESSAGE + len;
        let bytes = buffer.get(..len).unwrap_or(buffer);
        match self.demux.client_message(self.now, id, bytes, &mut self.sockets) {
            Progress::Taken => Reading::More,
            Progress::Held => Reading::Held,
        }
    }

    /// Takes a packet from a link, without its framing.
    pub(crate) fn packet_in(&mut self, link: LinkId, address: Address, packet: &[u8]) {
        self.capture.write(Direction::In, link, address, &[packet]);
        self.demux.handle_packet(self.now, link, address, packet, &mut self.sockets);
    }

    /// A frame was no packet.
    pub(crate) fn frame_dropped(&mut self, link: LinkId, reason: DropReason) {
        self.demux.drop_frame(link, reason);
    }

    /// Takes a message from the kernel's stack.
    pub(crate) fn kernel_message_in(&mut self, message: KernelMessage<'_>) {
        let link = message.link;
        self.demux.handle_kernel_message(self.now, message, &mut self.sockets);
        self.retry_refused(link);
    }

    fn link_up(&mut self, link: LinkId, output: Output) {
        if let Some(transmitter) = self.transmitter(link) {
            transmitter.output = Some(output);
            transmitter.is_stalled = false;
        }
        self.listen_for_types();
        self.demux.set_link_up(self.now, link, true, &mut self.sockets);
    }

    /// Gives whether the link was up.
    fn link_down(&mut self, link: LinkId) -> bool {
        if let Some(transmitter) = self.transmitter(link) {
            let stalled = Arc::clone(&transmitter.stalled);
            *transmitter = Transmitter { stalled, ..Transmitter::default() };
        }
        let was_up = self.link(link).is_some_and(|link| link.up);
        self.demux.set_link_up(self.now, link, false, &mut self.sockets);
        was_up
    }

    /// Tries again what a device refused for lack of tags or room.
    pub(crate) fn retry_refused(&mut self, link: LinkId) {
        if let Some(transmitter) = self.transmitter(link) {
            transmitter.is_stalled = false;
        }
    }

    fn transmitter(&mut self, link: LinkId) -> Option<&mut Transmitter> {
        self.transmitters.get_mut(usize::from(link.0))
    }

    /// Has links that carry messages take the types that clients have registered for.
    fn listen_for_types(&mut self) {
        let types: Vec<MessageType> = self.demux.types().collect();
        for messages in self.transmitters.iter_mut().filter_map(Transmitter::messages) {
            messages.listen_for(&types);
        }
    }
}
