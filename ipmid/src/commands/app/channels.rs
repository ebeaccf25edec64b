//! Channels: access, info, authentication, cipher suites, keys (IPMI v2.0 §22.13, §22.15,
//! §22.22-22.25).

use std::sync::Arc;

use accounts::{ChannelAccess, Kg, Setting};
use ipmi_proto::codec::{Bits, Ignored, Remaining};
use ipmi_proto::{AccessMode, ChannelNumber, CompletionCode, Iana, Medium, NetFn, Privilege};
use rmcp_proto::suite::{CipherSuite, emit_algorithms};
use zeroize::Zeroizing;

use super::{AppProvider, Platform};
use crate::platform::{PlatformError, SessionState};
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// `82h` of Set and Get Channel Access: not supported for a session-less channel.
const NOT_FOR_CHANNEL: CompletionCode = CompletionCode(0x82);
/// `83h`: access mode not supported.
const MODE_NOT_SUPPORTED: CompletionCode = CompletionCode(0x83);
/// `80h` of Set Channel Security Keys: the key is locked.
const KEY_LOCKED: CompletionCode = CompletionCode(0x80);
/// `81h`: insufficient key bytes.
const TOO_FEW_KEY_BYTES: CompletionCode = CompletionCode(0x81);
/// `82h`: too many key bytes.
const TOO_MANY_KEY_BYTES: CompletionCode = CompletionCode(0x82);
/// `84h`: K_R is not used.
const KR_NOT_USED: CompletionCode = CompletionCode(0x84);

/// Enterprise number of the IPMI forum, which defines the channel protocols (IPMI v2.0 §22.24).
const IPMI_FORUM: u32 = 7154;
/// The host has no interrupt of its own for the system interface (IPMI v2.0 §22.24, byte 8).
const NO_INTERRUPT: u8 = 0xff;
/// Payload types of Get Channel Cipher Suites: IPMI and SOL.
const PAYLOAD_TYPES: [u8; 2] = [0, 1];
/// Bytes of the suite list in one response.
const LIST_BLOCK: usize = 16;
/// Lock status in a reply of Set Channel Security Keys.
const LOCKED: u8 = 1;
const UNLOCKED: u8 = 2;

/// Which of the volatile and non-volatile settings of channel access a request sets.
fn setting(field: Bits<2>) -> Result<Option<Setting>, CompletionCode> {
    match field.value() {
        0 => Ok(None),
        1 => Ok(Some(Setting::NonVolatile)),
        2 => Ok(Some(Setting::Volatile)),
        _ => Err(CompletionCode::INVALID_DATA_FIELD),
    }
}

/// Mode, user-level and per-message authentication disabled, alerting disabled.
type ModeBits = (Bits<3>, bool, bool, bool);

