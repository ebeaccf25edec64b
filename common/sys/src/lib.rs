//! Device descriptors, ioctls and MCTP sockets: the one crate that may hold unsafe code.
#![allow(unsafe_code)]
