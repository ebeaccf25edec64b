//! MCTP packets, reassembly, tags and the control protocol, without I/O or std.
#![no_std]
