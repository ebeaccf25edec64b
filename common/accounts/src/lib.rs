//! IPMI users, channel access and sealed credentials.
//!
//! `ipmid` writes them through a [`Writer`], `netipmid` reads them through a [`Reader`]; both see a
//! [`Snapshot`], an immutable copy of all users and channels. The traits [`Users`] and
//! [`UserAdmin`] separate the daemons from the store, so that another store can replace it.
//!
//! There are two stores: our own, described below, and OpenBMC's files as an OpenBMC `ipmid`
//! writes them ([`OpenbmcReader`], [`OpenbmcWriter`]).
//!
//! The files are in `<state>/access/`, of owner `ipmid` and group `ipmi-access`, folder 2750, files
//! 0640:
//!
//! | file | contents |
//! |---|---|
//! | `users.json` | names, enabled flags, access per channel; names the password entry of each user |
//! | `channels.json` | non-volatile channel access, cipher suite privileges, bad password threshold |
//! | `volatile.json` | volatile channel access, with the boot that it is for |
//! | `credentials.json` | passwords and KG, sealed |
//! | `key.json` | the key that seals them |
//! | `generation` | a number that differs after each change; watched by readers |
//!
//! A password entry is bound to its user and to a generation which `users.json` names too, so an
//! entry moved to another user, or an older one put back, does not open. Lost or damaged
//! credentials mean that no user is enabled, with one line in the log; names and ids stay.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

mod channel;
mod config;
mod files;
mod locks;
mod openbmc;
mod password;
mod reader;
mod seal;
mod snapshot;
mod store;
#[cfg(test)]
mod testing;
mod text;
mod user;
mod writer;

pub use channel::{BadPassword, Channel, ChannelAccess, ChannelTable, Setting};
pub use config::{AccessConfig, InitialUser, OpenbmcConfig, StoreKind};
pub use files::FOLDER;
pub use openbmc::{
    OpenbmcFiles, OpenbmcReader, OpenbmcWriter, SystemAccounts, SystemError, SystemUser,
};
pub use password::{KEY_LENGTH, Kg, Password, PasswordSize, PasswordTest};
pub use reader::Reader;
pub use snapshot::Snapshot;
pub use store::{AccountError, Followed, UserAdmin, Users};
pub use user::{PayloadAccess, User, UserAccess, UserId, UserName};
pub use writer::Writer;
