//! Starts `netipmid`.

fn main() {}
