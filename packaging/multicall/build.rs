//! Links the binary as the feature `fixed-address` asks.

use std::env;
use std::io::{self, Write};

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "cargo::rerun-if-changed=build.rs")?;
    if env::var_os("CARGO_FEATURE_FIXED_ADDRESS").is_some() {
        // Follows rustc's own `-pie`: the compiler driver obeys the last of the two.
        writeln!(out, "cargo::rustc-link-arg-bins=-no-pie")?;
    }
    Ok(())
}
