//! Payloads: payload types of a channel and user access to them (IPMI v2.0 §24.6-24.9).

use std::sync::Arc;

use accounts::{PayloadAccess, UserAccess};
use ipmi_proto::codec::{Bits, Ignored};
use ipmi_proto::{ChannelNumber, CompletionCode, NetFn, Privilege};

use super::{AppProvider, Platform};
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// `80h`: payload type not available on the channel.
const PAYLOAD_NOT_AVAILABLE: CompletionCode = CompletionCode(0x80);

/// Standard payload types: IPMI messages and SOL.
const STANDARD: u16 = 0x0003;
/// Session set-up types 10h to 15h: Open Session and RAKP, request and response.
const SET_UP: u16 = 0x003f;
/// Version 1.0 of each payload's format, major in bits 7:4.
const FORMAT_VERSION: u8 = 0x10;

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_payloads(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, Operator, User};
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x4d, Operator, "Get User Payload Access", Self::get_user_payload_access);
        rows.add(0x4e, User, "Get Channel Payload Support", Self::get_channel_payload_support);
        rows.add(0x4f, User, "Get Channel Payload Version", Self::get_channel_payload_version);
        let mut rows = rows.changing(Resource::ACCOUNTS);
        rows.add(0x4c, Administrator, "Set User Payload Access", Self::set_user_payload_access);
    }

    /// Set User Payload Access (IPMI v2.0 §24.6): enables or disables the types whose bits are set.
    ///
    /// # Errors
    ///
    /// `CCh` for an invalid user or channel and a reserved operation.
    async fn set_user_payload_access(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        (id, operation): (Bits<6>, Bits<2>),
        standard: u16,
        oem: u16,
    ) -> Result<(), CompletionCode> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let channel = self.session_channel(&context, channel, invalid)?;
        let id = self.user_id(id.value())?;
        let enable = match operation.value() {
            0 => true,
            1 => false,
            _ => return Err(invalid),
        };
        let change = move |access: &mut UserAccess| {
            let PayloadAccess { standard: had, oem: had_oem } = access.payloads;
            access.payloads = match enable {
                true => PayloadAccess { standard: had | standard, oem: had_oem | oem },
                false => PayloadAccess { standard: had & !standard, oem: had_oem & !oem },
            };
        };
        self.administer(move |accounts| accounts.change_access(id, channel, &change)).await
    }

    /// Get User Payload Access (IPMI v2.0 §24.7).
    async fn get_user_payload_access(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        (id, _): (Bits<6>, Ignored<2>),
    ) -> Result<(u16, u16), CompletionCode> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let channel = self.session_channel(&context, channel, invalid)?;
        let id = self.user_id(id.value())?;
        let PayloadAccess { standard, oem } = self.accounts().access(id, channel).payloads;
        Ok((standard, oem))
    }

    /// Get Channel Payload Support (IPMI v2.0 §24.8): standard, set-up, OEM and reserved types.
    ///
    /// # Errors
    ///
    /// `CCh` for a channel without sessions.
    async fn get_channel_payload_support(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
    ) -> Result<[u16; 4], CompletionCode> {
        self.session_channel(&context, channel, CompletionCode::INVALID_DATA_FIELD)?;
        Ok([STANDARD, SET_UP, 0, 0])
    }

    /// Get Channel Payload Version (IPMI v2.0 §24.9).
    ///
    /// # Errors
    ///
    /// `80h` for a type that is not available on the channel.
    async fn get_channel_payload_version(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        payload: u8,
    ) -> Result<u8, CompletionCode> {
        self.session_channel(&context, channel, CompletionCode::INVALID_DATA_FIELD)?;
        let bits = match payload {
            0x00..=0x0f => STANDARD,
            0x10..=0x1f => SET_UP,
            _ => 0,
        };
        let available = bits >> (payload & 0x0f) & 1 == 1;
        if available { Ok(FORMAT_VERSION) } else { Err(PAYLOAD_NOT_AVAILABLE) }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::app::tests::{answer, commands};

    #[tokio::test]
    async fn sol_is_given_and_taken_as_ipmitool_does() {
        let (commands, ..) = commands();
        let (with, without) = (answer(&hex!("02 00 00 00")), answer(&hex!("00 00 00 00")));
        assert_eq!(commands.send(0x4d, &hex!("01 02")).await, with);
        assert_eq!(commands.send(0x4c, &hex!("01 42 02 00 00 00")).await, answer(&[]));
        assert_eq!(commands.send(0x4d, &hex!("01 02")).await, without);
        assert_eq!(commands.send(0x4c, &hex!("01 02 02 00 00 00")).await, answer(&[]));
        assert_eq!(commands.send(0x4d, &hex!("01 02")).await, with);
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x4c, &hex!("01 82 02 00 00 00")).await, refused);
        assert_eq!(commands.send(0x4d, &hex!("0f 02")).await, refused);
    }

    #[tokio::test]
    async fn support_and_versions_agree() {
        let (commands, ..) = commands();
        let support = hex!("03 00 3f 00 00 00 00 00");
        assert_eq!(commands.send(0x4e, &[1]).await, answer(&support));
        for payload in 0..=0x3f_u8 {
            let carried = matches!(payload, 0 | 1 | 0x10..=0x15);
            let expected = if carried { answer(&[0x10]) } else { Err(PAYLOAD_NOT_AVAILABLE) };
            assert_eq!(commands.send(0x4f, &[1, payload]).await, expected, "{payload:02x}");
        }
    }
}
