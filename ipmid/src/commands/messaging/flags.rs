//! Message flags and the event message buffer.

use std::sync::Arc;

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::MessagingProvider;
use crate::platform::{I2c, Satellites};
use crate::request::command::Registrar;
use crate::request::context::Context;

/// `80h`: queue or buffer empty.
pub(super) const EMPTY: CompletionCode = CompletionCode(0x80);

impl<P: Satellites, I: I2c> MessagingProvider<P, I> {
    pub(super) fn register_flags(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::Administrator;
        let mut rows = table.rows(NetFn::APP, self).from_host_only();
        rows.add(0x30, Administrator, "Clear Message Flags", Self::clear_message_flags);
        rows.add(0x31, Administrator, "Get Message Flags", Self::get_message_flags);
        rows.add(0x35, Administrator, "Read Event Message Buffer", Self::read_event_message_buffer);
    }

    /// Clear Message Flags (IPMI v2.0 §22.3). Reserved bits are ignored: Linux clears
    /// every flag that it knows.
    async fn clear_message_flags(
        self: Arc<Self>,
        _: Context,
        flags: u8,
    ) -> Result<(), CompletionCode> {
        self.deps.messages.clear(flags);
        Ok(())
    }

    /// Get Message Flags (IPMI v2.0 §22.4).
    async fn get_message_flags(self: Arc<Self>, _: Context) -> Result<u8, CompletionCode> {
        Ok(self.deps.messages.flags())
    }

    /// Read Event Message Buffer (IPMI v2.0 §22.8).
    ///
    /// # Errors
    ///
    /// `80h` when it is empty.
    async fn read_event_message_buffer(
        self: Arc<Self>,
        _: Context,
    ) -> Result<[u8; 16], CompletionCode> {
        self.deps.messages.take_event().ok_or(EMPTY)
    }
}
