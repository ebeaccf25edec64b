//! The sessions on D-Bus: `xyz.openbmc_project.Ipmi.SessionInfo`, an object each, and one for
//! session zero, under an object manager.
//!
//! `ipmid` finds them through the mapper, and reads them to answer Get Session Info and Close Session. Setting
//! `State` of an active session to 3 closes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use ipmi_proto::ChannelNumber;
use openbmc_dbus::execute::LinkState;
use openbmc_dbus::ipmi::session_info;
use rmcp_proto::server::{SessionId, SessionInfo};
use rmcp_proto::suite::CipherSuite;
use tokio::sync::mpsc;
use zbus::{Connection, fdo, interface};

/// A change of the sessions, for their objects.
#[derive(Clone, Copy, Debug)]
pub enum SessionChange {
    /// A session opened, or changed.
    Updated(SessionInfo),
    /// A session ended.
    Closed(SessionId),
}

/// A session, and when it was logged in to, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Published {
    info: SessionInfo,
    since: u64,
}

/// Publishes an object for each session, again after each restart of the bus.
pub struct Publisher {
    /// The channel's name in object paths.
    channel: String,
    number: ChannelNumber,
    /// The UDP port that is served.
    port: u16,
    sessions: BTreeMap<u32, Published>,
    /// Sends the sessions that are to be closed.
    close: mpsc::UnboundedSender<SessionId>,
}

impl Publisher {
    /// A publisher of the sessions of a channel, which is served on `port`.
    #[must_use]
    pub fn new(
        channel: &str,
        number: ChannelNumber,
        port: u16,
        close: mpsc::UnboundedSender<SessionId>,
    ) -> Self {
        let channel = channel.replace('-', "_");
        Self { channel, number, port, sessions: BTreeMap::new(), close }
    }

    /// Applies `changes` to the objects, on the present bus connection of `link`. Ends with `changes`.
    pub async fn run(
        mut self,
        mut link: LinkState,
        mut changes: mpsc::UnboundedReceiver<SessionChange>,
    ) {
        let mut bus = None;
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => self.apply(bus.as_ref(), change).await,
                    None => return,
                },
                linked = link.changed() => {
                    if linked.is_err() {
                        return;
                    }
                    bus = link.borrow_and_update().clone();
                    if let Some(bus) = &bus {
                        self.publish_all(bus).await;
                    }
                }
            }
        }
    }

    async fn apply(&mut self, bus: Option<&Connection>, change: SessionChange) {
        let result = match (change, bus) {
            (SessionChange::Updated(info), bus) => {
                let known = self.sessions.get(&info.id.0).map(|known| known.since);
                let session = Published { info, since: known.unwrap_or_else(now) };
                self.sessions.insert(info.id.0, session);
                match bus {
                    Some(bus) if known.is_some() => self.update(bus, &info).await,
                    Some(bus) => self.publish(bus, &session).await,
                    None => Ok(()),
                }
            }
            (SessionChange::Closed(id), bus) => match (self.sessions.remove(&id.0), bus) {
                (Some(Published { info, .. }), Some(bus)) => {
                    let path = self.path(&info);
                    bus.object_server().remove::<Object, _>(path).await.map(drop)
                }
                _ => Ok(()),
            },
        };
        if let Err(error) = result {
            tracing::warn!(%error, "cannot publish a session on the bus: Get Session Info does not report it");
        }
    }

    async fn publish_all(&self, bus: &Connection) {
        let zero = Object::zero(self.number, self.port, self.close.clone());
        let path = format!("{}/{}/0", session_info::ROOT, self.channel);
        let server = bus.object_server();
        let manager = server.at(session_info::ROOT, fdo::ObjectManager).await;
        let zero = server.at(path, zero).await;
        if let Err(error) = manager.map(drop).and(zero.map(drop)) {
            tracing::warn!(%error, "cannot publish the sessions on the bus: Get Session Info does not report them");
        }
        for session in self.sessions.values() {
            if let Err(error) = self.publish(bus, session).await {
                tracing::warn!(%error, "cannot publish a session on the bus: Get Session Info does not report it");
            }
        }
    }

    async fn publish(&self, bus: &Connection, session: &Published) -> zbus::Result<()> {
        let object = Object::active(session, self.number, self.port, self.close.clone());
        bus.object_server().at(self.path(&session.info), object).await.map(drop)
    }

    async fn update(&self, bus: &Connection, info: &SessionInfo) -> zbus::Result<()> {
        let path = self.path(info);
        let object = bus.object_server().interface::<_, Object>(path).await?;
        let mut object_mut = object.get_mut().await;
        object_mut.privilege = info.privilege.value();
        object_mut.current_privilege_changed(object.signal_emitter()).await
    }

    /// `…/session/<channel>/<session id>_<handle>`, both in hex.
    fn path(&self, info: &SessionInfo) -> String {
        let SessionInfo { id: SessionId(id), handle, .. } = info;
        format!("{}/{}/{id:x}_{handle:x}", session_info::ROOT, self.channel)
    }
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The object of one session.
struct Object {
    id: SessionId,
    handle: u8,
    channel: u8,
    port: u16,
    privilege: u8,
    peer: Option<SocketAddr>,
    user_id: u8,
    state: u8,
    /// The number of its cipher suite; `None` in IPMI 1.5 format.
    suite: Option<u8>,
    is_rmcp_plus: bool,
    since: u64,
    close: mpsc::UnboundedSender<SessionId>,
}

