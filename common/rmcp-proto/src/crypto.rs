//! Keys, key exchange, packet authentication and encryption.
//!
//! - [`key`]: a user's key or KG, wiped after use.
//! - [`mac`]: keyed hashes, made once and cloned for each use.
//! - [`exchange`]: the codes of the RAKP messages, and the session's keys.
//! - [`protect`]: one session's integrity and confidentiality.
//! - [`v15`]: auth codes of IPMI 1.5.

pub mod exchange;
pub mod key;
pub mod mac;
pub mod protect;
pub mod v15;

pub use exchange::{Exchange, SessionIntegrityKey};
pub use key::UserKey;
pub use protect::{OpenError, Protector};
