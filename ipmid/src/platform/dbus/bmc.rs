//! The BMC itself. The fields of Get Device ID are cached, and `CurrentBMCState` is followed by signals, so that the
//! command costs no bus call.

use std::collections::BTreeMap;
use std::sync::Arc;

use daemon::AbortOnDrop;
use futures_util::StreamExt;
use openbmc_dbus::bus::{watch_owner, watch_properties};
use openbmc_dbus::client::{CallError, Client, Member, ObjectAt, Properties};
use openbmc_dbus::common::uuid;
use openbmc_dbus::software::{self, activation, version};
use openbmc_dbus::state::bmc;
use zbus::{Connection, OwnedVariant};

use super::remembered::Remembered;
use super::{DbusPlatform, Target, locate};
use crate::platform::{Bmc, BmcTransition, PlatformResult};

const BMC: Target = Target::At(bmc::PATH, bmc::NAME);

/// The subtree that is searched for the system's UUID.
const INVENTORY: &str = "/xyz/openbmc_project/inventory";

/// Cached properties of the BMC, and the task that follows its state.
#[derive(Debug, Default)]
pub(super) struct Firmware {
    cache: Arc<BmcCache>,
    _follower: Option<AbortOnDrop>,
}

#[derive(Debug, Default)]
struct BmcCache {
    ready: Remembered<bool>,
    version: Remembered<String>,
    uuid: Remembered<[u8; 16]>,
}

impl Firmware {
    /// Follows the BMC's state over `connection`.
    pub(super) async fn follow(connection: &Connection) -> zbus::Result<Self> {
        let mut changed = watch_properties(connection, bmc::PATH, bmc::NAME).await?;
        let mut owner_changed = watch_owner(connection, bmc::SERVICE).await?;
        let cache = Arc::new(BmcCache::default());
        let ready = Arc::clone(&cache);
        let follower = AbortOnDrop::spawn(async move {
            loop {
                tokio::select! {
                    Some(Ok(message)) = changed.next() => match new_state(&message) {
                        Some(state) => ready.ready.set(state == bmc::BmcState::Ready),
                        None => ready.ready.forget(),
                    },
                    Some(Ok(_)) = owner_changed.next() => ready.ready.forget(),
                    else => return,
                }
            }
        });
        Ok(Self { cache, _follower: Some(follower) })
    }
}

/// The new state in a `PropertiesChanged`.
fn new_state(message: &zbus::Message) -> Option<bmc::BmcState> {
    let body = message.body();
    let (_, changed, _): (String, BTreeMap<String, OwnedVariant>, Vec<String>) =
        body.deserialize().ok()?;
    Properties::from(changed).get(bmc::CURRENT_BMC_STATE).ok()
}

impl Bmc for DbusPlatform {
    async fn is_ready(&self) -> PlatformResult<bool> {
        let connected = self.connected()?;
        let state = async { self.get(BMC, bmc::CURRENT_BMC_STATE).await };
        let ready = async { Ok(state.await? == bmc::BmcState::Ready) };
        connected.firmware.cache.ready.get(ready).await
    }

    async fn request_bmc(&self, transition: BmcTransition) -> PlatformResult<()> {
        self.set(BMC, bmc::REQUESTED_BMC_TRANSITION, transition).await
    }

    async fn firmware_version(&self) -> PlatformResult<String> {
        let connected = self.connected()?;
        connected.firmware.cache.version.get(self.active_version(version::Purpose::BMC)).await
    }

    async fn host_firmware_version(&self) -> PlatformResult<String> {
        // Not cached: the host's firmware can be updated while this daemon runs.
        self.active_version(version::Purpose::Host).await
    }

    async fn firmware_may_have_changed(&self) {
        self.signals.firmware.notified().await;
    }

    async fn system_uuid(&self) -> PlatformResult<[u8; 16]> {
        let connected = self.connected()?;
        let ask = async {
            let member = Member::Get(uuid::NAME, uuid::UUID.name);
            let objects = locate::subtree(&connected.client, INVENTORY, uuid::NAME).await?;
            let object = objects.first().ok_or_else(|| CallError::no_object(INVENTORY, member))?;
            let text = connected.client.get(object, uuid::UUID).await?;
            let uuid = parse_uuid(&text);
            Ok(uuid.ok_or_else(|| CallError::invalid(object, member, &"not a UUID"))?)
        };
        connected.firmware.cache.uuid.get(ask).await
    }
}

impl DbusPlatform {
    /// The version of the active image for `purpose`.
    async fn active_version(&self, purpose: version::Purpose) -> PlatformResult<String> {
        let connected = self.connected()?;
        let client = &connected.client;
        for image in locate::subtree(client, software::ROOT, version::NAME).await? {
            if client.get(&image, version::PURPOSE).await? == purpose
                && is_active(client, &image).await?
            {
                return Ok(client.get(&image, version::VERSION).await?);
            }
        }
        let member = Member::Get(version::NAME, version::VERSION.name);
        Err(CallError::no_object(software::ROOT, member).into())
    }
}

/// Whether an image is active; one without an activation interface always is.
async fn is_active(client: &Client, image: &ObjectAt) -> Result<bool, CallError> {
    match client.get(image, activation::ACTIVATION).await {
        Ok(state) => Ok(state == activation::Activation::Active),
        Err(error) if error.is_absent() => Ok(true),
        Err(error) => Err(error),
    }
}

/// The bytes of a UUID in the notation of RFC 4122, in the order of its digits.
pub(super) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    ::uuid::Uuid::try_parse(text).ok().map(::uuid::Uuid::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_text_becomes_its_bytes() {
        let bytes = parse_uuid("00112233-4455-6677-8899-aabbccddeeff").unwrap();
        assert_eq!(bytes[..3], [0x00, 0x11, 0x22]);
        assert_eq!(parse_uuid("00112233445566778899aabbccddeeff"), Some(bytes));
        for text in
            ["", "0011", "zz112233-4455-6677-8899-aabbccddeeff", "é0112233445566778899aabbccddeef"]
        {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }
}
