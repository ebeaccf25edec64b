//! The sessions that LAN bridges publish.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use openbmc_dbus::client::{CallError, Client, Member, ObjectAt, Properties};
use openbmc_dbus::interface::{Property, PropertyValue};
use openbmc_dbus::ipmi::session_info as info;

use super::{DbusPlatform, locate};
use crate::platform::{
    Ipv4Address, Ipv4Source, PlatformResult, RMCP_PORT, SessionInfo, SessionState, Sessions,
};

/// The end of the path of session zero, which each bridge publishes from its start.
const SESSION_ZERO: &str = "/0";

impl Sessions for DbusPlatform {
    async fn sessions(&self) -> PlatformResult<Vec<SessionInfo>> {
        let connected = self.connected()?;
        let mut sessions = Vec::new();
        for service in bridges(&connected.client).await? {
            let root = ObjectAt::new(service, info::ROOT);
            let objects = match connected.client.managed_objects(&root).await {
                Ok(objects) => objects,
                // The bridge ended meanwhile, and its sessions with it.
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(error.into()),
            };
            for (path, mut interfaces) in objects {
                // Session zero is a permanent object and no session.
                let (Some(id), Some(properties)) = (id_of(&path), interfaces.remove(info::NAME))
                else {
                    continue;
                };
                let session = read(id, &path, &properties.into());
                sessions.extend(session.map_err(|error| {
                    error.of_object(&ObjectAt::new(root.service.as_str(), path))
                })?);
            }
        }
        sessions.sort_by_key(|session| session.handle);
        Ok(sessions)
    }

    async fn served_port(&self, channel: u8) -> PlatformResult<u16> {
        let connected = self.connected()?;
        let port = of_session_zero(&connected.client, channel, info::LOCAL_PORT).await?;
        // Without a bridge the standard port is the best guess.
        Ok(port.unwrap_or(RMCP_PORT))
    }

    async fn served_address(&self, channel: u8) -> PlatformResult<Option<Ipv4Address>> {
        let connected = self.connected()?;
        let served = of_session_zero(&connected.client, channel, info::LOCAL_ADDRESS).await?;
        Ok(served.as_deref().and_then(parse_address))
    }

    async fn close(&self, path: &str) -> PlatformResult<()> {
        let connected = self.connected()?;
        for service in bridges(&connected.client).await? {
            let object = ObjectAt::new(service, path);
            let asked = connected.client.set(&object, info::STATE, info::TEAR_DOWN).await;
            match asked {
                Err(error) if error.is_absent() => {}
                other => return Ok(other?),
            }
        }
        Err(CallError::no_object(path, Member::Set(info::NAME, info::STATE.name)).into())
    }
}

/// A property of session zero of the bridge of `channel`; `None` without such a bridge, or such a property.
async fn of_session_zero<T: PropertyValue>(
    client: &Client,
    channel: u8,
    property: Property<T>,
) -> Result<Option<T>, CallError> {
    let objects = match locate::subtree(client, info::ROOT, info::NAME).await {
        Ok(objects) => objects,
        // Without a mapper no bridge is found.
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error),
    };
    for object in objects.into_iter().filter(|object| object.path.ends_with(SESSION_ZERO)) {
        let properties = match client.get_all(&object, info::NAME).await {
            Err(error) if error.is_absent() => continue,
            other => other?,
        };
        let read = || Ok((properties.get(info::CHANNEL_NUM)?, properties.find(property)?));
        let (served, value) = read().map_err(|error: CallError| error.of_object(&object))?;
        if served == channel {
            return Ok(value);
        }
    }
    Ok(None)
}

/// `ADDRESS/PREFIX`; whatever the bridge was told, the address is static for its clients.
fn parse_address(text: &str) -> Option<Ipv4Address> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix): (_, u8) = (address.parse().ok()?, prefix.parse().ok()?);
    (prefix <= 32).then_some(Ipv4Address { address, prefix, source: Ipv4Source::Static })
}

