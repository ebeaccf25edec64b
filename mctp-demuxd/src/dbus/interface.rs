//! One link, as `mctpd` publishes its network interfaces.

use std::sync::Arc;

use mctp_proto::control::bus_owner::Assign;
use mctp_proto::control::responder::Role;
use mctp_proto::{Address, BusPath, Eid, LinkId};
use zbus::{fdo, interface};

use super::{NETWORK, Names, finding};
use crate::demux::LinkKind;
use crate::engine::EngineHandle;

/// `au.com.codeconstruct.MCTP.Interface1`.
pub(super) struct Interface {
    pub(super) handle: Arc<EngineHandle>,
    pub(super) link: LinkId,
}

#[interface(name = "au.com.codeconstruct.MCTP.Interface1")]
impl Interface {
    /// The network it belongs to.
    #[zbus(property)]
    fn network_id(&self) -> u32 {
        NETWORK
    }

    /// `BusOwner`, `Endpoint`, or `Unknown` for a link whose control protocol is the kernel's.
    #[zbus(property)]
    fn role(&self) -> &'static str {
        self.handle.with(|engine| match engine.link(self.link).map(|link| link.kind) {
            Some(LinkKind::Kernel) | None => "Unknown",
            Some(_) if engine.demux.identity().role == Role::BusOwner => "BusOwner",
            Some(_) => "Endpoint",
        })
    }
}

/// `au.com.codeconstruct.MCTP.BusOwner1`, of links that are owned. Endpoints are named by physical
/// addresses: none on a serial line, one byte on I2C, two on PCIe.
pub(super) struct BusOwner {
    pub(super) handle: Arc<EngineHandle>,
    pub(super) names: Names,
    pub(super) link: LinkId,
}

#[interface(name = "au.com.codeconstruct.MCTP.BusOwner1")]
impl BusOwner {
    /// Finds an endpoint, and assigns it an id if it has none: id, network, path, whether the id is
    /// new.
    async fn setup_endpoint(&self, address: Vec<u8>) -> fdo::Result<(u8, i32, String, bool)> {
        self.look(&address, None, Assign::IfNeeded).await
    }

    /// Finds an endpoint, and assigns it an id in any case unless it is known already.
    async fn assign_endpoint(&self, address: Vec<u8>) -> fdo::Result<(u8, i32, String, bool)> {
        let assign =
            if self.known(&address)?.is_some() { Assign::IfNeeded } else { Assign::Always };
        self.look(&address, None, assign).await
    }

    /// Finds an endpoint, and assigns it this id.
    async fn assign_endpoint_static(
        &self,
        address: Vec<u8>,
        eid: u8,
    ) -> fdo::Result<(u8, i32, String, bool)> {
        let wanted = Eid(eid);
        if !wanted.is_assignable() {
            return Err(fdo::Error::InvalidArgs(format!("EID {eid} cannot be assigned")));
        }
        if self.known(&address)?.is_some_and(|known| known != wanted) {
            return Err(fdo::Error::FileExists("the endpoint has another EID".to_owned()));
        }
        let found = self.look(&address, Some(wanted), Assign::IfNeeded).await?;
        if found.0 == eid {
            Ok(found)
        } else {
            Err(fdo::Error::FileExists(format!("EID {eid} is another endpoint's")))
        }
    }

    /// Finds an endpoint that has an id.
    async fn learn_endpoint(&self, address: Vec<u8>) -> fdo::Result<(u8, i32, String, bool)> {
        let known = self.known(&address)?;
        let (eid, network, path, _) = self.look(&address, None, Assign::Never).await?;
        Ok((eid, network, path, known.is_none()))
    }
}

impl BusOwner {
    fn path(&self, address: &[u8]) -> fdo::Result<BusPath> {
        let kind = self.handle.with(|engine| engine.link(self.link).map(|link| link.kind));
        let address = match kind {
            Some(LinkKind::Packets(medium, _)) if address.len() == medium.address_len() => {
                let number =
                    address.iter().fold(0, |number: u16, byte| number << 8 | u16::from(*byte));
                Address::of_number(medium, number)
            }
            _ => None,
        };
        let address = address.ok_or_else(|| {
            fdo::Error::InvalidArgs("no physical address of this interface".to_owned())
        })?;
        Ok(BusPath::new(self.link, address))
    }

    /// The id of an endpoint that is known.
    fn known(&self, address: &[u8]) -> fdo::Result<Option<Eid>> {
        let path = self.path(address)?;
        Ok(self.handle.with(|engine| {
            let mut endpoints = engine.demux.endpoints();
            let found = endpoints.find(|found| found.path == path && found.bridge.is_none());
            found.map(|found| found.eid)
        }))
    }

    async fn look(
        &self,
        address: &[u8],
        wanted: Option<Eid>,
        assign: Assign,
    ) -> fdo::Result<(u8, i32, String, bool)> {
        let path = self.path(address)?;
        let target = self.handle.with(|engine| {
            let target = engine.demux.owner_mut().and_then(|o| o.look_at(path, wanted, assign));
            engine.drain_owner();
            target
        });
        let (eid, new) = finding(&self.handle, target).await?;
        let network = i32::try_from(NETWORK).unwrap_or_default();
        Ok((eid.0, network, self.names.endpoint(eid), new))
    }
}
