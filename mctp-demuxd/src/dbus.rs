//! What is published on D-Bus.
//!
//! Endpoints, networks and interfaces have the names, paths and interfaces that CodeConstruct's
//! `mctpd` gives them (its `docs/mctpd.md`), below a root of our own unless [`Names::mctpd`] is asked
//! for; bindings and clients, which it does not have, have interfaces of our own. Properties are read
//! when they are asked for; changes are announced for objects that appear and disappear, for `EID`, and
//! for what is known of an endpoint. Without a bus the daemon serves all the same.

mod demux;
mod endpoint;
mod interface;
mod network;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daemon::metrics::{BUS_RECONNECTS, Metrics};
use mctp_proto::control::bus_owner::{Endpoint as Found, Finding, TargetId};
use mctp_proto::route::{Kind, Origin};
use mctp_proto::{Eid, LinkId};
use openbmc_dbus::bus;
use openbmc_dbus::recorder::object::MetricsObject;
use zbus::fdo::ObjectManager;
use zbus::{Connection, fdo};

use self::demux::{Binding, Root};
use self::endpoint::{Bridge, Endpoint, EndpointControl, Uuid};
use self::interface::{BusOwner, Interface};
use self::network::Network;
use crate::demux::{Change, LinkKind};
use crate::engine::{Engine, EngineHandle};

/// The number of the one network that all links belong to.
const NETWORK: u32 = 1;

/// How long to wait for another bus when one refuses the connection.
const RETRY: Duration = Duration::from_secs(5);

/// The bus name, and where all objects are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Names {
    /// The bus name.
    pub bus: &'static str,
    /// The path of the root object.
    pub root: &'static str,
}

impl Names {
    /// Our own.
    #[must_use]
    pub const fn own() -> Self {
        Self { bus: "xyz.openbmc_project.MCTP.Demux", root: "/xyz/openbmc_project/mctp" }
    }

    /// Those of `mctpd`, for its clients.
    #[must_use]
    pub const fn mctpd() -> Self {
        Self { bus: "au.com.codeconstruct.MCTP1", root: "/au/com/codeconstruct/mctp1" }
    }

    fn endpoint(self, eid: Eid) -> String {
        format!("{}/networks/{NETWORK}/endpoints/{eid}", self.root)
    }
}

