//! What messages travel over: a connection to the bus, or a direct link.

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tracing::debug;
use zbus::connection::socket::WriteHalf;
use zbus::{Connection, Message, MessageStream};

use crate::bus::socket::{Reader, Writer};

/// The most messages that one system call writes.
pub(super) const BATCH: usize = super::MAX_IN_FLIGHT;

/// The longest message on a direct link, in bytes; far more than any request or response has.
const MAX_MESSAGE: usize = 64 * 1024;

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
    /// The next message; `None` once the transport is closed. Not cancel safe.
    pub(super) async fn next(&mut self) -> Option<Message> {
        match self {
            Self::Bus(stream) => stream.next().await?.ok(),
            Self::Direct(reader) => reader
                .receive_bounded(MAX_MESSAGE)
                .await
                .inspect_err(|error| debug!(%error, "closing a direct link"))
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
    /// Writes queued messages, as many in one system call as are queued, until the queue or the
    /// transport closes.
    pub(super) async fn write_queued(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let written = match &mut self {
                Self::Bus(connection) => connection.send_all(&batch).await,
                Self::Direct(writer) => writer.send_messages(&batch).await,
            };
            if let Err(error) = written {
                debug!(%error, "cannot write messages; closing the link");
                return;
            }
            batch.clear();
        }
    }
}
