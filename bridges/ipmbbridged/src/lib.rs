//! The IPMB bridge between satellite controllers and ipmid.
