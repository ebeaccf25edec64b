//! Starts `mctp-demuxd`.

fn main() {}
