//! RMCP, RMCP+ sessions and Serial over LAN, without I/O.

pub mod sol;
