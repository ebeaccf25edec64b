//! The sections of `causeway.toml` that more than one daemon reads, each parsed in one place with one
//! set of defaults. A section that one daemon alone reads is in that daemon; those of accounts and
//! channels are in `accounts`.

mod ipmb;
mod lan;

pub use ipmb::IpmbSection;
pub use lan::LanSection;
