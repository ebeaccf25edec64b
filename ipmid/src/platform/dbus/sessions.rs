//! The sessions that LAN bridges publish.

use std::net::Ipv4Addr;

use openbmc_dbus::{
    client::{CallError, ObjectAt, Properties},
    ipmi::session_info as info,
};

use super::{DbusPlatform, failed, locate};
use crate::platform::{PlatformError, PlatformResult, SessionInfo, SessionState, Sessions};

impl Sessions for DbusPlatform {
    async fn sessions(&self) -> PlatformResult<Vec<SessionInfo>> {
        let link = self.link()?;
        let objects = locate::subtree(&link.client, info::ROOT, info::NAME).await;
        let mut sessions = Vec::new();
        for object in objects.map_err(failed)? {
            // Session zero is there for good and is none.
            let Some(id) = id_of(&object.path) else {
                continue;
            };
            match link.client.get_all(&object, info::NAME).await {
                Ok(properties) => sessions.extend(read(id, object, &properties)?),
                // It ended meanwhile.
                Err(CallError::Gone { .. } | CallError::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        sessions.sort_by_key(|session| session.handle);
        Ok(sessions)
    }

    async fn close(&self, path: &str) -> PlatformResult<()> {
        let link = self.link()?;
        let owners = link
            .client
            .object_owners(path, &[info::NAME])
            .await
            .map_err(failed)?;
        let service = owners.into_keys().next().ok_or(PlatformError::Absent)?;
        let object = ObjectAt::new(service, path);
        link.client
            .set(&object, info::STATE, info::TEAR_DOWN)
            .await
            .map_err(failed)
    }
}

/// The session id in a path that ends in `<id>_<handle>`, both hexadecimal.
fn id_of(path: &str) -> Option<u32> {
    let (id, _handle) = path.rsplit('/').next()?.split_once('_')?;
    u32::from_str_radix(id, 16).ok()
}

/// One session; `None` for one that is in no state to be told of.
fn read(id: u32, object: ObjectAt, properties: &Properties) -> PlatformResult<Option<SessionInfo>> {
    let read = || -> Result<Option<SessionInfo>, CallError> {
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
            path: object.path.clone(),
            id,
            handle: properties.get(info::SESSION_HANDLE)?,
            channel: properties.get(info::CHANNEL_NUM)?,
            privilege: properties.get(info::CURRENT_PRIVILEGE)?,
            user_id: properties.get(info::USER_ID)?,
            state,
            remote_address: address,
            remote_mac: mac.try_into().unwrap_or_default(),
            remote_port: properties.get(info::REMOTE_PORT)?,
        }))
    };
    read().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_id_is_in_the_path() {
        assert_eq!(
            id_of("/xyz/openbmc_project/ipmi/session/eth0/12a4567d_8a"),
            Some(0x12a4_567d)
        );
        assert_eq!(id_of("/xyz/openbmc_project/ipmi/session/eth0/0"), None);
        assert_eq!(id_of(""), None);
    }
}
