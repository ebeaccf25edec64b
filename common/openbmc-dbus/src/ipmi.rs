//! `xyz.openbmc_project.Ipmi`: bridges, sessions and SOL.

/// The service and path where ipmid takes requests, and the names of the bridges.
pub mod names {
    /// ipmid's name.
    pub const HOST_SERVICE: &str = "xyz.openbmc_project.Ipmi.Host";
    /// The object that takes requests.
    pub const HOST_PATH: &str = "/xyz/openbmc_project/Ipmi";
    /// What a bridge's name begins with; the channel's name follows.
    pub const CHANNEL_PREFIX: &str = "xyz.openbmc_project.Ipmi.Channel.";
    /// What a bridge's path begins with; the channel's name follows.
    pub const CHANNEL_PATH_PREFIX: &str = "/xyz/openbmc_project/Ipmi/Channel/";
}

/// `xyz.openbmc_project.Ipmi.SessionInfo`: one session of a LAN bridge.
pub mod session_info {
    use crate::interface::interface;

    /// What all sessions of all channels are under.
    pub const ROOT: &str = "/xyz/openbmc_project/ipmi/session";

    /// The session has no state.
    pub const INACTIVE: u8 = 0;
    /// The session is being set up.
    pub const SETUP: u8 = 1;
    /// The session is active.
    pub const ACTIVE: u8 = 2;
    /// The session is being closed; writing it to an active session closes that.
    pub const TEAR_DOWN: u8 = 3;

    /// The session has no cipher suite.
    pub const NO_SUITE: u8 = 255;

    interface! {
        "xyz.openbmc_project.Ipmi.SessionInfo";
        properties {
            /// The handle, 1 to 255.
            ReadWrite SESSION_HANDLE: u8 = "SessionHandle";
            /// The channel's number.
            ReadWrite CHANNEL_NUM: u8 = "ChannelNum";
            /// The privilege the session acts with.
            ReadWrite CURRENT_PRIVILEGE: u8 = "CurrentPrivilege";
            /// The console's IPv4 address, first octet in the lowest byte.
            ReadWrite REMOTE_IP_ADDR: u32 = "RemoteIPAddr";
            /// The console's UDP port.
            ReadWrite REMOTE_PORT: u16 = "RemotePort";
            /// The console's MAC address.
            ReadWrite REMOTE_MAC_ADDRESS: Vec<u8> = "RemoteMACAddress";
            /// The IPMI user id.
            ReadWrite USER_ID: u8 = "UserID";
            /// [`INACTIVE`], [`SETUP`], [`ACTIVE`] or [`TEAR_DOWN`].
            ReadWrite STATE: u8 = "State";
            /// Whether the session is an RMCP+ one; `false` for one of IPMI 1.5. Ours alone: without
            /// it, a session is an RMCP+ one.
            Read RMCP_PLUS: bool = "RmcpPlus";
            /// The UDP port that the bridge serves. Not in OpenBMC's interface: without it, 623.
            Read LOCAL_PORT: u16 = "LocalPort";
            /// The number of the cipher suite, or [`NO_SUITE`]. Ours alone.
            Read CIPHER_SUITE: u8 = "CipherSuite";
            /// The console's address, of IPv6 too. Ours alone.
            Read REMOTE_ADDRESS: String = "RemoteAddress";
            /// When it was logged in to, in microseconds since 1970. Ours alone.
            Read SINCE: u64 = "Since";
        }
    }
}

/// `xyz.openbmc_project.Ipmi.SOL`: the SOL configuration of one channel.
///
/// The numbers are those of the IPMI parameters, although their names say milliseconds.
pub mod sol {
    use crate::interface::interface;

    /// What a channel's object path begins with; the channel's name follows.
    pub const PATH_PREFIX: &str = "/xyz/openbmc_project/ipmi/sol/";

    interface! {
        "xyz.openbmc_project.Ipmi.SOL";
        properties {
            /// Set in progress.
            ReadWrite PROGRESS: u8 = "Progress";
            /// Whether SOL may be activated.
            ReadWrite ENABLE: bool = "Enable";
            /// Whether SOL must be encrypted.
            ReadWrite FORCE_ENCRYPTION: bool = "ForceEncryption";
            /// Whether SOL must be authenticated.
            ReadWrite FORCE_AUTHENTICATION: bool = "ForceAuthentication";
            /// The least privilege that may activate SOL.
            ReadWrite PRIVILEGE: u8 = "Privilege";
            /// How long characters are gathered, in units of 5 ms.
            ReadWrite ACCUMULATE_INTERVAL_MS: u8 = "AccumulateIntervalMS";
            /// How many characters are sent without waiting.
            ReadWrite THRESHOLD: u8 = "Threshold";
            /// How often a packet is sent again.
            ReadWrite RETRY_COUNT: u8 = "RetryCount";
            /// The time between, in units of 10 ms.
            ReadWrite RETRY_INTERVAL_MS: u8 = "RetryIntervalMS";
        }
    }
}