/// The services that have sessions. The mapper is asked for no more than that: session zero makes each
/// known from its start, while a session may be younger than what the mapper has heard.
async fn bridges(client: &Client) -> PlatformResult<BTreeSet<String>> {
    let objects = locate::subtree(client, info::ROOT, info::NAME).await?;
    Ok(objects.into_iter().map(|object| object.service).collect())
}

/// The session id in a path that ends in `<id>_<handle>`, both hexadecimal.
fn id_of(path: &str) -> Option<u32> {
    let (id, _handle) = path.rsplit('/').next()?.split_once('_')?;
    u32::from_str_radix(id, 16).ok()
}

/// One session; `None` for one that is neither set up nor active.
fn read(id: u32, path: &str, properties: &Properties) -> Result<Option<SessionInfo>, CallError> {
    let state = match properties.get(info::STATE)? {
        info::SETUP => SessionState::Setup,
        info::ACTIVE => SessionState::Active,
        info::TEAR_DOWN => SessionState::TearDown,
        _ => return Ok(None),
    };
    // First octet in the lowest byte.
    let address = Ipv4Addr::from(properties.get(info::REMOTE_IP_ADDR)?.to_le_bytes());
    let mac = properties.get(info::REMOTE_MAC_ADDRESS)?;
    Ok(Some(SessionInfo {
        path: path.to_owned(),
        id,
        handle: properties.get(info::SESSION_HANDLE)?,
        channel: properties.get(info::CHANNEL_NUM)?,
        privilege: properties.get(info::CURRENT_PRIVILEGE)?,
        user_id: properties.get(info::USER_ID)?,
        state,
        // Bridges without the property have RMCP+ sessions only.
        is_rmcp_plus: properties.find(info::RMCP_PLUS)?.unwrap_or(true),
        remote_address: address,
        remote_mac: mac.try_into().unwrap_or_default(),
        remote_port: properties.get(info::REMOTE_PORT)?,
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use zbus::Variant;

    use super::*;

    #[test]
    fn session_is_rmcp_plus_unless_its_bridge_reports_otherwise() {
        let is_rmcp_plus = |rmcp_plus: Option<bool>| {
            let mut properties = BTreeMap::from([
                ("State".to_owned(), Variant::from(info::ACTIVE)),
                ("RemoteIPAddr".to_owned(), Variant::from(0x0100_007f_u32)),
                ("RemoteMACAddress".to_owned(), Variant::from(vec![0_u8; 6])),
                ("RemotePort".to_owned(), Variant::from(623_u16)),
            ]);
            for name in ["SessionHandle", "ChannelNum", "CurrentPrivilege", "UserID"] {
                properties.insert(name.to_owned(), Variant::from(1_u8));
            }
            properties.extend(rmcp_plus.map(|value| ("RmcpPlus".to_owned(), Variant::from(value))));
            let owned =
                |(name, value): (String, Variant<'_>)| (name, value.try_to_owned().unwrap());
            let properties: BTreeMap<_, _> = properties.into_iter().map(owned).collect();
            let session = read(1, "", &properties.into()).unwrap();
            session.unwrap().is_rmcp_plus
        };
        assert!(is_rmcp_plus(None));
        assert!(is_rmcp_plus(Some(true)));
        assert!(!is_rmcp_plus(Some(false)));
    }

    #[test]
    fn address_of_a_bridge_has_a_prefix() {
        let served = parse_address("127.0.0.1/8").unwrap();
        assert_eq!((served.address, served.prefix), (Ipv4Addr::LOCALHOST, 8));
        for text in ["", "127.0.0.1", "127.0.0.1/33", "127.0.0.1/x", "::1/128", "/8"] {
            assert_eq!(parse_address(text), None, "{text}");
        }
    }

    #[test]
    fn session_id_is_in_the_path() {
        assert_eq!(id_of("/xyz/openbmc_project/ipmi/session/eth0/12a4567d_8a"), Some(0x12a4_567d));
        assert_eq!(id_of("/xyz/openbmc_project/ipmi/session/eth0/0"), None);
        assert_eq!(id_of(""), None);
    }
}
