//! Common code of the KCS, BT and SSIF bridges.
//!
//! - [`exchange`]: one request at a time, its deadline and its response; a state machine without I/O.
//! - [`transport`]: the source of requests; [`device`] is a BMC's character device, [`qemu`] is QEMU's
//!   connection to an external BMC.
//! - [`bridge`]: the loop between a transport, an exchange, `ipmid` and the bus.
//! - [`attention`]: the `Ipmi.Channel.SMS` object, through which `ipmid` sets the host's attention flag.
//! - [`arguments`], [`config`]: the command line and the `[host]` section.
//! - [`serve()`]: all of it, as the `main` of a bridge.

pub mod arguments;
pub mod attention;
pub mod bridge;
pub mod config;
pub mod device;
pub mod exchange;
pub mod qemu;
pub mod transport;

mod serve;

pub use serve::serve;
