//! The IPMI command daemon.
