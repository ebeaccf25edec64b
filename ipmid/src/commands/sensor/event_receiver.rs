//! Where a controller sends its events (IPMI v2.0 §29.1, §29.2). The BMC is its own receiver; the
//! address is kept for who asks.

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::SensorProvider;
use crate::model::persistent::lock;
use crate::platform::Sensors;
use crate::request::command::{Command, Registrar, Resource};
use crate::request::context::Context;

const SET_EVENT_RECEIVER: Command =
    Command::standard(NetFn::SENSOR_EVENT, 0x00, Privilege::Administrator, "Set Event Receiver")
        .changes(Resource::EVENT_RECEIVER);
const GET_EVENT_RECEIVER: Command =
    Command::standard(NetFn::SENSOR_EVENT, 0x01, Privilege::User, "Get Event Receiver");

/// The receiver's slave address (FFh: none) and LUN.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventReceiver {
    address: u8,
    lun: Bits<2>,
}

impl Default for EventReceiver {
    fn default() -> Self {
        Self { address: 0x20, lun: Bits::low(0) }
    }
}

impl<P: Sensors> SensorProvider<P> {
    pub(super) fn register_event_receiver(self: &Arc<Self>, table: &mut Registrar<'_>) {
        table.add(SET_EVENT_RECEIVER, self, Self::set_event_receiver);
        table.add(GET_EVENT_RECEIVER, self, Self::get_event_receiver);
    }

    /// Set Event Receiver (IPMI v2.0 §29.1).
    async fn set_event_receiver(
        self: Arc<Self>,
        _: Context,
        address: u8,
        lun: (Bits<2>, Zero<6>),
    ) -> Result<(), CompletionCode> {
        *lock(&self.receiver) = EventReceiver { address, lun: lun.0 };
        Ok(())
    }

    /// Get Event Receiver (IPMI v2.0 §29.2).
    async fn get_event_receiver(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(u8, Bits<2>, Zero<6>), CompletionCode> {
        let receiver = *lock(&self.receiver);
        Ok((receiver.address, receiver.lun, Zero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sensor::tests::{Bench, answer};

    #[tokio::test]
    async fn receiver_is_the_bmc_until_it_is_set() {
        let bench = Bench::new();
        assert_eq!(bench.send(0x01, &[]).await, answer(&[0x20, 0]));
        assert_eq!(bench.send(0x00, &[0xff, 3]).await, answer(&[]));
        assert_eq!(bench.send(0x01, &[]).await, answer(&[0xff, 3]));
        let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(bench.send(0x00, &[0xff, 4]).await, invalid);
    }
}
