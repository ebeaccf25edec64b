//! The network, as `mctpd` publishes it.

use std::sync::Arc;

use mctp_proto::{BusPath, Eid};
use zbus::{fdo, interface};

use super::{Names, finding};
use crate::engine::EngineHandle;

/// `au.com.codeconstruct.MCTP.Network1`.
pub(super) struct Network {
    pub(super) handle: Arc<EngineHandle>,
    pub(super) names: Names,
}

#[interface(name = "au.com.codeconstruct.MCTP.Network1")]
impl Network {
    /// This endpoint's ids.
    #[zbus(property(emits_changed_signal = "false"), name = "LocalEIDs")]
    fn local_eids(&self) -> Vec<u8> {
        let eid = self.handle.with(|engine| engine.demux.eid());
        if eid.is_assignable() { vec![eid.0] } else { Vec::new() }
    }

    /// Looks for an endpoint with an id to which there is a route, as behind a bridge: its path, and
    /// whether it was not known before.
    async fn learn_endpoint(&self, eid: u8) -> fdo::Result<(String, bool)> {
        let eid = Eid(eid);
        let no_route = || fdo::Error::Failed(format!("no route to EID {eid}"));
        let (target, known) = self.handle.with(|engine| {
            let known = engine.demux.endpoints().any(|found| found.eid == eid);
            let (link, address) = engine.demux.route_to(eid).ok_or_else(no_route)?;
            let owner = engine.demux.owner_mut().ok_or_else(no_route)?;
            let path = BusPath::new(link, address);
            let target = if known { owner.probe(eid) } else { owner.look_behind(path, eid) };
            engine.drain_owner();
            Ok::<_, fdo::Error>((target, known))
        })?;
        finding(&self.handle, target).await?;
        Ok((self.names.endpoint(eid), !known))
    }
}
