//! The kernel's own stack, through its sockets: clients of the demultiplexer socket work on a system
//! whose buses the kernel serves.
//!
//! Each type that somebody has registered for has one socket for requests that come in, and each
//! client one for those it sends, so that the kernel brings each answer to the client that asked.
//! The control protocol is left to whoever runs the kernel's side (`mctpd`).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mctp_proto::{Eid, LinkId, MessageType, Tag};
use sys::{MctpPeer, MctpSocket};
use tokio::task::JoinHandle;

use super::came_up;
use crate::demux::{ClientId, KernelMessage, KernelSend};
use crate::engine::Hub;

/// After how long a message for which the kernel had no tag or no room is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// A socket, and the task that reads it until this is dropped.
#[derive(Debug)]
struct Reader {
    socket: Arc<MctpSocket>,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The sockets of one `kernel:` binding.
#[derive(Debug)]
pub(crate) struct KernelLine {
    hub: Arc<Hub>,
    link: LinkId,
    network: u32,
    by_type: BTreeMap<MessageType, Reader>,
    by_client: BTreeMap<Option<ClientId>, Reader>,
}

/// What came of a message for the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KernelSent {
    /// It is gone, for good or bad.
    Done,
    /// To be tried again a little later.
    Busy,
}

impl KernelLine {
    /// Sends one message now; of no client, if it has gone.
    pub(crate) fn send(&mut self, client: Option<ClientId>, message: &KernelSend) -> KernelSent {
        let Some((&first, body)) = message.message.split_first() else {
            return KernelSent::Done;
        };
        let (network, tag) = message.answers.unwrap_or((self.network, Tag::default()));
        let peer = MctpPeer {
            network,
            eid: message.eid.0,
            kind: first,
            tag: tag.value(),
            tag_owner: message.answers.is_none(),
        };
        let sent = match message.answers {
            Some(_) => self.listener(MessageType::from_first_byte(first)),
            None => self.requester(client),
        };
        match sent.and_then(|reader| reader.socket.send(peer, body)) {
            Ok(()) => KernelSent::Done,
            Err(error) if is_busy(&error) => KernelSent::Busy,
            Err(error) => {
                tracing::debug!(eid = peer.eid, %error, "the kernel does not send");
                KernelSent::Done
            }
        }
    }

    /// Listens for the types that somebody has registered for, and no others.
    pub(crate) fn listen_for(&mut self, types: &[MessageType]) {
        self.by_type.retain(|kind, _| types.contains(kind));
        for &kind in types {
            if let Err(error) = self.listener(kind) {
                tracing::warn!(%kind, %error, "cannot take requests of this type");
            }
        }
    }

    /// Forgets the sockets of clients that are gone.
    pub(crate) fn keep_clients(&mut self, is_there: impl Fn(ClientId) -> bool) {
        self.by_client.retain(|id, _| id.is_none_or(&is_there));
    }

    fn listener(&mut self, kind: MessageType) -> io::Result<&Reader> {
        if !self.by_type.contains_key(&kind) {
            let reader = self.read(MctpSocket::bind(self.network, kind.value())?, None);
            self.by_type.insert(kind, reader);
        }
        self.by_type.get(&kind).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn requester(&mut self, client: Option<ClientId>) -> io::Result<&Reader> {
        if !self.by_client.contains_key(&client) {
            let reader = self.read(MctpSocket::new()?, client);
            self.by_client.insert(client, reader);
        }
        self.by_client.get(&client).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read(&self, socket: MctpSocket, client: Option<ClientId>) -> Reader {
        let socket = Arc::new(socket);
        let (hub, link) = (Arc::clone(&self.hub), self.link);
        let task = tokio::spawn(receive(hub, link, Arc::clone(&socket), client));
        Reader { socket, task }
    }
}

pub(super) async fn serve(hub: &Arc<Hub>, link: LinkId, network: u32) -> io::Error {
    // Tells at once whether this kernel has MCTP at all.
    if let Err(error) = MctpSocket::new() {
        return error;
    }
    let line = KernelLine {
        hub: Arc::clone(hub),
        link,
        network,
        by_type: BTreeMap::new(),
        by_client: BTreeMap::new(),
    };
    let stalled = hub.with(|engine| {
        engine.set_kernel_line(link, line);
        engine.stalled(link)
    });
    came_up(hub, link, None);
    loop {
        stalled.notified().await;
        tokio::time::sleep(RETRY).await;
        hub.with(|engine| engine.retry_kernel(link));
    }
}

async fn receive(hub: Arc<Hub>, link: LinkId, socket: Arc<MctpSocket>, client: Option<ClientId>) {
    let mut buffer = Vec::new();
    loop {
        let peer = match socket.receive(&mut buffer).await {
            Ok(peer) => peer,
            // The error of one message, as of an unreachable peer, ends no socket.
            Err(_) => {
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        buffer.insert(0, peer.kind);
        let message = KernelMessage {
            link,
            network: peer.network,
            eid: Eid(peer.eid),
            tag: Tag::from_bits(peer.tag),
            request: peer.tag_owner,
            client,
            message: &buffer,
        };
        hub.with(|engine| engine.kernel_message_in(message));
        tokio::task::yield_now().await;
    }
}

fn is_busy(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy)
}
