//! IPMI messages, codes and the bit-level packer, without I/O.
//!
//! Every type here is plain data: no runtime, socket, file, clock or random source. Parsers take
//! bytes they may not trust and are total; what a peer may extend keeps its unknown values.
//!
//! - [`NetFn`], [`Lun`], [`CompletionCode`], [`Privilege`], [`ChannelNumber`]: the vocabulary.
//! - [`message`]: a request and a response as they travel between a bridge and `ipmid`.
//! - [`codec`]: the bit-level packer and unpacker of typed parameters.
//! - [`ipmb`]: the frame of IPMB and of IPMI over LAN.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

mod channel;
mod completion;
mod netfn;
mod privilege;

pub mod codec;
pub mod ipmb;
pub mod message;

pub use channel::{AccessMode, ChannelNumber, ChannelProtocol, Medium, SessionSupport};
pub use completion::CompletionCode;
pub use message::{Request, Response};
pub use netfn::{GroupBody, Iana, Lun, NetFn};
pub use privilege::Privilege;
