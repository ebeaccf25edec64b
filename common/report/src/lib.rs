//! What the command-line tools share: a result as a page for people or as JSON, an error with what to do about it, and
//! secrets from a file or a descriptor.

pub mod error;
pub mod output;
pub mod secret;
