//! IPMI users, channel access and sealed credentials.
