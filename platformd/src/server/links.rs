//! The connections to the bus, and the names that each owns.
//!
//! A bus policy applies to a connection: who may send to one of its names may send to all of its objects.
//! Policies of other packages open names that are theirs on a usual system (systemd's opens
//! `org.freedesktop.timedate1` to everybody), so each name outside OpenBMC's has a connection of its own,
//! with its own objects only.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use openbmc_dbus::bus::{self, OwnNameError};
use tracing::warn;
use zbus::Connection;
use zbus::message::{Message, Type};

/// The prefix of names that only this suite's bus policy opens.
const OWN_NAMESPACE: &str = "xyz.openbmc_project.";

/// The number of a connection: 0 has all names of [`OWN_NAMESPACE`].
pub(super) type LinkId = usize;

/// One connection.
#[derive(Debug)]
struct Link {
    connection: Connection,
    /// The one name that it owns; `None` for connection 0.
    only: Option<String>,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Links(Vec<Link>);

/// Messages to be sent, by connection.
#[derive(Debug, Default)]
pub(super) struct Outbox(Vec<(LinkId, Message)>);

impl Links {
    /// Connects, for these names, however long it takes.
    pub(super) async fn connect(names: BTreeSet<String>) -> Self {
        let mut links = vec![Link { connection: bus::connect().await, only: None }];
        for name in names.into_iter().filter(|name| !name.starts_with(OWN_NAMESPACE)) {
            links.push(Link { connection: bus::connect().await, only: Some(name) });
        }
        Self(links)
    }

    /// The messages of all connections; `None` when one is closed.
    pub(super) fn messages(&self) -> BoxStream<'static, (LinkId, Option<Message>)> {
        let one = |(id, link): (LinkId, &Link)| {
            let messages = bus::messages(&link.connection).map(Result::ok);
            let end = stream::once(std::future::ready(None));
            messages.chain(end).map(move |message| (id, message)).boxed()
        };
        stream::select_all(self.0.iter().enumerate().map(one)).boxed()
    }

    /// The name of a connection that owns exactly one.
    pub(super) fn only(&self, id: LinkId) -> Option<&str> {
        self.0.get(id)?.only.as_deref()
    }

    /// Connection 0, on which the bus daemon is asked about senders of all links.
    pub(super) fn main(&self) -> Option<&Connection> {
        self.0.first().map(|link| &link.connection)
    }

    /// Sends what is in `outbox`.
    ///
    /// # Errors
    ///
    /// When a connection is closed.
    pub(super) async fn send(&self, outbox: Outbox) -> zbus::Result<()> {
        for (id, link) in self.0.iter().enumerate() {
            let own = outbox.0.iter().filter(|(to, _)| *to == id);
            let messages: Vec<Message> = own.map(|(_, message)| message.clone()).collect();
            link.connection.send_all(&messages).await?;
        }
        Ok(())
    }

    /// Requests names after a delay; returns those that other processes own.
    pub(super) fn request_names(
        &self,
        names: BTreeSet<String>,
        after: Duration,
    ) -> impl Future<Output = BTreeSet<String>> + use<> {
        let requests: Vec<_> = names
            .into_iter()
            .filter_map(|name| {
                let link = self.0.get(self.of_service(&name))?;
                Some((link.connection.clone(), name))
            })
            .collect();
        async move {
            tokio::time::sleep(after).await;
            // All at once: there are dozens, and each would wait for the reply to the one before.
            let requested = requests.into_iter().map(|(connection, name)| async move {
                let owned = bus::own_name(&connection, &name).await;
                (name, owned)
            });
            let mut taken = BTreeSet::new();
            for (name, owned) in join_all(requested).await {
                match owned {
                    Ok(()) => {}
                    Err(OwnNameError::Taken) => {
                        taken.insert(name);
                    }
                    Err(error) => warn!(name, %error, "cannot own this bus name"),
                }
            }
            taken
        }
    }

    /// The connection that has the name.
    pub(super) fn of_service(&self, name: &str) -> LinkId {
        self.0.iter().position(|link| link.only.as_deref() == Some(name)).unwrap_or_default()
    }
}

impl Outbox {
    pub(super) fn push(&mut self, id: LinkId, message: Message) {
        self.0.push((id, message));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The name that one of this process's connections lost, if `message` is that notification.
pub(super) fn lost_name(message: &Message) -> Option<String> {
    const BUS: &str = "org.freedesktop.DBus";
    let header = message.header();
    let is_loss = message.message_type() == Type::Signal
        && header.sender().is_some_and(|sender| sender.as_str() == BUS)
        && header.member().is_some_and(|member| member.as_str() == "NameLost");
    is_loss.then(|| message.body().deserialize().ok()).flatten()
}
