//! `org.causeway.Daemon`: what is in force of a daemon's configuration, and its reload. The interface is Causeway's
//! own; `docs/dbus.md` is its contract.
//!
//! The object is on a connection of its own, under a name of its own, so that no request waits for it. The bus policy
//! says who may call it.

use daemon::reload::{Change, Reload, Setting};
use tracing::warn;
use zbus::{Connection, fdo, interface};

use crate::bus;

/// What the names begin with: the daemon's follows, and the channel's of one that serves a channel.
pub const PREFIX: &str = "org.causeway.Daemon.";
/// The object.
pub const PATH: &str = "/org/causeway/Daemon";
/// Its interface.
pub const INTERFACE: &str = "org.causeway.Daemon";
/// `Reload() → (as, as)`: reloads the configuration; the keys that were applied, and those that need a restart.
pub const RELOAD: &str = "Reload";
/// `Changes() → (a(sssb))`: a [`ChangeRow`] for each key that a reload or a restart would change.
pub const CHANGES: &str = "Changes";
/// `Settings() → (a(sssb))`: a [`SettingRow`] for each key.
pub const SETTINGS: &str = "Settings";

/// A key, its value in force as TOML, where it is from, and whether a reload applies it.
pub type SettingRow = (String, String, String, bool);
/// A key, its value in force and that of the file as TOML, and whether a reload applies it.
pub type ChangeRow = (String, String, String, bool);

/// The bus name of a daemon, or of the one that serves `channel`.
#[must_use]
pub fn name(daemon: &str, channel: Option<&str>) -> String {
    let element = |text: &str| -> String {
        let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let digit = text.starts_with(|first: char| first.is_ascii_digit());
        let prefix = if digit { "_" } else { "" };
        prefix.chars().chain(text.chars().map(letter)).collect()
    };
    let channel = channel.map(|channel| format!(".{}", element(channel))).unwrap_or_default();
    format!("{PREFIX}{}{channel}", element(daemon))
}

/// Publishes the configuration of a daemon, which may serve `channel`, as long as the daemon runs.
pub async fn serve(reload: Reload, channel: Option<String>) {
    let name = name(reload.name(), channel.as_deref());
    let publish = async |connection: Connection| {
        let object = Object { reload: reload.clone() };
        connection.object_server().at(PATH, object).await?;
        tokio::spawn(announce_errors(connection, reload.clone()));
        Ok(())
    };
    match bus::serve_owned(&name, publish).await {}
}

/// Announces changes of the property until the connection is closed.
async fn announce_errors(connection: Connection, reload: Reload) {
    let mut errors = reload.errors();
    loop {
        tokio::select! {
            () = connection.closed() => return,
            changed = errors.changed() => if changed.is_err() {
                return;
            },
        }
        errors.borrow_and_update();
        if let Err(error) = announce_error(&connection).await {
            warn!(%error, "cannot publish that a configuration was refused or accepted");
        }
    }
}

async fn announce_error(connection: &Connection) -> zbus::Result<()> {
    let object = connection.object_server().interface::<_, Object>(PATH).await?;
    object.get().await.configuration_error_changed(object.signal_emitter()).await
}

/// The object of one daemon.
struct Object {
    reload: Reload,
}

#[interface(name = "org.causeway.Daemon")]
impl Object {
    /// Reloads the configuration; an error has file and line.
    async fn reload(&self) -> fdo::Result<(Vec<&'static str>, Vec<&'static str>)> {
        let reloaded = self.reload.reload().await.map_err(fdo::Error::InvalidFileContent)?;
        Ok((reloaded.applied, reloaded.restart_needed))
    }

    /// What a reload or a restart would change.
    async fn changes(&self) -> fdo::Result<(Vec<ChangeRow>,)> {
        let changes = self.reload.changes().await.map_err(fdo::Error::InvalidFileContent)?;
        let row = |Change { running, file }: Change| {
            (file.key.to_owned(), running.value, file.value, file.live)
        };
        Ok((changes.into_iter().map(row).collect(),))
    }

    /// What is in force.
    fn settings(&self) -> (Vec<SettingRow>,) {
        let row = |setting: Setting| {
            (setting.key.to_owned(), setting.value, setting.origin.to_string(), setting.live)
        };
        (self.reload.settings().into_iter().map(row).collect(),)
    }

    /// Why the last reload was refused; empty if it was not.
    #[zbus(property)]
    fn configuration_error(&self) -> String {
        self.reload.errors().borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_the_bus() {
        for (daemon, channel, expected) in [
            ("ipmid", None, "org.causeway.Daemon.ipmid"),
            ("mctp-demuxd", None, "org.causeway.Daemon.mctp_demuxd"),
            ("netipmid", Some("eth0.5"), "org.causeway.Daemon.netipmid.eth0_5"),
            ("kcsbridged", Some("3"), "org.causeway.Daemon.kcsbridged._3"),
        ] {
            let name = name(daemon, channel);
            assert_eq!(name, expected);
            assert!(zbus::names::WellKnownName::try_from(name.as_str()).is_ok(), "{name}");
        }
    }
}
