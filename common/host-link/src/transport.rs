//! What a bridge needs of the thing that its host speaks through.

use std::future::Future;
use std::io;

use ipmi_proto::{FrameError, Request};

use crate::exchange::Reply;

/// What comes from the host's side.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Incoming {
    /// The transport is there now: attention and interrupt have to be set again.
    Up,
    /// The transport went away, and with it what the host waited for.
    Down,
    /// The host was reset.
    Reset,
    /// A request.
    Request {
        /// The transport's sequence number, 0 where it has none.
        seq: u8,
        /// What the host asks.
        request: Request,
    },
    /// Bytes that are no request; there is nothing in them to answer to.
    Unreadable(FrameError),
}

/// A host interface, opened and kept open by whoever implements this.
pub trait Transport {
    /// The most data bytes that fit into one answer.
    const ANSWER_DATA: usize;

    /// Waits for the next thing from the host, and meanwhile sends what is to be sent.
    ///
    /// Must be cancel safe: the bridge drops the future whenever something else happens first. A
    /// failure of the device is [`Incoming::Down`], and the next call gets it back, however long
    /// that takes.
    fn next(&mut self) -> impl Future<Output = Incoming>;

    /// Queues an answer in place of one that was not yet sent.
    fn send(&mut self, reply: &Reply);

    /// Raises or lowers the host's attention flag.
    ///
    /// # Errors
    ///
    /// What the device said; `Unsupported` for an interface without such a flag.
    fn set_attention(&mut self, on: bool) -> io::Result<()>;

    /// Puts the interface into its error state, so that the host starts anew.
    ///
    /// # Errors
    ///
    /// As [`set_attention`](Self::set_attention).
    fn force_abort(&mut self) -> io::Result<()>;

    /// Whether the host's message interrupt is the bridge's to switch.
    const HAS_INTERRUPT: bool = false;

    /// Lets answers and attention interrupt the host, or not.
    fn set_interrupt(&mut self, _on: bool) {}
}
