//! The settings objects of SOL, and obmc-console's.

use openbmc_dbus::client::{CallError, ObjectAt, Properties};
use openbmc_dbus::console::uart;
use openbmc_dbus::execute::CHANNEL_PREFIX;
use openbmc_dbus::interface::{Property, PropertyValue};
use openbmc_dbus::ipmi::sol;

use super::{Connected, DbusPlatform, Target};
use crate::platform::{PlatformResult, Sol, SolChange, SolSettings};

const CONSOLE: Target = Target::At(uart::PATH, uart::NAME);

impl Sol for DbusPlatform {
    async fn sol_settings(&self, channel: &str) -> PlatformResult<SolSettings> {
        let connected = self.connected()?;
        let object = settings_of(&connected, channel).await?;
        Ok(connected.client.read(&object, sol::NAME, read).await?)
    }

    async fn change_sol(&self, channel: &str, change: SolChange) -> PlatformResult<()> {
        let connected = self.connected()?;
        let object = settings_of(&connected, channel).await?;
        let at = (&*connected, &object);
        match change {
            SolChange::Enable(value) => set(at, sol::ENABLE, value).await,
            SolChange::Authentication { force_encryption, force_authentication, privilege } => {
                set(at, sol::FORCE_ENCRYPTION, force_encryption).await?;
                set(at, sol::FORCE_AUTHENTICATION, force_authentication).await?;
                set(at, sol::PRIVILEGE, privilege).await
            }
            SolChange::Accumulate { interval, threshold } => {
                set(at, sol::ACCUMULATE_INTERVAL_MS, interval).await?;
                set(at, sol::THRESHOLD, threshold).await
            }
            SolChange::Retry { count, interval } => {
                set(at, sol::RETRY_COUNT, count).await?;
                set(at, sol::RETRY_INTERVAL_MS, interval).await
            }
        }
    }

    async fn console_baud(&self) -> PlatformResult<u64> {
        self.get(CONSOLE, uart::BAUD).await
    }

    async fn set_console_baud(&self, baud: u64) -> PlatformResult<()> {
        self.set(CONSOLE, uart::BAUD, baud).await
    }
}

/// The settings service's object, or else that of the channel's bridge, which has one if there is no settings
/// service.
async fn settings_of(connected: &Connected, channel: &str) -> PlatformResult<ObjectAt> {
    let path = format!("{}{channel}", sol::PATH_PREFIX);
    let bridge = format!("{CHANNEL_PREFIX}{channel}");
    let owners = match connected.client.object_owners(&path, &[sol::NAME]).await {
        Err(error) if error.is_absent() => Default::default(),
        other => other?,
    };
    let service = owners.into_keys().find(|service| *service != bridge).unwrap_or(bridge);
    Ok(ObjectAt::new(service, path))
}

async fn set<T: PropertyValue>(
    (connected, object): (&Connected, &ObjectAt),
    property: Property<T>,
    value: T,
) -> PlatformResult<()> {
    Ok(connected.client.set(object, property, value).await?)
}

fn read(properties: &Properties) -> Result<SolSettings, CallError> {
    Ok(SolSettings {
        enable: properties.get(sol::ENABLE)?,
        force_encryption: properties.get(sol::FORCE_ENCRYPTION)?,
        force_authentication: properties.get(sol::FORCE_AUTHENTICATION)?,
        privilege: properties.get(sol::PRIVILEGE)?,
        accumulate_interval: properties.get(sol::ACCUMULATE_INTERVAL_MS)?,
        threshold: properties.get(sol::THRESHOLD)?,
        retry_count: properties.get(sol::RETRY_COUNT)?,
        retry_interval: properties.get(sol::RETRY_INTERVAL_MS)?,
    })
}
