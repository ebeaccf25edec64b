//! The D-Bus interfaces of OpenBMC that the suite uses and serves.
