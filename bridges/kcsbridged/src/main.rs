//! Starts `kcsbridged`.

fn main() {}
