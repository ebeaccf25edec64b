//! Starts `btbridged`.

fn main() {}
