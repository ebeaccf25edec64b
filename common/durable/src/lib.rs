//! State that survives a crash or a power loss at any byte.
//!
//! - [`StateFile`]: one value in one file, replaced as a whole. After a crash it is the old value or
//!   the new one, never a mixture.
//! - [`Journal`]: records appended to a log in batches, each written as a whole or not at all.
//! - [`Storage`]: the file operations these two need, implemented by [`Folder`] (the real file system)
//!   and by [`simulated::Disk`], which loses what was not flushed.
//!
//! A damaged file is set aside as `NAME.corrupt` (one per name, so they do not pile up) with one line
//! in the log, and the last good copy or the default is used. What cannot be written (a full disk) is
//! an error to the caller, and the state is unchanged.
//!
//! All operations block until the bytes are on the medium; a daemon calls them on a blocking thread.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

mod error;
mod folder;
mod journal;
pub mod simulated;
mod state_file;
mod storage;

pub use error::Error;
pub use folder::{Folder, Modes, written};
pub use journal::{Journal, Limits};
pub use state_file::{Content, Origin, Retention, StateFile, read};
pub use storage::Storage;
