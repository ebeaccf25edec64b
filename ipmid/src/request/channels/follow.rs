//! Following who owns the bridges' names.

use std::sync::Arc;

use futures_util::StreamExt;
use openbmc_dbus::execute::CHANNEL_PREFIX;
use openbmc_dbus::ipmi::host_ipmi;
use tokio::task;
use zbus::fdo::{DBusProxy, NameOwnerChanged};
use zbus::names::BusName;
use zbus::{Connection, MatchRule, MessageStream, message};

use super::Channels;
use super::identity::is_bridge_name;

/// Learns the present owners and follows their changes until the bus goes.
pub(super) async fn start(channels: Arc<Channels>, bus: &Connection) -> zbus::Result<()> {
    // Before the list is asked for, so that no change is missed in between.
    for namespace in [CHANNEL_PREFIX.trim_end_matches('.'), host_ipmi::SERVICE] {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg0ns(namespace)
            .build()?;
        let signals = MessageStream::for_match_rule(rule, bus, None).await?;
        task::spawn(follow(Arc::clone(&channels), signals));
    }
    let proxy = DBusProxy::new(bus).await?;
    for name in proxy.list_names().await? {
        if is_bridge_name(name.as_str()) {
            learn_owner(&channels, &proxy, name.as_str()).await?;
        }
    }
    Ok(())
}

/// Learns who owns `name`, unless signals say so meanwhile: an answer that they have overtaken is asked for again.
async fn learn_owner(channels: &Channels, proxy: &DBusProxy<'_>, name: &str) -> zbus::Result<()> {
    loop {
        let before = channels.changes();
        let Ok(owner) = proxy.get_name_owner(BusName::try_from(name)?).await else {
            return Ok(()); // it went away
        };
        if channels.changes() == before {
            channels.owner_changed(name, Some(owner.as_str()));
            return Ok(());
        }
    }
}

/// Applies changes as they come; nothing here waits for a call on the connection.
async fn follow(channels: Arc<Channels>, mut signals: MessageStream) {
    while let Some(Ok(message)) = signals.next().await {
        let Some(signal) = NameOwnerChanged::from_message(message) else {
            continue;
        };
        let Ok(arguments) = signal.args() else {
            continue;
        };
        let owner = arguments.new_owner().as_ref().map(|owner| owner.as_str());
        channels.owner_changed(arguments.name().as_str(), owner);
    }
}
