//! What the command-line tools share: their start, a result as a page for people or as JSON, an error with what to do about
//! it, shells' completions, and secrets from a file or a descriptor.

#[cfg(feature = "completions")]
pub mod completions;
pub mod error;
pub mod output;
pub mod program;
pub mod secret;
