//! Following who owns the bridges' names.

use std::sync::Arc;

use futures_util::StreamExt;
use openbmc_dbus::execute::CHANNEL_PREFIX;
use openbmc_dbus::ipmi::host_ipmi;
use tokio::sync::mpsc;
use tokio::task;
use tracing::warn;
use zbus::fdo::{DBusProxy, NameOwnerChanged};
use zbus::names::BusName;
use zbus::{Connection, MatchRule, MessageStream, message};

use super::Channels;

/// Changes that may wait for the bus to say who the new owner is.
const QUEUE: usize = 64;

/// A name, and its owner if it has one.
type Change = (String, Option<String>);

/// Learns the present owners and follows their changes until the bus goes.
pub(super) async fn start(channels: Arc<Channels>, bus: &Connection) -> zbus::Result<()> {
    // Before the list is asked for, so that no change is missed in between.
    let (changes, queue) = mpsc::channel(QUEUE);
    for namespace in [CHANNEL_PREFIX.trim_end_matches('.'), host_ipmi::SERVICE] {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg0ns(namespace)
            .build()?;
        let signals = MessageStream::for_match_rule(rule, bus, None).await?;
        task::spawn(drain(signals, changes.clone()));
    }
    let proxy = DBusProxy::new(bus).await?;
    for name in proxy.list_names().await? {
        if !name.as_str().starts_with(CHANNEL_PREFIX) {
            continue;
        }
        if let Ok(owner) = proxy.get_name_owner(BusName::from(name.clone())).await {
            channels.owner_changed(&proxy, name.as_str(), Some(owner.as_str())).await;
        }
    }
    task::spawn(async move { apply(&channels, &proxy, queue).await });
    Ok(())
}

/// Takes signals off the connection as they come: it must never wait for a call on it.
async fn drain(mut signals: MessageStream, changes: mpsc::Sender<Change>) {
    while let Some(Ok(message)) = signals.next().await {
        let Some(signal) = NameOwnerChanged::from_message(message) else {
            continue;
        };
        let Ok(arguments) = signal.args() else {
            continue;
        };
        let owner = arguments.new_owner().as_ref().map(ToString::to_string);
        if changes.try_send((arguments.name().to_string(), owner)).is_err() {
            // Whoever is not followed is looked up when it calls.
            warn!("too many bridges come and go");
        }
    }
}

async fn apply(channels: &Channels, proxy: &DBusProxy<'_>, mut queue: mpsc::Receiver<Change>) {
    while let Some((name, owner)) = queue.recv().await {
        channels.owner_changed(proxy, &name, owner.as_deref()).await;
    }
}
