//! The D-Bus interfaces of OpenBMC that the suite uses and serves.
//!
//! - [`bus`]: connections to the system bus, names on it, and subscriptions.
//! - [`callers`]: the users whose processes may change something.
//! - [`execute`]: the one call between bridges and `ipmid`, both ends of it.
//! - [`client`]: typed calls to other services, each with a deadline.
//! - [`configuration`]: the configuration of a running daemon, over an interface of our own.
//! - [`provider`]: commands that other processes answer, over interfaces of our own.
//! - [`recorder`]: the last requests and responses of a daemon, and what it measures, over interfaces of our own.
//! - [`simulation`]: faults of `platformd`'s host, over an interface of our own.
//! - [`interface`]: how interfaces are described; all other modules are such descriptions.
//!
//! There is a module per `xyz.openbmc_project` interface, in folders that mirror the names: the full
//! name, its enumerations, its properties, methods and signals as typed constants, and the paths and
//! services where OpenBMC has it.

pub mod bus;
pub mod callers;
pub mod chassis;
pub mod client;
pub mod common;
pub mod configuration;
pub mod console;
pub mod control;
pub mod execute;
pub mod fru_device;
pub mod interface;
pub mod inventory;
pub mod ipmi;
pub mod led;
pub mod logging;
pub mod mapper;
pub mod network;
pub mod object;
pub mod provider;
pub mod recorder;
pub mod sensor;
pub mod simulation;
pub mod software;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod user;
