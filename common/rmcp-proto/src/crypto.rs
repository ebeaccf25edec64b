//! Keys, key exchange, packet authentication and encryption.
//!
//! - [`key`]: a user's key or KG, wiped after use.
//! - [`mac`]: keyed hashes, made once and cloned for each use.
//! - [`exchange`]: what the RAKP messages prove, and the session's keys from them.
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
