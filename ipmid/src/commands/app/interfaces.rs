//! Capabilities of the system interfaces.

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Ignored, Remaining};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{AppProvider, Platform};
use crate::request::command::Registrar;
use crate::request::context::Context;

/// Maximum message size of the host bridges in bytes, the maximum of the field.
const MESSAGE_SIZE: u8 = 0xff;
/// SSIF version 1 (000b), no PEC, multi-part reads and writes with middle parts (10b in 7:6).
const SSIF_TRANSACTIONS: u8 = 0x80;
/// KCS version 1 (000b).
const KCS_VERSION: u8 = 0x00;

impl<P: Platform> AppProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_interfaces(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::User;
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x57, User, "Get System Interface Capabilities", Self::get_system_interface_capabilities);
    }

    /// Get System Interface Capabilities (IPMI v2.0 §22.9) of SSIF (0) and KCS (1).
    ///
    /// # Errors
    ///
    /// `CCh` for SMIC and invalid interface types.
    async fn get_system_interface_capabilities(
        self: Arc<Self>,
        _: Context,
        interface: Bits<4>,
        _: Ignored<4>,
    ) -> Result<Remaining, CompletionCode> {
        let capabilities = match interface.value() {
            0 => vec![0, SSIF_TRANSACTIONS, MESSAGE_SIZE, MESSAGE_SIZE],
            1 => vec![0, KCS_VERSION, MESSAGE_SIZE],
            _ => return Err(CompletionCode::INVALID_DATA_FIELD),
        };
        Ok(capabilities.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::app::tests::{answer, commands};

    #[tokio::test]
    async fn each_interface_has_a_reply_of_its_own_length() {
        let (commands, ..) = commands();
        assert_eq!(commands.send(0x57, &[0]).await, answer(&[0, 0x80, 0xff, 0xff]));
        assert_eq!(commands.send(0x57, &[1]).await, answer(&[0, 0, 0xff]));
        assert_eq!(commands.send(0x57, &[2]).await, Err(CompletionCode::INVALID_DATA_FIELD));
    }
}