/// Publishes everything for ever, on whatever bus there is.
pub(crate) async fn serve(handle: Arc<EngineHandle>, names: Names) {
    let mut is_first = true;
    loop {
        let connection = bus::connect().await;
        if !std::mem::take(&mut is_first) {
            BUS_RECONNECTS.add(1);
        }
        let mut publisher = Publisher {
            handle: Arc::clone(&handle),
            names,
            connection: connection.clone(),
            endpoints: BTreeMap::new(),
        };
        if let Err(error) = publisher.publish().await {
            tracing::warn!(%error, "cannot publish on the bus; trying again in 5 s");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// What is counted beside the properties.
fn metrics() -> Metrics {
    let mut metrics = Metrics::default();
    metrics.of_process("mctp-demuxd");
    let (writes, bytes) = durable::written();
    let labels = [("daemon", "mctp-demuxd")];
    metrics.number("causeway_state_writes_total", &labels, writes);
    metrics.number("causeway_state_written_bytes_total", &labels, bytes);
    metrics
}

/// One connection, and what is published on it.
struct Publisher {
    handle: Arc<EngineHandle>,
    names: Names,
    connection: Connection,
    endpoints: BTreeMap<Eid, Option<Found>>,
}

impl Publisher {
    /// Publishes everything until the connection is closed.
    async fn publish(&mut self) -> zbus::Result<()> {
        let server = self.connection.object_server().clone();
        let root = self.names.root;
        let handle = || Arc::clone(&self.handle);
        server.at(root, ObjectManager).await?;
        server.at(root, Root { handle: handle() }).await?;
        server.at(root, MetricsObject::new(metrics)).await?;
        let network = Network { handle: handle(), names: self.names };
        server.at(format!("{root}/networks/{NETWORK}"), network).await?;
        let links = self.handle.with(|engine| engine.demux.links().len());
        for link in (0..links).filter_map(|index| u8::try_from(index).ok().map(LinkId)) {
            self.add_interface(link).await?;
        }
        self.update().await?;
        let connection = self.connection.clone();
        let named = bus::maintain_name(&connection, self.names.bus);
        tokio::pin!(named);
        loop {
            tokio::select! {
                () = &mut named => return Ok(()),
                changes = self.handle.changes() => {
                    self.update().await?;
                    if changes.contains(&Change::OwnEid) {
                        let root = server.interface::<_, Root>(root).await?;
                        root.get().await.e_i_d_changed(root.signal_emitter()).await?;
                    }
                }
            }
        }
    }

    async fn add_interface(&self, link: LinkId) -> zbus::Result<()> {
        let server = self.connection.object_server();
        let path = format!("{}/interfaces/{}", self.names.root, link.0);
        let handle = || Arc::clone(&self.handle);
        server.at(&*path, Binding { handle: handle(), link }).await?;
        server.at(&*path, Interface { handle: handle(), link }).await?;
        let owned = self.handle.with(|engine| {
            let kind = engine.link(link).map(|link| link.kind);
            engine.demux.owner().is_some() && kind.is_some_and(|kind| kind != LinkKind::Kernel)
        });
        if owned {
            let owner = BusOwner { handle: handle(), names: self.names, link };
            server.at(&*path, owner).await?;
        }
        Ok(())
    }

    /// Adds endpoints that were found, removes those that were lost, and announces what has changed.
    async fn update(&mut self) -> zbus::Result<()> {
        let present = self.handle.with(|engine| endpoints(engine));
        let before = std::mem::take(&mut self.endpoints);
        for (&eid, found) in &before {
            let had_pool = found.as_ref().is_some_and(|found| found.pool.is_some());
            match present.get(&eid) {
                None => self.remove(eid, had_pool).await?,
                Some(now) if now != found => {
                    let has_pool = now.as_ref().is_some_and(|found| found.pool.is_some());
                    if has_pool == had_pool {
                        self.announce(eid).await?;
                    } else {
                        self.remove(eid, had_pool).await?;
                        self.add(eid, has_pool).await?;
                    }
                }
                Some(_) => {}
            }
        }
        for (&eid, found) in present.iter().filter(|(eid, _)| !before.contains_key(eid)) {
            self.add(eid, found.as_ref().is_some_and(|found| found.pool.is_some())).await?;
        }
        self.endpoints = present;
        Ok(())
    }

    async fn add(&self, eid: Eid, has_pool: bool) -> zbus::Result<()> {
        let (server, path) = (self.connection.object_server(), self.names.endpoint(eid));
        let handle = || Arc::clone(&self.handle);
        server.at(&*path, Endpoint { handle: handle(), eid }).await?;
        server.at(&*path, Uuid { handle: handle(), eid }).await?;
        server.at(&*path, EndpointControl { handle: handle(), eid }).await?;
        if has_pool {
            server.at(&*path, Bridge { handle: handle(), eid }).await?;
        }
        Ok(())
    }

    async fn remove(&self, eid: Eid, had_pool: bool) -> zbus::Result<()> {
        let (server, path) = (self.connection.object_server(), self.names.endpoint(eid));
        server.remove::<Endpoint, _>(&*path).await?;
        server.remove::<Uuid, _>(&*path).await?;
        server.remove::<EndpointControl, _>(&*path).await?;
        if had_pool {
            server.remove::<Bridge, _>(&*path).await?;
        }
        Ok(())
    }

    async fn announce(&self, eid: Eid) -> zbus::Result<()> {
        let (server, path) = (self.connection.object_server(), self.names.endpoint(eid));
        let endpoint = server.interface::<_, Endpoint>(&*path).await?;
        let (current, emitter) = (endpoint.get().await, endpoint.signal_emitter());
        current.supported_message_types_changed(emitter).await?;
        current.vendor_defined_message_types_changed(emitter).await?;
        let uuid = server.interface::<_, Uuid>(&*path).await?;
        uuid.get().await.u_u_i_d_changed(uuid.signal_emitter()).await?;
        let control = server.interface::<_, EndpointControl>(&*path).await?;
        control.get().await.connectivity_changed(control.signal_emitter()).await
    }
}

/// This endpoint, those that are configured or were found, and those that have answered a request;
/// with what the bus owner knows. Anybody can send from any id, so a message alone publishes nothing.
fn endpoints(engine: &Engine) -> BTreeMap<Eid, Option<Found>> {
    let published = |route: &mctp_proto::route::Route| {
        matches!(route.kind, Kind::Endpoint | Kind::Bridge) && route.origin >= Origin::Answered
    };
    let routes = engine.demux.routes().into_iter().filter(published);
    let found = |eid| engine.demux.endpoints().find(|found| found.eid == eid).cloned();
    routes
        .map(|route| route.first)
        .chain([engine.demux.eid()])
        .filter(|eid| eid.is_assignable())
        .map(|eid| (eid, found(eid)))
        .collect()
}

/// Waits until the bus owner knows whether there is an endpoint; gives its id and whether it was
/// assigned now.
async fn finding(handle: &EngineHandle, target: Option<TargetId>) -> fdo::Result<(Eid, bool)> {
    let target =
        target.ok_or_else(|| fdo::Error::LimitsExceeded("too many endpoints".to_owned()))?;
    loop {
        let advances = handle.bus_owner_advances();
        tokio::pin!(advances);
        advances.as_mut().enable();
        let finding = handle.peek(|engine| {
            engine.demux.owner().map_or(Finding::Absent, |owner| owner.finding(target))
        });
        match finding {
            Finding::Found(eid, new) => return Ok((eid, new)),
            Finding::Absent => {
                return Err(fdo::Error::Failed("there is no endpoint, or no id for it".to_owned()));
            }
            Finding::Pending => advances.await,
        }
    }
}
