//! `xyz.openbmc_project.Logging`: the BMC's own log, and the IPMI SEL.

/// The service that has the log.
pub const SERVICE: &str = "xyz.openbmc_project.Logging";
/// The log's object.
pub const ROOT: &str = "/xyz/openbmc_project/logging";
/// What an entry's path begins with; its number follows.
pub const ENTRY_PREFIX: &str = "/xyz/openbmc_project/logging/entry/";

/// `xyz.openbmc_project.Logging.Entry`.
pub mod entry {
    use std::collections::BTreeMap;

    use crate::interface::{enumeration, interface};

    enumeration! {
        /// The severity, in the order of syslog.
        Level = "xyz.openbmc_project.Logging.Entry.Level" {
            Emergency, Alert, Critical, Error, Warning, Notice, Informational, Debug,
        }
    }

    interface! {
        "xyz.openbmc_project.Logging.Entry";
        properties {
            /// The entry's number.
            Read ID: u32 = "Id";
            /// When it was created, in milliseconds since the epoch.
            Read TIMESTAMP: u64 = "Timestamp";
            /// The severity.
            Read SEVERITY: Level = "Severity";
            /// What happened, as a name.
            Read MESSAGE: String = "Message";
            /// An event's identity for support.
            ReadWrite EVENT_ID: String = "EventId";
            /// What else is known.
            Read ADDITIONAL_DATA: BTreeMap<String, String> = "AdditionalData";
            /// The recommended action.
            ReadWrite RESOLUTION: String = "Resolution";
            /// Whether the problem was resolved.
            ReadWrite RESOLVED: bool = "Resolved";
            /// When the entry was changed last, in milliseconds since the epoch.
            Read UPDATE_TIMESTAMP: u64 = "UpdateTimestamp";
        }
    }
}

/// `xyz.openbmc_project.Logging.Create`, on [`ROOT`].
pub mod create {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Logging.Create";
        methods {
            /// Adds an entry: message, severity, additional data.
            CREATE = "Create" ("ssa{ss}") -> ("o");
        }
    }
}

/// `xyz.openbmc_project.Logging.IPMI`: the IPMI system event log.
pub mod ipmi {
    use crate::interface::interface;

    /// The service that has it.
    pub const SERVICE: &str = "xyz.openbmc_project.Logging.IPMI";
    /// Its object.
    pub const PATH: &str = "/xyz/openbmc_project/Logging/IPMI";

    interface! {
        "xyz.openbmc_project.Logging.IPMI";
        methods {
            /// Adds a system event: message, sensor's path, event data, asserted, generator.
            ///
            /// phosphor-sel-logger registers it as `ssaybq`, and its callers use that signature.
            IPMI_SEL_ADD = "IpmiSelAdd" ("soaybq") -> ("q");
            /// Adds a system event: message, path, event data, generator, event direction (bit 7) and
            /// type, sensor type, sensor number.
            ADD_EXTENDED = "AddExtended" ("soayqyyy") -> ("q");
            /// Adds a record: message, data, record type.
            IPMI_SEL_ADD_OEM = "IpmiSelAddOem" ("sayy") -> ("q");
            /// Empties the log.
            CLEAR = "Clear" ("") -> ("");
            /// Removes one record.
            SEL_DELETE = "SELDelete" ("q") -> ("");
            /// Records, free bytes, times of the last addition and erasure, operation support.
            GET_SEL_INFO = "GetSELInfo" ("") -> ("(qquuy)");
        }
    }
}
