//! The RMCP+ bridge: IPMI over LAN.

pub mod console;
