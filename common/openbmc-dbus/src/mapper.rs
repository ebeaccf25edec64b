//! `xyz.openbmc_project.ObjectMapper`: which service has which object with which interfaces.

use std::collections::BTreeMap;

use crate::interface::interface;

/// The mapper's well-known name.
pub const SERVICE: &str = "xyz.openbmc_project.ObjectMapper";
/// The mapper's object.
pub const PATH: &str = "/xyz/openbmc_project/object_mapper";

/// Services, each with the interfaces that it has on one object.
pub type Owners = BTreeMap<String, Vec<String>>;
/// Objects, each with its owners.
pub type SubTree = BTreeMap<String, Owners>;

interface! {
    "xyz.openbmc_project.ObjectMapper";
    methods {
        /// The services that have an object with any of the interfaces (none: any at all).
        GET_OBJECT = "GetObject" ("sas") -> ("a{sas}");
        /// The objects above a path that have any of the interfaces.
        GET_ANCESTORS = "GetAncestors" ("sas") -> ("a{sa{sas}}");
        /// The objects below a path, to a depth (0: any), that have any of the interfaces.
        GET_SUB_TREE = "GetSubTree" ("sias") -> ("a{sa{sas}}");
        /// The paths of the same.
        GET_SUB_TREE_PATHS = "GetSubTreePaths" ("sias") -> ("as");
        /// The objects of a sub-tree that are end points of an association.
        GET_ASSOCIATED_SUB_TREE = "GetAssociatedSubTree" ("ooias") -> ("a{sa{sas}}");
        /// The paths of the same.
        GET_ASSOCIATED_SUB_TREE_PATHS = "GetAssociatedSubTreePaths" ("ooias") -> ("as");
        /// The same, for all objects of a sub-tree whose last name is the id.
        GET_ASSOCIATED_SUB_TREE_BY_ID =
            "GetAssociatedSubTreeById" ("ssassas") -> ("a{sa{sas}}");
        /// The paths of the same.
        GET_ASSOCIATED_SUB_TREE_PATHS_BY_ID =
            "GetAssociatedSubTreePathsById" ("ssassas") -> ("as");
    }
}

/// `xyz.openbmc_project.Association`: the end points of an association, published by the mapper.
pub mod association {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Association";
        properties {
            /// The objects at the other end.
            Read ENDPOINTS: Vec<String> = "endpoints";
        }
    }
}

/// `xyz.openbmc_project.Association.Definitions`: associations that the mapper publishes for services.
pub mod definitions {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Association.Definitions";
        properties {
            /// Triples: the name from this object, the name from the other object, the other object.
            ReadWrite ASSOCIATIONS: Vec<(String, String, String)> = "Associations";
        }
    }
}
