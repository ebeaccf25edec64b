//! The sessions of all LAN bridges: `Ipmi.SessionInfo` objects under
//! `/xyz/openbmc_project/ipmi/session`.

use std::future::Future;
use std::net::Ipv4Addr;

use super::{Ipv4Address, PlatformResult};

/// How far a session has come (`SessionInfo.State`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionState {
    /// Free, or session zero.
    Inactive,
    /// In the handshake.
    Setup,
    /// Carries requests.
    Active,
    /// Being closed.
    TearDown,
}

/// One session of a bridge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionInfo {
    /// The object's path: names the session for [`Sessions::close`].
    pub path: String,
    /// The managed system's session id, from the path.
    pub id: u32,
    /// Session handle, 1 to 255.
    pub handle: u8,
    /// Channel number.
    pub channel: u8,
    /// Present privilege, 0 before login.
    pub privilege: u8,
    /// IPMI user id, 0 before login.
    pub user_id: u8,
    /// How far it has come.
    pub state: SessionState,
    /// Whether it is an RMCP+ session; otherwise IPMI 1.5.
    pub is_rmcp_plus: bool,
    /// The console's IPv4 address.
    pub remote_address: Ipv4Addr,
    /// The console's MAC address, zero where it is not known.
    pub remote_mac: [u8; 6],
    /// The console's UDP port.
    pub remote_port: u16,
}

/// The primary RMCP port (IPMI v2.0 §13.1.2).
pub const RMCP_PORT: u16 = 623;

/// Lists and closes the sessions of all bridges.
pub trait Sessions: Send + Sync + 'static {
    /// All that are set up or active, session zeros left out, in the order of their handles.
    fn sessions(&self) -> impl Future<Output = PlatformResult<Vec<SessionInfo>>> + Send;

    /// The UDP port on which the bridge of a channel serves; the standard one of RMCP while no bridge reports another.
    fn served_port(&self, channel: u8) -> impl Future<Output = PlatformResult<u16>> + Send;

    /// The IPv4 address on which the bridge of a channel serves, if it is a certain one and the bridge reports it.
    fn served_address(
        &self,
        channel: u8,
    ) -> impl Future<Output = PlatformResult<Option<Ipv4Address>>> + Send;

    /// Has the session at `path` torn down.
    fn close(&self, path: &str) -> impl Future<Output = PlatformResult<()>> + Send;
}
