//! One endpoint, as `mctpd` publishes it.

use std::sync::Arc;

use mctp_proto::control::bus_owner::Endpoint as Found;
use mctp_proto::control::responder::Vendor;
use mctp_proto::{Eid, MessageType};
use zbus::{OwnedVariant, Variant, fdo, interface};

use super::{NETWORK, finding};
use crate::engine::{Engine, EngineHandle};

/// A vendor's messages: format (0 PCI, 1 IANA), the vendor's number, command set.
type VendorEntry = (u8, OwnedVariant, u16);

/// `xyz.openbmc_project.MCTP.Endpoint`.
pub(super) struct Endpoint {
    pub(super) handle: Arc<EngineHandle>,
    pub(super) eid: Eid,
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

    /// The message types it supports; empty until it has answered.
    #[zbus(property)]
    fn supported_message_types(&self) -> Vec<u8> {
        let values = |kinds: &[MessageType]| kinds.iter().map(|kind| kind.value()).collect();
        self.handle.with(|engine| {
            if engine.demux.eid() == self.eid {
                return engine.demux.types().map(|kind| kind.value()).collect();
            }
            found(engine, self.eid).map(|found| values(&found.types)).unwrap_or_default()
        })
    }

    /// The vendor defined messages it supports.
    #[zbus(property)]
    fn vendor_defined_message_types(&self) -> Vec<VendorEntry> {
        self.handle.with(|engine| {
            if engine.demux.eid() == self.eid {
                let own = engine.demux.identity().vendors.iter();
                return own.filter_map(|vendor| own_vendor(*vendor)).collect();
            }
            let vendors = found(engine, self.eid).map(|found| found.vendors.as_slice());
            let vendors = vendors.unwrap_or_default().iter();
            vendors.filter_map(|v| vendor_entry(v.format, v.id, v.command_set)).collect()
        })
    }
}

fn found(engine: &Engine, eid: Eid) -> Option<&Found> {
    engine.demux.endpoints().find(|found| found.eid == eid)
}

fn own_vendor(vendor: Vendor) -> Option<VendorEntry> {
    match vendor {
        Vendor::Pci(id, set) => vendor_entry(0, id.into(), set),
        Vendor::Iana(id, set) => vendor_entry(1, id, set),
    }
}

/// A PCI vendor's number has 16 bits, an IANA number 32.
fn vendor_entry(format: u8, id: u32, set: u16) -> Option<VendorEntry> {
    let id = match (format, u16::try_from(id)) {
        (0, Ok(id)) => Variant::from(id),
        _ => Variant::from(id),
    };
    Some((format, id.try_into().ok()?, set))
}

/// `xyz.openbmc_project.Common.UUID`.
pub(super) struct Uuid {
    pub(super) handle: Arc<EngineHandle>,
    pub(super) eid: Eid,
}

#[interface(name = "xyz.openbmc_project.Common.UUID")]
impl Uuid {
    /// In the customary form; empty while it is not known.
    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> String {
        let uuid = self.handle.with(|engine| {
            if engine.demux.eid() == self.eid {
                return engine.demux.identity().uuid;
            }
            found(engine, self.eid).and_then(|found| found.uuid)
        });
        uuid.map(|uuid| uuid::Uuid::from_bytes(uuid).to_string()).unwrap_or_default()
    }
}

/// `au.com.codeconstruct.MCTP.Endpoint1`.
pub(super) struct EndpointControl {
    pub(super) handle: Arc<EngineHandle>,
    pub(super) eid: Eid,
}

#[interface(name = "au.com.codeconstruct.MCTP.Endpoint1")]
impl EndpointControl {
    /// `Available`, or `Degraded` while it does not answer.
    #[zbus(property)]
    fn connectivity(&self) -> &'static str {
        let found = |engine: &mut Engine| found(engine, self.eid).map(|found| found.responding);
        if self.handle.with(found).unwrap_or(true) { "Available" } else { "Degraded" }
    }

    /// Sets the payload of packets to it, with the 4 bytes of their header; 0 for that of its binding.
    #[zbus(name = "SetMTU")]
    fn set_mtu(&self, mtu: u32) -> fdo::Result<()> {
        const HEADER: usize = 4;
        let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
        let payload = if mtu == 0 { Some(0) } else { mtu.checked_sub(HEADER).filter(|p| *p > 0) };
        let set = payload.is_some_and(|payload| {
            self.handle.with(|engine| engine.demux.set_mtu(self.eid, payload))
        });
        if set {
            Ok(())
        } else {
            Err(fdo::Error::InvalidArgs(format!("no packets of {mtu} bytes")))
        }
    }

    /// Asks it again at once.
    async fn recover(&self) -> fdo::Result<()> {
        let target = self.handle.with(|engine| {
            let target = engine.demux.owner_mut()?.probe(self.eid);
            engine.drain_owner();
            target
        });
        if target.is_none() {
            return Err(fdo::Error::NotSupported("no bus owner's endpoint".to_owned()));
        }
        finding(&self.handle, target).await.map(drop)
    }

    /// Forgets it, until it is found again.
    fn remove(&self) -> fdo::Result<()> {
        let removed = self.handle.with(|engine| {
            let now = engine.now();
            let removed = engine.demux.owner_mut().is_some_and(|o| o.forget(now, self.eid));
            engine.drain_owner();
            removed
        });
        if removed {
            Ok(())
        } else {
            Err(fdo::Error::NotSupported("no bus owner's endpoint".to_owned()))
        }
    }
}

/// `au.com.codeconstruct.MCTP.Bridge1`, of endpoints with a pool.
pub(super) struct Bridge {
    pub(super) handle: Arc<EngineHandle>,
    pub(super) eid: Eid,
}

#[interface(name = "au.com.codeconstruct.MCTP.Bridge1")]
impl Bridge {
    /// The first id behind it.
    #[zbus(property)]
    fn pool_start(&self) -> u8 {
        self.pool().map_or(0, |(first, _)| first.0)
    }

    /// The last id behind it.
    #[zbus(property)]
    fn pool_end(&self) -> u8 {
        self.pool().map_or(0, |(first, size)| first.0.saturating_add(size.saturating_sub(1)))
    }
}

impl Bridge {
    fn pool(&self) -> Option<(Eid, u8)> {
        self.handle.with(|engine| found(engine, self.eid)?.pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_number_has_the_width_of_its_format() {
        let id = |format| vendor_entry(format, 0x1ab4, 1).unwrap().1;
        assert_eq!(u16::try_from(id(0)), Ok(0x1ab4));
        assert_eq!(u32::try_from(id(1)), Ok(0x1ab4));
    }
}
