//! Starts `platformd`.

fn main() {}