impl Object {
    fn active(
        &Published { info, since }: &Published,
        channel: ChannelNumber,
        port: u16,
        close: mpsc::UnboundedSender<SessionId>,
    ) -> Self {
        Self {
            id: info.id,
            handle: info.handle,
            channel: channel.value(),
            port,
            privilege: info.privilege.value(),
            peer: Some(info.peer),
            user_id: info.user_id,
            state: session_info::ACTIVE,
            suite: info.suite.map(CipherSuite::id),
            is_rmcp_plus: info.suite.is_some(),
            since,
            close,
        }
    }

    fn zero(channel: ChannelNumber, port: u16, close: mpsc::UnboundedSender<SessionId>) -> Self {
        Self {
            id: SessionId(0),
            handle: 0,
            channel: channel.value(),
            port,
            privilege: 0,
            peer: None,
            user_id: 0,
            state: session_info::INACTIVE,
            suite: None,
            is_rmcp_plus: true,
            since: 0,
            close,
        }
    }
}

#[interface(name = "xyz.openbmc_project.Ipmi.SessionInfo")]
impl Object {
    #[zbus(property)]
    fn session_handle(&self) -> u8 {
        self.handle
    }

    #[zbus(property)]
    fn channel_num(&self) -> u8 {
        self.channel
    }

    #[zbus(property)]
    fn current_privilege(&self) -> u8 {
        self.privilege
    }

    /// 0 for an IPv6 address, which does not fit.
    #[zbus(property, name = "RemoteIPAddr")]
    fn remote_ip_addr(&self) -> u32 {
        match self.peer.map(|peer| peer.ip().to_canonical()) {
            Some(IpAddr::V4(address)) => u32::from_le_bytes(address.octets()),
            _ => 0,
        }
    }

    #[zbus(property)]
    fn remote_port(&self) -> u16 {
        self.peer.map_or(0, |peer| peer.port())
    }

    /// Zero: a UDP socket does not have it.
    #[zbus(property, name = "RemoteMACAddress")]
    fn remote_mac_address(&self) -> Vec<u8> {
        vec![0; 6]
    }

    #[zbus(property, name = "UserID")]
    fn user_id(&self) -> u8 {
        self.user_id
    }

    #[zbus(property)]
    fn state(&self) -> u8 {
        self.state
    }

    /// Not in OpenBMC's interface, whose sessions are all RMCP+.
    #[zbus(property)]
    fn rmcp_plus(&self) -> bool {
        self.is_rmcp_plus
    }

    /// Not in OpenBMC's interface, whose bridge serves port 623 alone.
    #[zbus(property)]
    fn local_port(&self) -> u16 {
        self.port
    }

    /// Not in OpenBMC's interface: the number of the cipher suite; 255 for a session of IPMI 1.5, and session zero.
    #[zbus(property)]
    fn cipher_suite(&self) -> u8 {
        self.suite.unwrap_or(session_info::NO_SUITE)
    }

    /// Not in OpenBMC's interface, whose `RemoteIPAddr` holds no IPv6 address: the address as text.
    #[zbus(property)]
    fn remote_address(&self) -> String {
        self.peer.map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default()
    }

    /// Not in OpenBMC's interface: when the session was logged in to, in microseconds since 1970.
    #[zbus(property)]
    fn since(&self) -> u64 {
        self.since
    }

    /// The one change is from active to tear-down.
    #[zbus(property)]
    fn set_state(&mut self, state: u8) -> fdo::Result<()> {
        match (self.state, state) {
            (session_info::ACTIVE, session_info::TEAR_DOWN) => {
                self.state = state;
                // The bridge runs as long as the process.
                let _ = self.close.send(self.id);
                Ok(())
            }
            (now, wanted) if now == wanted => Ok(()),
            (now, wanted) => {
                Err(fdo::Error::InvalidArgs(format!("state {now} cannot become {wanted}")))
            }
        }
    }
}