/// `org.causeway.Ipmi.Channel.Sol`: the SOL payload of one LAN bridge and the host's console behind it, at the object
/// of the bridge's channel. OpenBMC has no such interface; this one is ours.
pub mod sol_payload {
    use crate::interface::interface;

    /// An instance that a session has: its number, the session's id, the user's id, whether its packets are
    /// encrypted.
    pub type Instance = (u8, u32, u8, bool);

    interface! {
        "org.causeway.Ipmi.Channel.Sol";
        properties {
            /// The address of the host's console, as in the configuration.
            Read CONSOLE: String = "Console";
            /// Whether the host's console is connected.
            Read CONNECTED: bool = "Connected";
            /// Whether SOL may be activated.
            Read ENABLED: bool = "Enabled";
            /// How many instances can be active.
            Read CAPACITY: u8 = "Capacity";
            /// The active instances.
            Read INSTANCES: Vec<Instance> = "Instances";
            /// Programs on the BMC that are attached.
            Read ATTACHED: u8 = "Attached";
            /// Bytes that the host has printed.
            Read BYTES_FROM_HOST: u64 = "BytesFromHost";
            /// Bytes that the host was sent.
            Read BYTES_TO_HOST: u64 = "BytesToHost";
        };
        methods {
            /// Ends an instance, with a notice to its session; the result says whether it was active.
            RELEASE = "Release" ("y") -> ("b");
            /// Attaches the caller: the result is a stream socket with the console's output, from the scrollback on.
            /// With `true`, what is written to it is input for the host; without, it is ignored.
            ATTACH = "Attach" ("b") -> ("h");
        }
    }
}

/// `xyz.openbmc_project.Ipmi.Channel.SMS`: attention lines of a system interface.
pub mod sms {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Ipmi.Channel.SMS";
        methods {
            /// Signals the host that a message waits.
            SET_ATTENTION = "setAttention" ("") -> ("");
            /// Clears that signal.
            CLEAR_ATTENTION = "clearAttention" ("") -> ("");
            /// Ends the transfer in progress.
            FORCE_ABORT = "forceAbort" ("") -> ("");
        }
    }
}

/// `org.openbmc.Ipmb`: requests to satellite controllers through the IPMB bridge.
///
/// A signal [`ipmb::SEND_BROADCAST`] of any sender also has a bridge broadcast a request: channel byte, NetFn, LUN,
/// command, data.
///
/// A reply is one struct: status ([`ipmb::STATUS_OK`] and so on), NetFn, LUN, command, completion code
/// and data.
pub mod ipmb {
    use crate::interface::interface;

    /// The satellite responded.
    pub const STATUS_OK: i32 = 0;
    /// The address is not acknowledged.
    pub const STATUS_ERROR: i32 = 1;
    /// An argument is out of range.
    pub const STATUS_INVALID_PARAMETER: i32 = 2;
    /// All sequence numbers are in use.
    pub const STATUS_BUSY: i32 = 3;
    /// The satellite did not respond.
    pub const STATUS_TIMEOUT: i32 = 4;

    /// The signal that has a bridge broadcast (yyyyay).
    pub const SEND_BROADCAST: &str = "sendBroadcast";

    interface! {
        "org.openbmc.Ipmb";
        methods {
            /// Sends a request to the satellite that the bridge's configuration names by a channel byte.
            SEND_REQUEST = "sendRequest" ("yyyyay") -> ("(iyyyyay)");
            /// Sends a request to the satellite at an 8-bit address; OpenBMC's bridge has no such method.
            SEND_REQUEST_TO = "sendRequestTo" ("yyyyay") -> ("(iyyyyay)");
            /// Writes a complete response of the BMC to a satellite, and returns a status; OpenBMC's bridge
            /// has no such method.
            SEND_RESPONSE = "sendResponse" ("ay") -> ("i");
        };
        signals {
            /// A satellite's request arrived: NetFn, command, data.
            RECEIVE_BROADCAST = "receiveBroadcast" ("yyay");
        }
    }
}

/// `org.openbmc.HostIpmi`: what OpenBMC's btbridge and `ipmid` use in place of `execute()`.
///
/// The bridge sends a request in a signal; `ipmid` responds with a call to the signal's sender. A request and
/// its response have the same sequence number, that of BT.
pub mod host_ipmi {
    use crate::interface::interface;

    /// The bridge's name.
    pub const SERVICE: &str = "org.openbmc.HostIpmi";
    /// The bridge's object.
    pub const PATH: &str = "/org/openbmc/HostIpmi/1";

    interface! {
        "org.openbmc.HostIpmi";
        methods {
            /// Responds to a request: sequence number, NetFn, LUN, command, completion code, data. Returns 0.
            SEND_MESSAGE = "sendMessage" ("yyyyyay") -> ("x");
            /// Signals the host that a message waits. Returns 0.
            SET_ATTENTION = "setAttention" ("") -> ("x");
        };
        signals {
            /// A request of the host arrived: sequence number, NetFn, LUN, command, data.
            RECEIVED_MESSAGE = "ReceivedMessage" ("yyyyay");
        }
    }
}
