//! Sensors: their properties on D-Bus, their numbers and names, their records and events.

mod basis;
mod directory;
mod discrete;
mod entity;
mod observed;
mod record;
mod settings;
mod store;
mod table;

pub use directory::{CAPACITY, Directory, Listing, SensorIndex};
pub use discrete::{Discrete, DiscreteKind};
pub use observed::{Observed, ROOT, Value, limit_property};
pub use settings::Settings;
pub use store::{SensorStore, Update};
pub use table::{Interfaces, Properties, Sensor, SensorEvent, SensorTable};
