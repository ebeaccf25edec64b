//! Capabilities of the BT interface.

use std::sync::Arc;

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::MessagingProvider;
use crate::platform::{I2c, Satellites};
use crate::request::command::Registrar;
use crate::request::context::Context;

/// Outstanding requests: the bridge sends one at a time.
const OUTSTANDING: u8 = 1;
/// The largest value of a message's length byte, which our bridge accepts and sends.
const MESSAGE_SIZE: u8 = 0xff;
/// What the length byte counts beside a reply's data: network function, sequence number, command,
/// completion code.
const OVERHEAD: u8 = 4;
/// Seconds until a request is answered: the host bridges' deadline, rounded up.
const RESPONSE_TIME: u8 = 4;
/// Recommended retries of the host.
const RETRIES: u8 = 1;

impl<P: Satellites, I: I2c> MessagingProvider<P, I> {
    pub(super) fn register_bt(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::User;
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x36, User, "Get BT Interface Capabilities", Self::get_bt_interface_capabilities);
    }

    /// Get BT Interface Capabilities (IPMI v2.0 §22.10); sizes without the length byte.
    async fn get_bt_interface_capabilities(
        self: Arc<Self>,
        context: Context,
    ) -> Result<[u8; 5], CompletionCode> {
        let with_room = |room: u8| room.saturating_add(OVERHEAD);
        let size = context.room.map_or(MESSAGE_SIZE, with_room);
        Ok([OUTSTANDING, size, size, RESPONSE_TIME, RETRIES])
    }
}
