//! What runs without a request: each module is one task that watches the platform or the model and
//! acts on it.

pub mod attention;
pub mod firmware_monitor;
pub mod platform_events;
pub mod sel_monitor;
pub mod sensor_events;
