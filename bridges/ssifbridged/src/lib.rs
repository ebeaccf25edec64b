//! The SSIF bridge between the host and ipmid.
