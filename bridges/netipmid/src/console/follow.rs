//! The settings object of one channel, followed on the bus, and published if there is none.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use openbmc_dbus::bus;
use openbmc_dbus::client::{CallError, Client, ObjectAt};
use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::sol;
use tokio::sync::watch;
use tracing::{debug, info, warn};
use zbus::Connection;

use super::Settings;
use super::settings_object::SettingsObject;

/// How long a service may take to return its properties.
const DEADLINE: Duration = Duration::from_secs(2);

/// A reading begins when no service has started or ended for so long: those of a BMC start together.
const SETTLE: Duration = Duration::from_millis(100);

/// The time to the next attempt after a failure whose end no signal reports.
const RETRY: Duration = Duration::from_secs(10);

/// Follows the settings of `channel` for ever; `settings` has the present ones.
///
/// They are those of the settings service, which the mapper finds. If it finds none, an object with the
/// defaults is published on the bridge's own connection, where `ipmid` finds it, until there is one.
pub async fn follow_settings(channel: String, link: LinkState, settings: watch::Sender<Settings>) {
    let mut follower = Follower {
        path: format!("{}{channel}", sol::PATH_PREFIX),
        link,
        settings,
        published: None,
    };
    loop {
        let connection = bus::connect().await;
        if let Err(error) = follower.follow(connection).await {
            debug!(%error, "SOL settings are not followed: the bus connection ended; reconnecting");
        }
        follower.withdraw().await;
        tokio::time::sleep(DEADLINE).await;
    }
}

struct Follower {
    path: String,
    link: LinkState,
    settings: watch::Sender<Settings>,
    /// The connection on which our own object is published.
    published: Option<Connection>,
}

impl Follower {
    /// Follows the settings until the connection ends.
    async fn follow(&mut self, connection: Connection) -> zbus::Result<()> {
        let changes = bus::watch_properties(&connection, &self.path, sol::NAME).await?;
        // The mapper, and services with settings, start and end.
        let services = bus::watch_owners(&connection, "xyz.openbmc_project").await?;
        let mut signals = futures_util::stream::select(changes, services);
        let client = Client::new(connection, DEADLINE);
        loop {
            let again = self.refresh(&client, &mut signals).await?;
            tokio::select! {
                signal = signals.next() => drop(signal.ok_or_else(ended)??),
                _ = self.link.changed() => {}
                () = daemon::sleep_until(again) => {}
            }
        }
    }

    /// Reads the settings, or publishes them; returns when to try again, if that failed.
    ///
    /// A signal meanwhile restarts the reading. The signals must be read: a full stream would block the reply as
    /// well.
    async fn refresh(
        &mut self,
        client: &Client,
        signals: &mut (impl StreamExt<Item = zbus::Result<zbus::Message>> + Unpin),
    ) -> zbus::Result<Option<Instant>> {
        let own = self.published.as_ref().and_then(|link| link.unique_name());
        let own = own.map(ToString::to_string);
        let mut settle = Duration::ZERO;
        let found = loop {
            let reading = async {
                tokio::time::sleep(settle).await;
                read(client, &self.path, own.as_deref()).await
            };
            tokio::select! {
                found = reading => break found,
                signal = signals.next() => drop(signal.ok_or_else(ended)??),
            }
            settle = SETTLE;
        };
        match found {
            Ok(Some(settings)) => {
                self.withdraw().await;
                self.set(settings);
                Ok(None)
            }
            Ok(None) => {
                self.publish().await?;
                Ok(None)
            }
            Err(error) => {
                warn!(%error, path = self.path, "cannot read the SOL settings: the last ones stay; retrying");
                Ok(Some(Instant::now() + RETRY))
            }
        }
    }

    fn set(&self, settings: Settings) {
        let changed = self.settings.send_if_modified(|now| {
            let changed = *now != settings;
            *now = settings;
            changed
        });
        if changed {
            info!(enable = settings.enable, "SOL settings changed");
        }
    }

    /// Publishes the settings on the bridge's connection, if there is one and they are not yet.
    async fn publish(&mut self) -> zbus::Result<()> {
        let link = self.link.borrow_and_update().clone();
        let same = |published: &Connection| {
            link.as_ref().is_some_and(|link| link.unique_name() == published.unique_name())
        };
        if self.published.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.published = None;
        if let Some(link) = link {
            let object = SettingsObject::new(self.settings.clone());
            link.object_server().at(self.path.as_str(), object).await?;
            debug!(path = self.path, "SOL settings published");
            self.published = Some(link);
        }
        Ok(())
    }

    /// Removes our own object from the bus.
    async fn withdraw(&mut self) {
        if let Some(link) = self.published.take() {
            let path = self.path.as_str();
            if let Err(error) = link.object_server().remove::<SettingsObject, _>(path).await {
                debug!(%error, "cannot remove the SOL settings object");
            }
        }
    }
}

/// The settings at `path` of another service than `own`; `None` if there are none.
async fn read(
    client: &Client,
    path: &str,
    own: Option<&str>,
) -> Result<Option<Settings>, CallError> {
    let owners = match client.object_owners(path, &[sol::NAME]).await {
        Ok(owners) => owners,
        Err(CallError::NotFound { .. } | CallError::Gone { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    for service in owners.into_keys() {
        if service.starts_with(openbmc_dbus::execute::CHANNEL_PREFIX)
            || own == Some(service.as_str())
        {
            continue;
        }
        let properties = client.get_all(&ObjectAt::new(service, path), sol::NAME).await?;
        return Settings::from_properties(&properties).map(Some);
    }
    Ok(None)
}

/// The connection ended, and its streams with it.
fn ended() -> zbus::Error {
    std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()
}
