//! Starts `ipmid`.

fn main() {}
