//! The kernel's own stack, through its sockets: clients of the demultiplexer socket work on a system
//! whose buses the kernel serves.
//!
//! Each type that a client has registered for has one socket for requests that come in, and each
//! client one for those it sends, so that the kernel brings each answer to the client that asked. A
//! request to which several answers may come (NVMe-MI, "More Processing Required") has its tag
//! allocated beforehand where the kernel can do that (`SIOCMCTPALLOCTAG2`), and given back with the
//! last answer. The control protocol is left to what manages the kernel's side (`mctpd`).

mod held_tags;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem};

use daemon::AbortOnDrop;
use mctp_proto::protocols::{Reading, has_intermediate_answers};
use mctp_proto::{Eid, Medium, MessageType, Tag};
use sys::{MctpPeer, MctpSocket};

use self::held_tags::{HeldTag, HeldTags};
use super::{Binding, Options, Serving};
use crate::demux::{ClientId, KernelMessage, KernelSend};
use crate::engine::{MessageOutput, Output, Port, Sent};

/// After how long a message for which the kernel had no tag or no room is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// The kernel's stack, on one of its networks.
#[derive(Debug)]
pub(super) struct Kernel {
    network: u32,
}

impl Kernel {
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        let network = options.what().parse().map_err(|_| "the network is no number")?;
        Ok(Self { network })
    }

    async fn run(&self, port: &Port) -> io::Error {
        // Shows at once whether this kernel has MCTP at all.
        if let Err(error) = MctpSocket::new() {
            return error;
        }
        let tags = Arc::new(HeldTags::default());
        let sockets = Sockets {
            port: port.clone(),
            network: self.network,
            tags: Arc::clone(&tags),
            by_type: BTreeMap::new(),
            by_client: BTreeMap::new(),
            is_forbidden: false,
        };
        let stalled = port.stalled();
        port.up(Output::messages(sockets));
        loop {
            tokio::select! {
                () = stalled.notified() => {
                    tokio::time::sleep(RETRY).await;
                    port.with(|engine, link| engine.retry_refused(link));
                }
                () = tags.expire() => {}
            }
        }
    }
}

impl Binding for Kernel {
    fn medium(&self) -> Option<Medium> {
        None
    }

    /// The kernel gives the requests of a type on a network to one socket.
    fn devices(&self) -> Vec<PathBuf> {
        vec![PathBuf::from(format!("kernel:{}", self.network))]
    }

    fn serve<'a>(&'a mut self, port: &'a Port) -> Serving<'a> {
        Box::pin(self.run(port))
    }
}

/// A socket, and the task that reads it until this is dropped.
#[derive(Debug)]
struct Reader {
    socket: Arc<MctpSocket>,
    _task: AbortOnDrop,
}

/// The sockets of one `kernel:` binding.
#[derive(Debug)]
struct Sockets {
    port: Port,
    network: u32,
    tags: Arc<HeldTags>,
    by_type: BTreeMap<MessageType, Reader>,
    by_client: BTreeMap<Option<ClientId>, Reader>,
    /// Whether it was logged that this process may not send.
    is_forbidden: bool,
}

impl MessageOutput for Sockets {
    fn send(&mut self, client: Option<ClientId>, message: &KernelSend) -> Sent {
        let Some((&first, body)) = message.message.split_first() else {
            return Sent::Done;
        };
        match self.try_send(client, message, first, body) {
            Ok(()) => Sent::Done,
            Err(error) if is_busy(&error) => Sent::Busy,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if !mem::replace(&mut self.is_forbidden, true) {
                    tracing::warn!("nothing is sent: the kernel demands CAP_NET_RAW for it");
                }
                Sent::Done
            }
            Err(error) => {
                tracing::debug!(eid = message.eid.0, %error, "the kernel does not send");
                Sent::Done
            }
        }
    }

    fn listen_for(&mut self, types: &[MessageType]) {
        self.by_type.retain(|kind, _| types.contains(kind));
        for &kind in types {
            if let Err(error) = self.listener(kind) {
                tracing::warn!(%kind, %error, "cannot take requests of this type from the kernel");
            }
        }
    }

    fn retain_clients(&mut self, is_connected: &dyn Fn(ClientId) -> bool) {
        self.by_client.retain(|id, _| id.is_none_or(is_connected));
    }
}

impl Sockets {
    fn try_send(
        &mut self,
        client: Option<ClientId>,
        message: &KernelSend,
        first: u8,
        body: &[u8],
    ) -> io::Result<()> {
        let kind = MessageType::from_first_byte(first);
        let mut peer = MctpPeer {
            network: self.network,
            eid: message.eid.0,
            kind: first,
            tag: 0,
            tag_owner: true,
            allocated: false,
        };
        if let Some((network, tag)) = message.answers {
            peer = MctpPeer { network, tag: tag.value(), tag_owner: false, ..peer };
            return self.listener(kind)?.socket.send(peer, body);
        }
        let socket = Arc::clone(&self.requester(client)?.socket);
        if !has_intermediate_answers(kind) {
            return socket.send(peer, body);
        }
        match socket.allocate_tag(self.network, peer.eid) {
            Ok(tag) => peer = MctpPeer { tag, allocated: true, ..peer },
            // An older kernel: its tag lasts for one answer.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error),
        }
        let sent = socket.send(peer, body);
        if peer.allocated {
            if sent.is_ok() {
                self.tags.add(HeldTag::new(socket, peer, message.limit));
            } else {
                socket.drop_tag(peer);
            }
        }
        sent
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
        let (port, tags) = (self.port.clone(), Arc::clone(&self.tags));
        let task = AbortOnDrop::spawn(receive(port, tags, Arc::clone(&socket), client));
        Reader { socket, _task: task }
    }
}

async fn receive(
    port: Port,
    tags: Arc<HeldTags>,
    socket: Arc<MctpSocket>,
    client: Option<ClientId>,
) {
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
        if !peer.tag_owner {
            tags.answered(&socket, peer, Reading::of(&buffer));
        }
        port.with(|engine, link| {
            engine.kernel_message_in(KernelMessage {
                link,
                network: peer.network,
                eid: Eid(peer.eid),
                tag: Tag::from_bits(peer.tag),
                request: peer.tag_owner,
                client,
                message: &buffer,
            });
        });
        tokio::task::yield_now().await;
    }
}

fn is_busy(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy)
}
