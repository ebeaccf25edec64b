//! Serial over LAN (IPMI v2.0 §15): the characters of the host's console in the packets of a
//! session, acknowledged one by one.
//!
//! - [`Packet`]: the wire format.
//! - [`Instance`]: the BMC's end of one activated payload; [`Console`]: the remote console's end.
//! - [`Ring`]: the bounded memory that the instances of one console read from.
//!
//! Both ends are without I/O. After each `handle_*` call, drain `poll_transmit` and `poll_event`
//! and ask `poll_timeout` when to come back.
//!
//! Where the specification leaves room or clients differ, we do this:
//!
//! - A writer's packet is never dropped when its retries run out (§15.11 allows it): it is sent again at a
//!   slower pace, and at once when a packet of the console arrives. The session's own time-out ends it. Only
//!   characters that were lost before an instance could read them are marked as overrun.
//! - The rest of a partly accepted packet is sent under a new number.
//! - A refused packet counts as answered: its characters come again under a new number, as `ipmitool`,
//!   FreeIPMI and pyghmi do it. Refusals are paced, since some clients repeat without a pause.
//! - The "startup handshake" of Activate Payload is not waited for: clients ask for it and then send
//!   nothing until the user types.
//! - Ring indicate and DCD/DSR are reported as [`Event`]s; no console source has a line for them.

mod console;
mod input;
mod instance;
mod link;
mod packet;
mod parameters;
mod ring;

#[cfg(test)]
mod model;
#[cfg(test)]
mod testing;

pub use console::{Console, ConsoleEvent};
pub use instance::{Counts, Event, Instance, Lines, Role};
pub use packet::{
    Ack, Control, HEADER_LEN, MAX_CHARS, Operation, Packet, Seq, Status, ToBmc, ToConsole,
    Truncated,
};
pub use parameters::Parameters;
pub use ring::Ring;
