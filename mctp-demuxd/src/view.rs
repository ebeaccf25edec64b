//! What an operator sees on D-Bus, under [`NAME`].
//!
//! Endpoints have the paths and interfaces that CodeConstruct's `mctpd` gives them, below a root of
//! our own; bindings and clients, which it does not have, have interfaces of our own. Everything is
//! read when it is asked for; what announces changes are the objects that come and go, and `EID`.
//! Without a bus the daemon serves all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mctp_proto::route::Kind;
use mctp_proto::{DropReason, Eid, LinkId, MessageType};
use openbmc_dbus::bus;
use zbus::fdo::ObjectManager;
use zbus::{Connection, interface};

use crate::demux::{Change, ClientCounters, ClientId, Refusal};
use crate::engine::{Engine, Hub};

/// The bus name.
pub const NAME: &str = "xyz.openbmc_project.MCTP.Demux";

/// Where all objects are.
pub const ROOT: &str = "/xyz/openbmc_project/mctp";

/// The number that `mctpd` would give to the one network that all links belong to.
const NETWORK: u32 = 1;

/// How long to wait for another bus when one would not have us.
const RETRY: Duration = Duration::from_secs(5);

/// A client: number, type, messages and bytes from it, messages and bytes to it, how often it had to
/// wait, answers it owes, messages queued for it.
type ClientEntry = (u64, u8, u64, u64, u64, u64, u64, u64, u64);

type ClientState = (ClientId, MessageType, ClientCounters, usize);

/// Shows everything for ever, on whatever bus there is.
pub(crate) async fn serve(hub: Arc<Hub>) {
    loop {
        let connection = bus::connect().await;
        if let Err(error) = show(&hub, &connection).await {
            tracing::warn!(%error, "cannot be seen on the bus");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Shows everything on one connection until it is closed.
async fn show(hub: &Arc<Hub>, connection: &Connection) -> zbus::Result<()> {
    let server = connection.object_server();
    server.at(ROOT, ObjectManager).await?;
    server.at(ROOT, Root { hub: Arc::clone(hub) }).await?;
    let links = hub.with(|engine| engine.demux.links().len());
    for link in (0..links).filter_map(|index| u8::try_from(index).ok().map(LinkId)) {
        let binding = Binding { hub: Arc::clone(hub), link };
        server.at(format!("{ROOT}/interfaces/{}", link.0), binding).await?;
    }
    let mut shown = BTreeSet::new();
    update(hub, connection, &mut shown).await?;
    let named = bus::keep_name(connection, NAME);
    tokio::pin!(named);
    loop {
        tokio::select! {
            () = &mut named => return Ok(()),
            changes = hub.changes() => {
                update(hub, connection, &mut shown).await?;
                if changes.contains(&Change::OwnEid) {
                    let root = server.interface::<_, Root>(ROOT).await?;
                    root.get().await.e_i_d_changed(root.signal_emitter()).await?;
                }
            }
        }
    }
}

/// Adds endpoints that have come and removes those that have gone.
async fn update(
    hub: &Arc<Hub>,
    connection: &Connection,
    shown: &mut BTreeSet<Eid>,
) -> zbus::Result<()> {
    let server = connection.object_server();
    let present = hub.with(|engine| endpoints(engine));
    for &gone in shown.difference(&present) {
        server.remove::<Endpoint, _>(path_of(gone)).await?;
        server.remove::<Uuid, _>(path_of(gone)).await?;
    }
    for &eid in present.difference(shown) {
        server.at(path_of(eid), Endpoint { hub: Arc::clone(hub), eid }).await?;
        server.at(path_of(eid), Uuid { hub: Arc::clone(hub), eid }).await?;
    }
    *shown = present;
    Ok(())
}

fn path_of(eid: Eid) -> String {
    format!("{ROOT}/networks/{NETWORK}/endpoints/{eid}")
}

/// This endpoint, and every other that a route leads to by itself.
fn endpoints(engine: &Engine) -> BTreeSet<Eid> {
    let single = |kind| matches!(kind, Kind::Endpoint | Kind::Bridge);
    let routes = engine.demux.routes().into_iter().filter(|route| single(route.kind));
    routes
        .map(|route| route.first)
        .chain([engine.demux.eid()])
        .filter(|e| e.is_assignable())
        .collect()
}

/// The daemon as a whole.
struct Root {
    hub: Arc<Hub>,
}

#[interface(name = "xyz.openbmc_project.MCTP.Demux")]
impl Root {
    /// This endpoint's id; 0 while it has none.
    #[zbus(property, name = "EID")]
    fn eid(&self) -> u8 {
        self.hub.with(|engine| engine.demux.eid().0)
    }

    /// Types that somebody has registered for.
    #[zbus(property)]
    fn types(&self) -> Vec<u8> {
        self.hub.with(|engine| engine.demux.types().map(|kind| kind.value()).collect())
    }

    /// Messages thrown away at the sockets' side, by reason.
    #[zbus(property)]
    fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.hub.with(|engine| {
            let count = |refusal: Refusal| (refusal.name(), engine.demux.refusals().of(refusal));
            Refusal::ALL.into_iter().map(count).collect()
        })
    }

    /// Every client, in the order in which they came.
    #[zbus(property)]
    fn clients(&self) -> Vec<ClientEntry> {
        self.hub.with(|engine| {
            let entry = |(id, kind, counters, owed): ClientState| {
                (
                    id.0,
                    kind.value(),
                    counters.messages_in,
                    counters.bytes_in,
                    counters.messages_out,
                    counters.bytes_out,
                    counters.waits,
                    owed as u64,
                    engine.sockets.queued(id).0 as u64,
                )
            };
            engine.demux.clients().map(entry).collect()
        })
    }
}

/// One link.
struct Binding {
    hub: Arc<Hub>,
    link: LinkId,
}

#[interface(name = "xyz.openbmc_project.MCTP.Demux.Binding")]
impl Binding {
    /// The binding as it was configured.
    #[zbus(property)]
    fn name(&self) -> String {
        self.hub.with(|engine| engine.link_name(self.link).to_owned())
    }

    /// Whether its device is there.
    #[zbus(property)]
    fn up(&self) -> bool {
        self.hub.with(|engine| engine.link(self.link).is_some_and(|link| link.up))
    }

    /// Packets, messages and bytes both ways.
    #[zbus(property)]
    fn counters(&self) -> BTreeMap<&'static str, u64> {
        let counters = self.hub.with(|engine| engine.link(self.link).map(|link| link.counters));
        let counters = counters.unwrap_or_default();
        BTreeMap::from([
            ("packets-in", counters.packets_in),
            ("packets-out", counters.packets_out),
            ("messages-in", counters.messages_in),
            ("messages-out", counters.messages_out),
            ("bytes-in", counters.bytes_in),
            ("bytes-out", counters.bytes_out),
            ("forwarded", counters.forwarded),
        ])
    }

    /// Frames, packets and unfinished messages thrown away, by reason.
    #[zbus(property)]
    fn drops(&self) -> BTreeMap<&'static str, u64> {
        let counters = self.hub.with(|engine| engine.link(self.link).map(|link| link.counters));
        let drops = counters.unwrap_or_default().drops;
        DropReason::ALL.into_iter().map(|reason| (reason.name(), drops.of(reason))).collect()
    }
}

