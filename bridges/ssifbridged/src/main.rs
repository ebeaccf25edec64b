//! Starts `ssifbridged`.

fn main() {}
