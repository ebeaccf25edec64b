//! The BT bridge between the host and ipmid.
