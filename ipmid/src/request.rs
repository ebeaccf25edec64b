//! The path of a request, in the order in which it travels: [`host_interface`] (the bus call),
//! [`channels`] (which channel its caller is), [`dispatch`] (look-up, privilege, filters, unpacking,
//! deadline). [`command`] is the table that commands register in, [`context`] what a handler knows
//! of its request, [`filter`] what may refuse one,
//! [`providers`] the commands that other processes answer, `completion` the completion codes of the
//! model's errors.

pub mod channels;
pub mod command;
mod completion;
pub mod context;
pub mod dispatch;
pub mod filter;
pub mod host_interface;
pub mod providers;
