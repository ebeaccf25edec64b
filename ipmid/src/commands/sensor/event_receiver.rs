//! The event receiver of a controller (IPMI v2.0 §29.1, §29.2). The BMC is its own receiver; the
//! address is only stored and read back.

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::SensorProvider;
use crate::model::persistent::lock;
use crate::platform::Sensors;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

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
        use Privilege::{Administrator, User};
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x01, User, "Get Event Receiver", Self::get_event_receiver);
        let mut rows = rows.changing(Resource::EVENT_RECEIVER);
        rows.add(0x00, Administrator, "Set Event Receiver", Self::set_event_receiver);
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
    use crate::commands::sensor::tests::{TestSensors, answer};

    #[tokio::test]
    async fn receiver_is_the_bmc_until_it_is_set() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x01, &[]).await, answer(&[0x20, 0]));
        assert_eq!(commands.send(0x00, &[0xff, 3]).await, answer(&[]));
        assert_eq!(commands.send(0x01, &[]).await, answer(&[0xff, 3]));
        let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x00, &[0xff, 4]).await, invalid);
    }
}
