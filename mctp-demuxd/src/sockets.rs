//! The clients' sockets: what is for them goes out at once, or waits in a bounded queue.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use mctp_proto::Eid;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, send, sendmsg, shutdown};
use sys::Device;
use tokio::sync::Notify;

use crate::config::QueueLimits;
use crate::demux::{ClientId, Outlet};

/// One client's side of the daemon.
#[derive(Debug)]
struct ClientSocket {
    socket: Arc<Device>,
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    resume: Arc<Notify>,
}

/// All clients' sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    clients: BTreeMap<ClientId, ClientSocket>,
    limits: QueueLimits,
    /// Clients whose queue has just begun to fill.
    filling: Vec<(ClientId, Arc<Device>)>,
}

impl Sockets {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self { clients: BTreeMap::new(), limits, filling: Vec::new() }
    }

    /// Sets what may wait for a client from now on; what waits already stays.
    pub(crate) const fn set_limits(&mut self, limits: QueueLimits) {
        self.limits = limits;
    }

    /// Adds a client; what is given back is notified when the client may be read again.
    pub(crate) fn add(&mut self, id: ClientId, socket: Arc<Device>) -> Arc<Notify> {
        let resume = Arc::new(Notify::new());
        let (queue, queued_bytes) = (VecDeque::new(), 0);
        let client = ClientSocket { socket, queue, queued_bytes, resume: Arc::clone(&resume) };
        self.clients.insert(id, client);
        resume
    }

    pub(crate) fn remove(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(&id) {
            // Ends the task that reads it, if that has not ended by itself.
            let _ = shutdown(&*client.socket, Shutdown::Both);
            client.resume.notify_one();
        }
    }

    /// Clients whose queue has begun to fill since the last call, and has to be drained.
    pub(crate) fn take_filling(&mut self) -> Vec<(ClientId, Arc<Device>)> {
        std::mem::take(&mut self.filling)
    }

    /// Sends what waits for a client.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is still no room for all of it.
    pub(crate) fn drain(&mut self, id: ClientId) -> std::io::Result<()> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        while let Some(next) = client.queue.front() {
            match send(&*client.socket, next, FLAGS) {
                Err(error) if no_room(error) => return Err(Errno::AGAIN.into()),
                // Sent, or the client has disconnected, which the task that reads it will find.
                _ => {
                    client.queued_bytes -= next.len();
                    client.queue.pop_front();
                }
            }
        }
        Ok(())
    }

    /// Messages and bytes that wait for a client.
    pub(crate) fn queued(&self, id: ClientId) -> (usize, usize) {
        self.clients.get(&id).map_or((0, 0), |client| (client.queue.len(), client.queued_bytes))
    }
}

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

fn no_room(error: Errno) -> bool {
    [Errno::AGAIN, Errno::NOBUFS, Errno::INTR].contains(&error)
}

impl Outlet for Sockets {
    fn deliver(&mut self, id: ClientId, eid: Eid, message: &[u8]) -> bool {
        let Some(client) = self.clients.get_mut(&id) else {
            return true;
        };
        if client.queue.is_empty() {
            let parts = [IoSlice::new(std::slice::from_ref(&eid.0)), IoSlice::new(message)];
            let mut nothing = SendAncillaryBuffer::default();
            match sendmsg(&*client.socket, &parts, &mut nothing, FLAGS) {
                Err(error) if no_room(error) => {
                    self.filling.push((id, Arc::clone(&client.socket)));
                }
                _ => return true,
            }
        }
        let len = 1 + message.len();
        let full = client.queue.len() >= self.limits.messages
            || (!client.queue.is_empty() && client.queued_bytes + len > self.limits.bytes);
        if full {
            self.remove(id);
            return false;
        }
        let mut bytes = Vec::with_capacity(len);
        bytes.push(eid.0);
        bytes.extend_from_slice(message);
        client.queued_bytes += len;
        client.queue.push_back(bytes);
        true
    }

    fn resume(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get(&id) {
            client.resume.notify_one();
        }
    }
}
