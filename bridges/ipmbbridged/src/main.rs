//! Starts `ipmbbridged`.

fn main() {}
