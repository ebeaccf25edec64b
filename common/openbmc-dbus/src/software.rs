//! `xyz.openbmc_project.Software`: the images on the flash and which of them runs.

/// Where the images are.
pub const ROOT: &str = "/xyz/openbmc_project/software";
/// The service that has the BMC's images.
pub const SERVICE: &str = "xyz.openbmc_project.Software.BMC.Updater";

/// `xyz.openbmc_project.Software.Version`.
pub mod version {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// What an image is for.
        Purpose = "xyz.openbmc_project.Software.Version.VersionPurpose" {
            Unknown, Other, System, BMC, Host, PSU,
        }
    }

    interface! {
        "xyz.openbmc_project.Software.Version";
        properties {
            /// The version string.
            ReadWrite VERSION: String = "Version";
            /// What the image is for.
            ReadWrite PURPOSE: Purpose = "Purpose";
        }
    }
}

/// `xyz.openbmc_project.Software.Activation`.
pub mod activation {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// The state of an image.
        Activation = "xyz.openbmc_project.Software.Activation.Activations" {
            NotReady, Invalid, Ready, Activating, Active, Failed, Staged, Staging,
        }
    }

    enumeration! {
        /// What a client may ask of an image.
        RequestedActivation = "xyz.openbmc_project.Software.Activation.RequestedActivations" {
            None, Active,
        }
    }

    interface! {
        "xyz.openbmc_project.Software.Activation";
        properties {
            /// The state of the image.
            ReadWrite ACTIVATION: Activation = "Activation";
            /// The state that a client requests.
            ReadWrite REQUESTED_ACTIVATION: RequestedActivation = "RequestedActivation";
        }
    }
}

/// `xyz.openbmc_project.Software.RedundancyPriority`.
pub mod redundancy_priority {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Software.RedundancyPriority";
        properties {
            /// The order in which images are tried; 0 is the one that runs.
            ReadWrite PRIORITY: u8 = "Priority";
        }
    }
}
