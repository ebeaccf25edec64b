//! Why the model did not make a change, or has no such value.

/// An error of the model's stores and queues, by what happened in them. `request` has the completion code of each.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// As many changes or messages wait as may wait.
    #[error("too many changes or messages wait")]
    Busy,
    /// The store, or the medium below it, is full.
    #[error("no space is left")]
    NoSpace,
    /// The reservation is not the latest, or what it was given for has changed since in a way that its holder must
    /// see first.
    #[error("the reservation is cancelled")]
    Cancelled,
    /// A record is not as long as its header says.
    #[error("the record is not as long as its header says")]
    LengthMismatch,
    /// A record is longer than the longest that can be stored.
    #[error("the record is longer than the longest that can be stored")]
    TooLong,
    /// The offset is beyond the end of the record or image.
    #[error("the offset is beyond the end of the record or image")]
    OutOfRange,
    /// The part of the record is longer than the space that the caller has for it.
    #[error("the part of the record is longer than the space for it")]
    DoesNotFit,
    /// No record, sensor or device has this id.
    #[error("no such record, sensor or device")]
    NotFound,
    /// A record lacks fields of its type.
    #[error("the record lacks fields of its type")]
    InvalidRecord,
    /// The BMC builds the record itself; clients cannot delete it.
    #[error("the BMC builds this record itself")]
    BuiltIn,
    /// The medium cannot be written; the stored value is unchanged.
    #[error("the medium cannot be written")]
    Storage,
}