/// One endpoint, as `mctpd` shows it.
struct Endpoint {
    hub: Arc<Hub>,
    eid: Eid,
}

#[interface(name = "xyz.openbmc_project.MCTP.Endpoint")]
impl Endpoint {
    /// Its id.
    #[zbus(property, name = "EID")]
    fn eid(&self) -> u8 {
        self.eid.0
    }

    /// The network it is in.
    #[zbus(property)]
    fn network_id(&self) -> u32 {
        NETWORK
    }

    /// What it takes; empty while it has not been asked.
    #[zbus(property)]
    fn supported_message_types(&self) -> Vec<u8> {
        self.hub.with(|engine| {
            if engine.demux.eid() == self.eid {
                return engine.demux.types().map(|kind| kind.value()).collect();
            }
            let found = engine.demux.endpoints().find(|found| found.eid == self.eid);
            found.map(|f| f.types.iter().map(|kind| kind.value()).collect()).unwrap_or_default()
        })
    }
}

/// An endpoint's UUID, as `mctpd` shows it.
struct Uuid {
    hub: Arc<Hub>,
    eid: Eid,
}

#[interface(name = "xyz.openbmc_project.Common.UUID")]
impl Uuid {
    /// In the customary form; empty while it is not known.
    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> String {
        let uuid = self.hub.with(|engine| {
            if engine.demux.eid() == self.eid {
                return engine.demux.identity().uuid;
            }
            engine.demux.endpoints().find(|found| found.eid == self.eid).and_then(|f| f.uuid)
        });
        uuid.map(|uuid| format_uuid(&uuid)).unwrap_or_default()
    }
}

fn format_uuid(uuid: &[u8; 16]) -> String {
    let digit = |(index, byte): (usize, &u8)| {
        let hyphen = if [4, 6, 8, 10].contains(&index) { "-" } else { "" };
        format!("{hyphen}{byte:02x}")
    };
    uuid.iter().enumerate().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_their_hyphens() {
        let uuid = std::array::from_fn(|index| u8::try_from(index).unwrap());
        assert_eq!(format_uuid(&uuid), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
