//! State files that survive a crash at any byte.
