//! The harness of the end-to-end tests: the built daemons on a private bus.
//!
//! A [`Suite`](suite::Suite) is a whole BMC in a temporary folder: its own bus daemon, `platformd`,
//! `ipmid` and `netipmid`, the last on a loopback address of its own, so that any number of tests run
//! beside each other. What a suite started ends with it, also when the test panics or is killed.
//!
//! The tests speak to the suite with independent programs (ipmitool, FreeIPMI, busctl) or with bytes
//! recorded from them. Nothing of ours is linked here: a fault in our encoder must not hide the same
//! fault in our decoder.

pub mod attack;
pub mod bridges;
pub mod bus;
pub mod client;
pub mod clients;
pub mod ctl;
pub mod daemons;
pub mod everything;
pub mod guest;
pub mod host;
pub mod host_device;
pub mod json_schema;
pub mod load;
pub mod matrix;
pub mod mctp;
pub mod monitor;
pub mod netns;
pub mod openbmc;
pub mod operands;
pub mod plain;
pub mod policies;
pub mod process;
pub mod programs;
pub mod provider;
pub mod python;
pub mod qmp;
pub mod relay;
pub mod reload;
pub mod satellite;
pub mod serial_line;
pub mod shell;
pub mod source_paths;
pub mod spellings;
pub mod suite;
pub mod terminal;
pub mod tracer;
pub mod vm;
pub mod vm_tool;
pub mod wait;
pub mod wire;