impl<P: Platform> AppProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_channels(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, Callback, User};
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x38, Callback, "Get Channel Authentication Capabilities", Self::get_channel_authentication_capabilities);
        rows.add(0x41, User, "Get Channel Access", Self::get_channel_access);
        rows.add(0x42, User, "Get Channel Info Command", Self::get_channel_info);
        rows.add(0x54, Callback, "Get Channel Cipher Suites", Self::get_channel_cipher_suites);
        let mut rows = rows.changing(Resource::ACCOUNTS);
        rows.add(0x40, Administrator, "Set Channel Access", Self::set_channel_access);
        rows.add(0x56, Administrator, "Set Channel Security Keys", Self::set_channel_security_keys);
    }

    /// Get Channel Authentication Capabilities (IPMI v2.0 §22.13), for any channel with sessions;
    /// a LAN bridge answers the requests of its own sessions itself.
    ///
    /// # Errors
    ///
    /// `CCh` for a channel without sessions and an invalid privilege level.
    #[allow(clippy::type_complexity)] // the reply's fields in their order
    async fn get_channel_authentication_capabilities(
        self: Arc<Self>,
        context: Context,
        (channel, _, wants_v20): (ChannelNumber, Ignored<3>, bool),
        (_, _): (Privilege, Ignored<4>),
    ) -> Result<((Bits<4>, Bits<4>), (Bits<7>, bool), u8, u8, [u8; 4]), CompletionCode> {
        let channel =
            self.session_channel(&context, channel, CompletionCode::INVALID_DATA_FIELD)?;
        let accounts = self.accounts();
        let has_kg = self.deps.accounts.kg(channel).is_some();
        let (mut named, mut null) = (false, false);
        for (_, user) in accounts.users().filter(|(_, user)| user.enabled) {
            named |= !user.name.is_empty();
            null |= user.name.is_empty() && user.has_password();
        }
        let status = u8::from(has_kg) << 5 | u8::from(named) << 2 | u8::from(null) << 1;
        // IPMI 1.5 sessions are enabled by configuring an authentication type for them.
        let types = self.deps.sessions.get().auth_types;
        let v15 = u8::from(types != 0);
        let extended = if wants_v20 { 0x02 | v15 } else { 0x00 };
        let number = (Bits::low(channel.value()), Bits::low(0));
        let types = (Bits::low(types), wants_v20);
        Ok((number, types, status, extended, [0; 4]))
    }

    /// Set Channel Access (IPMI v2.0 §22.22): mode and flags, and privilege limit, each in the
    /// volatile setting, the non-volatile one, or not at all.
    ///
    /// # Errors
    ///
    /// `82h` for a channel without sessions, `83h` for a mode that a LAN channel cannot have.
    async fn set_channel_access(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        (mode, modes): (ModeBits, Bits<2>),
        (limit, _, limits): (Bits<4>, Ignored<2>, Bits<2>),
    ) -> Result<(), CompletionCode> {
        let channel = self.session_channel(&context, channel, NOT_FOR_CHANNEL)?;
        let (modes, limits) = (setting(modes)?, setting(limits)?);
        let (mode, user_level, per_message, alerting) = mode;
        let mode = AccessMode::new(mode.value()).ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        if modes.is_some() && !matches!(mode, AccessMode::Disabled | AccessMode::AlwaysAvailable) {
            return Err(MODE_NOT_SUPPORTED);
        }
        let limit = match limits {
            Some(_) => {
                Some(Privilege::new(limit.value()).ok_or(CompletionCode::INVALID_DATA_FIELD)?)
            }
            None => None,
        };
        let change = move |which: Setting, mut access: ChannelAccess| {
            if modes == Some(which) {
                access.mode = mode;
                access.user_level_auth_disabled = user_level;
                access.per_message_auth_disabled = per_message;
                access.alerting_disabled = alerting;
            }
            if let Some(limit) = limit.filter(|_| limits == Some(which)) {
                access.privilege_limit = limit;
            }
            (modes == Some(which) || limits == Some(which)).then_some(access)
        };
        self.administer(move |accounts| accounts.change_channel_access(channel, &change)).await
    }

    /// Get Channel Access (IPMI v2.0 §22.23), of the volatile or non-volatile setting.
    ///
    /// # Errors
    ///
    /// `82h` for a channel without sessions.
    async fn get_channel_access(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        (_, which): (Ignored<6>, Bits<2>),
    ) -> Result<((ModeBits, Bits<2>), (Bits<4>, Bits<4>)), CompletionCode> {
        let channel = self.session_channel(&context, channel, NOT_FOR_CHANNEL)?;
        let which = setting(which)?.ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        let access: ChannelAccess = self
            .accounts()
            .channel_access(channel, which)
            .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        let mode = (
            Bits::low(access.mode.value()),
            access.user_level_auth_disabled,
            access.per_message_auth_disabled,
            access.alerting_disabled,
        );
        let limit = Bits::low(access.privilege_limit.value());
        Ok(((mode, Bits::low(0)), (limit, Bits::low(0))))
    }

    /// Get Channel Info (IPMI v2.0 §22.24).
    ///
    /// # Errors
    ///
    /// `CCh` for a channel that is not configured: hosts scan all channel numbers for it.
    #[allow(clippy::type_complexity)] // the reply's fields in their order
    async fn get_channel_info(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
    ) -> HandlerResult<(u8, u8, u8, (Bits<6>, Bits<2>), Iana, [u8; 2])> {
        let number = self.channel_number(&context, channel)?;
        let accounts = self.accounts();
        let channel = accounts.channels().get(number).ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        let active = if channel.has_sessions() { self.active_sessions(number).await? } else { 0 };
        let auxiliary = match channel.medium {
            Medium::System => [NO_INTERRUPT; 2],
            _ => [0; 2],
        };
        Ok((
            number.value(),
            channel.medium.value(),
            channel.protocol.value(),
            (Bits::low(active), Bits::low(channel.sessions.value())),
            Iana::new(IPMI_FORUM).unwrap_or(Iana::OPENBMC),
            auxiliary,
        ))
    }

    async fn active_sessions(&self, channel: ChannelNumber) -> HandlerResult<u8> {
        let sessions = match self.platform.sessions().await {
            Err(PlatformError::Absent(_)) => Vec::new(),
            other => other?,
        };
        let active = sessions.iter().filter(|session| {
            session.channel == channel.value() && session.state == SessionState::Active
        });
        Ok(u8::try_from(active.count()).unwrap_or(u8::MAX).min(0x3f))
    }

    /// Get Channel Cipher Suites (IPMI v2.0 §22.15): a block of 16 bytes of the records, or of the
    /// algorithms alone. One shorter than 16 is the last.
    ///
    /// # Errors
    ///
    /// `CCh` for a channel without sessions and a payload type that has no suites.
    async fn get_channel_cipher_suites(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        (payload, _): (Bits<6>, Ignored<2>),
        (index, _, by_suite): (Bits<6>, Ignored<1>, bool),
    ) -> Result<(u8, Remaining), CompletionCode> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let channel = self.session_channel(&context, channel, invalid)?;
        if !PAYLOAD_TYPES.contains(&payload.value()) {
            return Err(invalid);
        }
        let ids = self.deps.sessions.get().cipher_suites;
        let suites: Vec<_> = ids.into_iter().filter_map(CipherSuite::from_id).collect();
        let mut list = Vec::new();
        if by_suite {
            suites.iter().for_each(|suite| suite.emit_record(&mut list));
        } else {
            emit_algorithms(&suites, &mut list);
        }
        let block = list.chunks(LIST_BLOCK).nth(index.value().into()).unwrap_or_default();
        Ok((channel.value(), block.to_vec().into()))
    }

    /// Set Channel Security Keys (IPMI v2.0 §22.25): sets or locks K_G, and reports the lock status.
    ///
    /// K_G cannot be read, locked or not: a reply travels over D-Bus, where secrets must not appear,
    /// and K_G is enough to log in. Reading is an error and not a key of
    /// zeros, which a client that saves and restores settings would write back.
    ///
    /// # Errors
    ///
    /// `80h` when the key is locked or, to read it, set, `81h` and `82h` for a key of another length than 20, `84h`
    /// for K_R, which is not used.
    async fn set_channel_security_keys(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        (operation, _): (Bits<2>, Ignored<6>),
        key_id: u8,
        key: Remaining,
    ) -> Result<((Bits<2>, Bits<6>), Remaining), CompletionCode> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let channel = self.session_channel(&context, channel, invalid)?;
        match key_id {
            0 => return Err(KR_NOT_USED),
            1 => {}
            _ => return Err(invalid),
        }
        let mut value = Remaining::default();
        match operation.value() {
            0 if self.deps.accounts.kg(channel).is_some() => return Err(KEY_LOCKED),
            0 => value = vec![0; accounts::KEY_LENGTH].into(),
            1 => {
                let kg = key_bytes(key)?;
                self.administer(move |accounts| accounts.set_kg(channel, kg.as_ref())).await?;
            }
            2 => self.administer(move |accounts| accounts.lock_kg(channel)).await?,
            _ => return Err(invalid),
        }
        let status = if self.accounts().kg_locked(channel) { LOCKED } else { UNLOCKED };
        Ok(((Bits::low(status), Bits::low(0)), value))
    }
}

