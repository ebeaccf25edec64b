//! What the tests of this module share.

use std::time::Instant;

/// A moment to count from.
#[expect(clippy::disallowed_methods, reason = "an Instant has no other origin")]
pub(super) fn origin() -> Instant {
    Instant::now()
}
