//! `xyz.openbmc_project.Network`: the BMC's own network interfaces.
//!
//! An interface is [`ROOT`]`/NAME` and a VLAN on it `NAME_ID`; addresses and neighbours are below
//! their interface.

/// The service that sets up the network.
pub const SERVICE: &str = "xyz.openbmc_project.Network";
/// What all interfaces are under.
pub const ROOT: &str = "/xyz/openbmc_project/network";
/// What concerns the BMC as a whole.
pub const CONFIG_PATH: &str = "/xyz/openbmc_project/network/config";
/// What concerns DHCP on all interfaces.
pub const DHCP_PATH: &str = "/xyz/openbmc_project/network/config/dhcp";

/// `xyz.openbmc_project.Network.EthernetInterface`.
pub mod ethernet_interface {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// Which address families get their addresses by DHCP.
        DhcpConf = "xyz.openbmc_project.Network.EthernetInterface.DHCPConf" {
            both, v4v6stateless, v6, v6stateless, v4, none,
        }
    }

    interface! {
        "xyz.openbmc_project.Network.EthernetInterface";
        properties {
            /// The interface's name.
            Read INTERFACE_NAME: String = "InterfaceName";
            /// The link's speed in Mbit/s.
            Read SPEED: u32 = "Speed";
            /// Which address families use DHCP.
            ReadWrite DHCP_ENABLED: DhcpConf = "DHCPEnabled";
            /// Whether IPv4 uses DHCP.
            ReadWrite DHCP4: bool = "DHCP4";
            /// Whether IPv6 uses DHCP.
            ReadWrite DHCP6: bool = "DHCP6";
            /// The name servers in use.
            Read NAMESERVERS: Vec<String> = "Nameservers";
            /// The name servers set by hand.
            ReadWrite STATIC_NAME_SERVERS: Vec<String> = "StaticNameServers";
            /// The time servers in use.
            Read NTP_SERVERS: Vec<String> = "NTPServers";
            /// The time servers set by hand.
            ReadWrite STATIC_NTP_SERVERS: Vec<String> = "StaticNTPServers";
            /// Whether the link is up.
            Read LINK_UP: bool = "LinkUp";
            /// Whether the interface is up.
            ReadWrite NIC_ENABLED: bool = "NICEnabled";
            /// The largest packet.
            ReadWrite MTU: u64 = "MTU";
            /// The IPv4 gateway; empty for none.
            ReadWrite DEFAULT_GATEWAY: String = "DefaultGateway";
            /// The IPv6 gateway; empty for none.
            ReadWrite DEFAULT_GATEWAY6: String = "DefaultGateway6";
            /// Whether router advertisements are followed.
            ReadWrite IPV6_ACCEPT_RA: bool = "IPv6AcceptRA";
        }
    }
}

/// `xyz.openbmc_project.Network.MACAddress`.
pub mod mac_address {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Network.MACAddress";
        properties {
            /// The address, as six hexadecimal numbers with colons.
            ReadWrite MAC_ADDRESS: String = "MACAddress";
        }
    }
}

/// `xyz.openbmc_project.Network.IP`: one address of an interface.
pub mod ip {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// The address family.
        Protocol = "xyz.openbmc_project.Network.IP.Protocol" { IPv4, IPv6 }
    }

    enumeration! {
        /// Where the address is from.
        AddressOrigin = "xyz.openbmc_project.Network.IP.AddressOrigin" {
            Static, DHCP, LinkLocal, SLAAC,
        }
    }

    interface! {
        "xyz.openbmc_project.Network.IP";
        properties {
            /// The address.
            ReadWrite ADDRESS: String = "Address";
            /// The length of the network prefix, in bits.
            ReadWrite PREFIX_LENGTH: u8 = "PrefixLength";
            /// The origin of the address.
            ReadWrite ORIGIN: AddressOrigin = "Origin";
            /// The gateway; empty for none.
            ReadWrite GATEWAY: String = "Gateway";
            /// The address family.
            ReadWrite TYPE: Protocol = "Type";
        }
    }
}

/// `xyz.openbmc_project.Network.IP.Create`, on an interface.
pub mod ip_create {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Network.IP.Create";
        methods {
            /// Adds an address: family, address, prefix length, gateway.
            IP = "IP" ("ssys") -> ("o");
        }
    }
}

/// `xyz.openbmc_project.Network.Neighbor`: one neighbour set by hand.
pub mod neighbor {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// Whether the neighbour was set by hand.
        State = "xyz.openbmc_project.Network.Neighbor.State" { Invalid, Permanent }
    }

    interface! {
        "xyz.openbmc_project.Network.Neighbor";
        properties {
            /// The neighbour's address.
            ReadWrite IP_ADDRESS: String = "IPAddress";
            /// The neighbour's MAC address.
            ReadWrite MAC_ADDRESS: String = "MACAddress";
            /// Whether it was set statically.
            ReadWrite STATE: State = "State";
        }
    }
}

/// `xyz.openbmc_project.Network.Neighbor.CreateStatic`, on an interface.
pub mod neighbor_create {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Network.Neighbor.CreateStatic";
        methods {
            /// Adds a neighbour: address, MAC address.
            NEIGHBOR = "Neighbor" ("ss") -> ("o");
        }
    }
}

/// `xyz.openbmc_project.Network.VLAN`.
pub mod vlan {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Network.VLAN";
        properties {
            /// The VLAN's number, 1 to 4094.
            ReadWrite ID: u32 = "Id";
        }
    }
}

/// `xyz.openbmc_project.Network.VLAN.Create`, on [`ROOT`].
pub mod vlan_create {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Network.VLAN.Create";
        methods {
            /// Adds a VLAN: the interface's name, the VLAN's number.
            VLAN = "VLAN" ("su") -> ("o");
        }
    }
}

/// `xyz.openbmc_project.Network.SystemConfiguration`, on [`CONFIG_PATH`].
pub mod system_configuration {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Network.SystemConfiguration";
        properties {
            /// The BMC's name.
            ReadWrite HOST_NAME: String = "HostName";
        }
    }
}

/// `xyz.openbmc_project.Network.DHCPConfiguration`, on [`DHCP_PATH`].
pub mod dhcp_configuration {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Network.DHCPConfiguration";
        properties {
            /// Whether name servers are taken from DHCP.
            ReadWrite DNS_ENABLED: bool = "DNSEnabled";
            /// Whether time servers are taken from DHCP.
            ReadWrite NTP_ENABLED: bool = "NTPEnabled";
            /// Whether the host name is taken from DHCP.
            ReadWrite HOST_NAME_ENABLED: bool = "HostNameEnabled";
            /// Whether the host name is sent to the DHCP server.
            ReadWrite SEND_HOST_NAME_ENABLED: bool = "SendHostNameEnabled";
        }
    }
}

/// `xyz.openbmc_project.Channel.ChannelAccess`, on an interface.
pub mod channel_access {
    use crate::interface::interface;

    interface! {
        "xyz.openbmc_project.Channel.ChannelAccess";
        properties {
            /// The highest privilege on the channel, such as `priv-admin`.
            ReadWrite MAX_PRIVILEGE: String = "MaxPrivilege";
        }
    }
}
