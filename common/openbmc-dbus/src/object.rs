//! `xyz.openbmc_project.Object`: methods of objects of any kind.

/// `xyz.openbmc_project.Object.Enable`.
pub mod enable {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Object.Enable";
        properties {
            /// Whether the object counts.
            ReadWrite ENABLED: bool = "Enabled";
        }
    }
}

/// `xyz.openbmc_project.Object.Delete`.
pub mod delete {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Object.Delete";
        methods {
            /// Removes the object.
            DELETE = "Delete" ("") -> ("");
        }
    }
}

/// `xyz.openbmc_project.Collection.DeleteAll`.
pub mod delete_all {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Collection.DeleteAll";
        methods {
            /// Removes all objects of the collection.
            DELETE_ALL = "DeleteAll" ("") -> ("");
        }
    }
}
