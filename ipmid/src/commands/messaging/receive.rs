//! The receive message queue.

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Ignored, Remaining};
use ipmi_proto::{ChannelNumber, CompletionCode, NetFn, Privilege};

use super::MessagingProvider;
use super::flags::EMPTY;
use crate::platform::{I2c, Satellites};
use crate::request::command::Registrar;
use crate::request::context::Context;

const DISABLE: u8 = 0;
const ENABLE: u8 = 1;
const GET_STATE: u8 = 2;

impl<P: Satellites, I: I2c> MessagingProvider<P, I> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_receive(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::Administrator;
        let mut rows = table.rows(NetFn::APP, self).from_host_only();
        rows.add(0x32, Administrator, "Enable Message Channel Receive", Self::enable_message_channel_receive);
        rows.add(0x33, Administrator, "Get Message", Self::get_message);
    }

    /// Enable Message Channel Receive (IPMI v2.0 §22.5). Messages are received from every
    /// channel; that cannot be disabled.
    ///
    /// # Errors
    ///
    /// `CCh` for an unknown channel or operation, `D5h` for "disable".
    async fn enable_message_channel_receive(
        self: Arc<Self>,
        context: Context,
        channel: ChannelNumber,
        _: Ignored<4>,
        operation: Bits<2>,
        _: Ignored<6>,
    ) -> Result<(u8, u8), CompletionCode> {
        let channel = context.resolve(channel);
        let known = self.deps.satellite_channels.contains_key(&channel)
            || self.deps.host_channels.contains_key(&channel);
        match operation.value() {
            ENABLE | GET_STATE if known => Ok((channel.value(), 1)),
            DISABLE if known => Err(CompletionCode::NOT_IN_PRESENT_STATE),
            _ => Err(CompletionCode::INVALID_DATA_FIELD),
        }
    }

    /// Get Message (IPMI v2.0 §22.6).
    ///
    /// # Errors
    ///
    /// `80h` when the queue is empty.
    async fn get_message(self: Arc<Self>, _: Context) -> Result<(u8, Remaining), CompletionCode> {
        let message = self.deps.messages.take().ok_or(EMPTY)?;
        let head = message.privilege << 4 | message.channel.value();
        Ok((head, message.data.into()))
    }
}
