//! The RMCP+ bridge: IPMI over LAN.
