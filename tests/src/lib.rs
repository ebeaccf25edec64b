//! End-to-end tests: the built daemons on a private bus.
