//! `xyz.openbmc_project.Common`: shared errors and interfaces.

/// `xyz.openbmc_project.Common.Error`: the names of errors.
pub mod error {
    /// There is no such object or interface.
    pub const RESOURCE_NOT_FOUND: &str = "xyz.openbmc_project.Common.Error.ResourceNotFound";
    /// An argument has a value that is not allowed.
    pub const INVALID_ARGUMENT: &str = "xyz.openbmc_project.Common.Error.InvalidArgument";
    /// The service failed.
    pub const INTERNAL_FAILURE: &str = "xyz.openbmc_project.Common.Error.InternalFailure";
    /// The state does not allow it.
    pub const NOT_ALLOWED: &str = "xyz.openbmc_project.Common.Error.NotAllowed";
    /// There are too many already.
    pub const TOO_MANY_RESOURCES: &str = "xyz.openbmc_project.Common.Error.TooManyResources";
    /// The service cannot do it now.
    pub const UNAVAILABLE: &str = "xyz.openbmc_project.Common.Error.Unavailable";
}

/// `xyz.openbmc_project.Common.UUID`.
pub mod uuid {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Common.UUID";
        properties {
            /// The identity as RFC 4122 writes it.
            Read UUID: String = "UUID";
        }
    }
}
