//! The transport of a host interface.

use std::future::Future;
use std::io;

use ipmi_proto::{FrameError, Request};

use crate::exchange::Reply;

/// An event of a transport.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Incoming {
    /// The transport is available: attention and interrupt have to be set again.
    Up,
    /// The transport was lost, and with it the pending request.
    Down,
    /// The host was reset.
    Reset,
    /// A request.
    Request {
        /// The transport's sequence number, 0 where it has none.
        seq: u8,
        /// The request.
        request: Request,
    },
    /// Bytes that are not a valid request, to which no response can be built.
    Unreadable(FrameError),
}

/// A host interface, which the implementation opens and reopens.
pub trait Transport {
    /// The most data bytes of a response.
    const ANSWER_DATA: usize;

    /// Waits for the next event, and sends the queued response meanwhile.
    ///
    /// Must be cancel safe: the bridge drops the future whenever another event comes first. A failure
    /// of the device is [`Incoming::Down`]; the next call waits until the device is available again.
    fn next(&mut self) -> impl Future<Output = Incoming>;

    /// Queues a response, which replaces one that was not sent yet.
    fn send(&mut self, reply: &Reply);

    /// Raises or lowers the host's attention flag.
    ///
    /// # Errors
    ///
    /// The device's error; `Unsupported` for an interface without such a flag.
    fn set_attention(&mut self, on: bool) -> io::Result<()>;

    /// Puts the interface into its error state, so that the host starts again.
    ///
    /// # Errors
    ///
    /// As [`set_attention`](Self::set_attention).
    fn force_abort(&mut self) -> io::Result<()>;

    /// Whether the bridge switches the host's message interrupt.
    const HAS_INTERRUPT: bool = false;

    /// Enables or disables the interrupt for responses and attention.
    fn set_interrupt(&mut self, _on: bool) {}
}