/// The key in a request; all zeros clear it.
fn key_bytes(key: Remaining) -> Result<Option<Kg>, CompletionCode> {
    let bytes = Zeroizing::new(Vec::from(key));
    let key: [u8; accounts::KEY_LENGTH] = bytes.as_slice().try_into().map_err(|_| {
        if bytes.len() < accounts::KEY_LENGTH { TOO_FEW_KEY_BYTES } else { TOO_MANY_KEY_BYTES }
    })?;
    Ok(Kg::new(key))
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::app::tests::{answer, commands};

    #[tokio::test]
    async fn channel_info_matches_golden_bytes() {
        let (commands, ..) = commands();
        for (request, reply) in [
            (0x01, hex!("01 04 01 80 f2 1b 00 00 00")),
            (0x0f, hex!("0f 0c 05 00 f2 1b 00 ff ff")),
            (0x0e, hex!("0f 0c 05 00 f2 1b 00 ff ff")),
            (0x00, hex!("00 01 01 00 f2 1b 00 00 00")),
        ] {
            assert_eq!(commands.send(0x42, &[request]).await, answer(&reply), "{request:02x}");
        }
        for absent in [2, 7, 0x0b] {
            let refused = Err(CompletionCode::INVALID_DATA_FIELD);
            assert_eq!(commands.send(0x42, &[absent]).await, refused, "{absent:02x}");
        }
    }

    #[tokio::test]
    async fn volatile_and_non_volatile_access_are_apart() {
        let (commands, ..) = commands();
        assert_eq!(commands.send(0x41, &hex!("01 40")).await, answer(&hex!("02 04")));
        // ipmitool: lan set 1 access off, volatile then non-volatile.
        assert_eq!(commands.send(0x40, &hex!("01 80 83")).await, answer(&[]));
        assert_eq!(commands.send(0x41, &hex!("01 80")).await, answer(&hex!("00 03")));
        assert_eq!(commands.send(0x41, &hex!("01 40")).await, answer(&hex!("02 04")));
        assert_eq!(commands.send(0x40, &hex!("01 7a 44")).await, answer(&[]));
        assert_eq!(commands.send(0x41, &hex!("01 40")).await, answer(&hex!("3a 04")));
        for (request, code) in [
            (hex!("0f 42 44"), NOT_FOR_CHANNEL),
            (hex!("01 41 44"), MODE_NOT_SUPPORTED),
            (hex!("01 c2 44"), CompletionCode::INVALID_DATA_FIELD),
            (hex!("01 42 40"), CompletionCode::INVALID_DATA_FIELD),
        ] {
            assert_eq!(commands.send(0x40, &request).await, Err(code), "{request:02x?}");
        }
        assert_eq!(commands.send(0x41, &hex!("0f 40")).await, Err(NOT_FOR_CHANNEL));
    }

    #[tokio::test]
    async fn cipher_suites_come_in_blocks() {
        let (commands, ..) = commands();
        let records = hex!("01 c0 03 01 41 81 c0 11 03 44 81");
        assert_eq!(commands.send(0x54, &hex!("01 00 80")).await, answer(&records));
        assert_eq!(commands.send(0x54, &hex!("01 00 81")).await, answer(&[1]));
        let algorithms = hex!("01 01 03 41 44 81");
        assert_eq!(commands.send(0x54, &hex!("01 01 00")).await, answer(&algorithms));
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x54, &hex!("01 02 80")).await, refused);
        assert_eq!(commands.send(0x54, &hex!("0f 00 80")).await, refused);
    }

    #[tokio::test]
    async fn capabilities_report_users_and_kg() {
        let (commands, ..) = commands();
        // Two types of IPMI 1.5 are configured.
        let none = answer(&hex!("01 94 00 03 00 00 00 00"));
        assert_eq!(commands.send(0x38, &hex!("81 04")).await, none);
        assert_eq!(commands.send(0x47, &hex!("03 01")).await, answer(&[]));
        let mut name = vec![3];
        name.extend(*b"bob\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(commands.send(0x45, &name).await, answer(&[]));
        let key = [&hex!("01 01 01")[..], &[0x5a; 20]].concat();
        assert_eq!(commands.send(0x56, &key).await, answer(&[UNLOCKED]));
        let some = answer(&hex!("01 14 24 00 00 00 00 00"));
        assert_eq!(commands.send(0x38, &hex!("01 04")).await, some);
    }

    #[tokio::test]
    async fn kg_is_set_and_locked_and_never_returned() {
        let (commands, ..) = commands();
        let set = [&hex!("01 01 01")[..], &[0x5a; 20]].concat();
        let none = [&[UNLOCKED][..], &[0; 20]].concat();
        assert_eq!(commands.send(0x56, &hex!("01 00 01")).await, answer(&none));
        assert_eq!(commands.send(0x56, &set).await, answer(&[UNLOCKED]));
        assert_eq!(commands.send(0x56, &hex!("01 00 01")).await, Err(KEY_LOCKED));
        assert_eq!(commands.send(0x56, &hex!("01 00 00")).await, Err(KR_NOT_USED));
        assert_eq!(commands.send(0x56, &set[..22]).await, Err(TOO_FEW_KEY_BYTES));
        let long = [&set[..], &[0]].concat();
        assert_eq!(commands.send(0x56, &long).await, Err(TOO_MANY_KEY_BYTES));
        assert_eq!(commands.send(0x56, &hex!("01 02 01")).await, answer(&[LOCKED]));
        assert_eq!(commands.send(0x56, &hex!("01 00 01")).await, Err(KEY_LOCKED));
        assert_eq!(commands.send(0x56, &set).await, Err(KEY_LOCKED));
    }
}
