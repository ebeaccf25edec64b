//! What the KCS, BT and SSIF bridges share.
//!
//! - [`exchange`]: one request at a time, its deadline and its one answer; a state machine without
//!   I/O.
//! - [`Transport`]: where requests come from: a BMC's character device ([`device`]), or QEMU
//!   ([`qemu`]).
//! - [`Bridge`]: the loop between a transport, an exchange, `ipmid` and the bus.

pub mod exchange;
