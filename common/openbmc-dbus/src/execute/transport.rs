//! The transports of messages: a connection to the bus, and a direct link.

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tracing::debug;
use zbus::connection::socket::WriteHalf;
use zbus::{Connection, Message, MessageStream};

use crate::bus::socket::{Reader, Writer};

/// Messages that may wait to be written together.
pub(super) const BATCH: usize = super::MAX_IN_FLIGHT;

/// The longest message on a direct link; far more than any request or response has.
const LONGEST: usize = 64 * 1024;

/// Where messages come from.
pub(super) enum Incoming {
    Bus(Box<MessageStream>),
    Direct(Reader),
}

impl From<&Connection> for Incoming {
    fn from(connection: &Connection) -> Self {
        Self::Bus(Box::new(MessageStream::from(connection)))
    }
}

impl Incoming {
    /// The next message; `None` once there is no further one. Not cancel safe.
    pub(super) async fn next(&mut self) -> Option<Message> {
        match self {
            Self::Bus(stream) => stream.next().await?.ok(),
            Self::Direct(reader) => reader
                .receive_bounded(LONGEST)
                .await
                .inspect_err(|error| debug!(%error, "a direct link ends"))
                .ok(),
        }
    }
}

/// Where messages go.
pub(super) enum Outgoing {
    Bus(Connection),
    Direct(Writer),
}

impl Outgoing {
    /// Writes the queued messages, as many as possible in one system call, until all senders are dropped or the
    /// peer closes.
    pub(super) async fn write_queued(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let written = match &mut self {
                Self::Bus(connection) => connection.send_all(&batch).await,
                Self::Direct(writer) => writer.send_messages(&batch).await,
            };
            if let Err(error) = written {
                debug!(%error, "cannot write to the peer; closing");
                return;
            }
            batch.clear();
        }
    }
}
