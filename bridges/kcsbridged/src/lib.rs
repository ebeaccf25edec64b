//! The KCS bridge between the host and ipmid.
