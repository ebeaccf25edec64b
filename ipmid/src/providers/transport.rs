//! Transport commands, NetFn 0Ch (IPMI v2.0 §23, §26).

mod sol;

pub use self::sol::{BitRates, SolProvider};
