//! `xyz.openbmc_project.User`: the BMC's user accounts.

/// The service that has them.
pub const SERVICE: &str = "xyz.openbmc_project.User.Manager";
/// The manager's object; a user is `ROOT/NAME`.
pub const ROOT: &str = "/xyz/openbmc_project/user";

/// `xyz.openbmc_project.User.Manager`.
pub mod manager {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.User.Manager";
        properties {
            /// All privileges.
            Read ALL_PRIVILEGES: Vec<String> = "AllPrivileges";
            /// All groups.
            Read ALL_GROUPS: Vec<String> = "AllGroups";
        };
        methods {
            /// Adds a user: name, groups, privilege, enabled.
            CREATE_USER = "CreateUser" ("sassb") -> ("");
            /// Gives a user another name: old, new.
            RENAME_USER = "RenameUser" ("ss") -> ("");
            /// What is known of a user.
            GET_USER_INFO = "GetUserInfo" ("s") -> ("a{sv}");
        };
        signals {
            /// A user has another name: old, new.
            USER_RENAMED = "UserRenamed" ("ss");
        }
    }
}

/// `xyz.openbmc_project.User.Attributes`.
pub mod attributes {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.User.Attributes";
        properties {
            /// The groups; `ipmi` for those who may use it.
            ReadWrite USER_GROUPS: Vec<String> = "UserGroups";
            /// The privilege, such as `priv-admin`.
            ReadWrite USER_PRIVILEGE: String = "UserPrivilege";
            /// Whether the account may be used.
            ReadWrite USER_ENABLED: bool = "UserEnabled";
            /// Whether the account is locked for too many failures.
            ReadWrite USER_LOCKED_FOR_FAILED_ATTEMPT: bool = "UserLockedForFailedAttempt";
            /// Whether the password must be changed.
            Read USER_PASSWORD_EXPIRED: bool = "UserPasswordExpired";
            /// Whether the account is one of a directory service (LDAP).
            Read REMOTE_USER: bool = "RemoteUser";
        }
    }
}
