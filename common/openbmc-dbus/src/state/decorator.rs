//! `xyz.openbmc_project.State.Decorator`: whether a component is present and works.

/// `xyz.openbmc_project.State.Decorator.OperationalStatus`.
pub mod operational_status {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.State.Decorator.OperationalStatus";
        properties {
            /// Whether the component works.
            ReadWrite FUNCTIONAL: bool = "Functional";
        }
    }
}

/// `xyz.openbmc_project.State.Decorator.Availability`.
pub mod availability {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.State.Decorator.Availability";
        properties {
            /// Whether the thing can be reached now.
            ReadWrite AVAILABLE: bool = "Available";
        }
    }
}
