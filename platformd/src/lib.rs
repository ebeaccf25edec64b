//! The D-Bus services of a BMC, simulated from one TOML file.
