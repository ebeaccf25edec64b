//! The list of the commands that `ipmid` has, for operators (`org.causeway.Ipmi.Commands`).

use serde::{Deserialize, Serialize};
use zbus::Type;

/// The interface of [`LIST`], at the object that takes requests.
pub const COMMANDS: &str = "org.causeway.Ipmi.Commands";
/// `List() → (a(yuysyysa(yys)))`: a [`CommandInfo`] for each command, in the order of family and code. The bus
/// policy says who may call it.
pub const LIST: &str = "List";

/// One command of `ipmid`'s table.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, Type)]
pub struct CommandInfo {
    /// What `number` is: [`NETFN`](Self::NETFN), [`GROUP`](Self::GROUP) or [`OEM`](Self::OEM).
    pub family: u8,
    /// The network function, the defining body of NetFn 2Ch, or the enterprise number of NetFn 2Eh.
    pub number: u32,
    /// The command number.
    pub code: u8,
    /// The specification's name for it.
    pub name: String,
    /// Who may send it: [`ANYONE`](Self::ANYONE), a privilege level from 1 to 5, or
    /// [`SYSTEM_INTERFACE`](Self::SYSTEM_INTERFACE).
    pub access: u8,
    /// The priority of its handler: 10 for the specification's, more for those that replace it.
    pub priority: u8,
    /// What it changes; empty if nothing.
    pub changes: String,
    /// Where filters refuse it now, for every sender.
    pub refusals: Vec<Refusal>,
}

impl CommandInfo {
    /// The family is a network function.
    pub const NETFN: u8 = 0;
    /// The family is a defining body (NetFn 2Ch).
    pub const GROUP: u8 = 1;
    /// The family is an enterprise number (NetFn 2Eh).
    pub const OEM: u8 = 2;
    /// Anyone may send it, without a session too.
    pub const ANYONE: u8 = 0;
    /// The host alone may send it.
    pub const SYSTEM_INTERFACE: u8 = 0xff;
}

/// A filter refuses a command on a channel.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, Type)]
pub struct Refusal {
    /// The channel's number.
    pub channel: u8,
    /// The completion code of the response.
    pub completion: u8,
    /// The filter.
    pub filter: String,
}
