//! IPMI messages, codes and the bit-level packer, without I/O.
//!
//! Every type here is plain data: no runtime, socket, file, clock or random source. Parsers accept
//! any bytes without a panic; types that a peer may extend hold unknown values too.
//!
//! - [`NetFn`], [`Lun`], [`CompletionCode`], [`Privilege`], [`ChannelNumber`]: the vocabulary.
//! - [`message`]: a request and a response as they travel between a bridge and `ipmid`.
//! - [`sdr`], [`sel`], [`fru`]: the records of a management controller.
//! - [`pet`]: events as SNMP traps.
//! - [`codec`]: the bit-level packer and unpacker of typed parameters.
//! - [`ipmb`]: the frame of IPMB and of IPMI over LAN.
//! - [`kcs`], [`bt`], [`ssif`], [`vm_link`]: the messages of the host's interfaces.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

mod channel;
mod completion;
mod frame;
mod netfn;
mod privilege;
mod record;
mod type_length;

pub mod bt;
pub mod codec;
pub mod fru;
pub mod ipmb;
pub mod kcs;
pub mod message;
pub mod pet;
pub mod sdr;
pub mod sel;
pub mod ssif;
pub mod vm_link;

pub use channel::{AccessMode, ChannelNumber, ChannelProtocol, Medium, SessionSupport};
pub use completion::CompletionCode;
pub use frame::FrameError;
pub use message::{Request, Response, ResponseBody};
pub use netfn::{GroupBody, Iana, Lun, NetFn};
pub use privilege::Privilege;
pub use record::{RecordError, zero_checksum};
pub use type_length::{Encoding, Field, IdString};
