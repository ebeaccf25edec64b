//! Users: access, names, passwords (IPMI v2.0 §22.26-22.30).

use std::sync::Arc;

use accounts::{Password, PasswordSize, PasswordTest, UserAccess, UserId, UserName};
use ipmi_proto::codec::{Bits, Ignored, Remaining};
use ipmi_proto::{ChannelNumber, CompletionCode, NetFn, Privilege};
use zeroize::Zeroizing;

use super::{AppProvider, Platform};
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// `80h` of a password test: the password does not match.
const PASSWORD_MISMATCH: CompletionCode = CompletionCode(0x80);
/// `81h` of a password test: the password was set with the other size.
const PASSWORD_WRONG_SIZE: CompletionCode = CompletionCode(0x81);

/// A privilege limit of "no access".
const NO_ACCESS: u8 = 0x0f;

/// The flags of one user's access: IPMI messaging, link authentication, callback only.
type AccessFlags = (bool, bool, bool);
/// Number of user IDs; enabled users and this user's state; users with fixed names.
type Counts = ((Bits<6>, Bits<2>), (Bits<6>, Bits<2>), (Bits<6>, Bits<2>));

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_users(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, Operator};
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x44, Operator, "Get User Access Command", Self::get_user_access);
        rows.add(0x46, Operator, "Get User Name Command", Self::get_user_name);
        let mut rows = rows.changing(Resource::ACCOUNTS);
        rows.add(0x43, Administrator, "Set User Access Command", Self::set_user_access);
        rows.add(0x45, Administrator, "Set User Name", Self::set_user_name);
        rows.add(0x47, Administrator, "Set User Password Command", Self::set_user_password);
    }

    /// Set User Access (IPMI v2.0 §22.26): the flags if bit 7 is set, the
    /// privilege limit, and the optional session limit. A limit switches IPMI messaging on for a user whose
    /// flags were never set on the channel.
    ///
    /// # Errors
    ///
    /// `CCh` for an invalid user, channel or limit.
    async fn set_user_access(
        self: Arc<Self>,
        context: Context,
        (channel, flags, change_flags): (ChannelNumber, AccessFlags, bool),
        (id, _): (Bits<6>, Ignored<2>),
        (limit, _): (Bits<4>, Ignored<4>),
        session_limit: Option<(Bits<4>, Ignored<4>)>,
    ) -> Result<(), CompletionCode> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let channel = self.session_channel(&context, channel, invalid)?;
        let id = self.user_id(id.value())?;
        let privilege = match limit.value() {
            0 | NO_ACCESS => None, // 0 is reserved; some clients send it for "none"
            value => Some(Privilege::new(value).ok_or(invalid)?),
        };
        let change = move |access: &mut UserAccess| {
            if change_flags {
                (access.messaging, access.link_auth, access.callback_only) = flags;
                access.flags_set = true;
            }
            access.set_limit(privilege);
            if let Some((limit, _)) = session_limit {
                access.session_limit = limit.value();
            }
        };
        self.administer(move |accounts| accounts.change_access(id, channel, &change)).await
    }

    /// Get User Access (IPMI v2.0 §22.27).
    async fn get_user_access(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        (id, _): (Bits<6>, Ignored<2>),
    ) -> Result<(Counts, (Bits<4>, AccessFlags, bool)), CompletionCode> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let channel = self.session_channel(&context, channel, invalid)?;
        let id = self.user_id(id.value())?;
        let accounts = self.accounts();
        let user = accounts.user(id).ok_or(invalid)?;
        let UserAccess { privilege, callback_only, link_auth, messaging, .. } =
            user.access(channel);
        let state = if user.enabled { 1 } else { 2 };
        let counts = (
            (Bits::low(accounts.user_ids()), Bits::low(0)),
            (Bits::low(accounts.enabled_users()), Bits::low(state)),
            (Bits::low(accounts.fixed_names()), Bits::low(0)),
        );
        let limit = Bits::low(privilege.map_or(NO_ACCESS, Privilege::value));
        Ok((counts, (limit, (messaging, link_auth, callback_only), false)))
    }

    /// Set User Name (IPMI v2.0 §22.28). The empty name frees the id.
    ///
    /// # Errors
    ///
    /// `CCh` for an invalid ID, the null user, the name of another user, and characters
    /// that are not printable ASCII.
    async fn set_user_name(
        self: Arc<Self>,
        _: Context,
        (id, _): (Bits<6>, Ignored<2>),
        name: [u8; UserName::MAX_LENGTH],
    ) -> Result<(), CompletionCode> {
        let id = self.user_id(id.value())?;
        let name = UserName::new(&name).ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        self.administer(move |accounts| accounts.set_name(id, name)).await
    }

    /// Get User Name (IPMI v2.0 §22.29); all zeros for an unused ID.
    async fn get_user_name(
        self: Arc<Self>,
        _: Context,
        (id, _): (Bits<6>, Ignored<2>),
    ) -> Result<[u8; UserName::MAX_LENGTH], CompletionCode> {
        let id = self.user_id(id.value())?;
        let accounts = self.accounts();
        Ok(accounts.user(id).map(|user| user.name.to_bytes()).unwrap_or_default())
    }

    /// Set User Password (IPMI v2.0 §22.30): disable, enable, set or test. The operations
    /// without a password may omit it.
    ///
    /// # Errors
    ///
    /// `80h` and `81h` for a test that fails, `C7h` for a password that is not 16 or, with the flag
    /// for it, 20 bytes long.
    async fn set_user_password(
        self: Arc<Self>,
        _: Context,
        (id, _, is_long): (Bits<6>, Ignored<1>, bool),
        (operation, _): (Bits<2>, Ignored<6>),
        password: Remaining,
    ) -> Result<(), CompletionCode> {
        let id = self.user_id(id.value())?;
        let bytes = Zeroizing::new(Vec::from(password));
        let size = if is_long { PasswordSize::Bytes20 } else { PasswordSize::Bytes16 };
        match operation.value() {
            0 | 1 => {
                if !matches!(bytes.len(), 0 | 16 | 20) {
                    return Err(CompletionCode::REQUEST_LENGTH_INVALID);
                }
                let enable = operation.value() == 1;
                self.administer(move |accounts| accounts.set_enabled(id, enable)).await
            }
            2 => {
                let password = exact(&bytes, size)?;
                self.administer(move |accounts| accounts.set_password(id, &password)).await
            }
            _ => self.test_password(id, exact(&bytes, size)?).await,
        }
    }

    async fn test_password(&self, id: UserId, password: Password) -> Result<(), CompletionCode> {
        let test = move |accounts: &dyn accounts::UserAdmin| accounts.test_password(id, &password);
        match self.administer(test).await? {
            PasswordTest::Match => Ok(()),
            PasswordTest::Mismatch => Err(PASSWORD_MISMATCH),
            PasswordTest::WrongSize => Err(PASSWORD_WRONG_SIZE),
        }
    }
}

/// The password in `bytes`, whose length must be `size`.
fn exact(bytes: &[u8], size: PasswordSize) -> Result<Password, CompletionCode> {
    Some(bytes)
        .filter(|bytes| bytes.len() == size.length())
        .and_then(|bytes| Password::new(bytes, size))
        .ok_or(CompletionCode::REQUEST_LENGTH_INVALID)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::app::tests::{TestCommands, answer, commands};

    fn named(id: u8, name: &[u8]) -> Vec<u8> {
        let mut request = vec![id];
        request.extend(name);
        request.resize(17, 0);
        request
    }

    fn password(id: u8, operation: u8, text: &[u8], length: usize) -> Vec<u8> {
        let mut request = vec![id, operation];
        request.extend(text);
        request.resize(2 + length, 0);
        request
    }

    /// Access of user 3 on channel 1, as the last byte of Get User Access.
    async fn access(commands: &TestCommands) -> u8 {
        commands.send(0x44, &[1, 3]).await.unwrap()[3]
    }

    #[tokio::test]
    async fn user_is_made_as_ipmitool_makes_one() {
        let (commands, ..) = commands();
        assert_eq!(commands.send(0x44, &[1, 3]).await, answer(&hex!("0f 80 01 0f")));
        assert_eq!(commands.send(0x45, &named(3, b"bob")).await, answer(&[]));
        assert_eq!(commands.send(0x46, &[3]).await.unwrap(), named(0, b"bob")[1..]);
        assert_eq!(commands.send(0x47, &password(3, 2, b"secret16", 16)).await, answer(&[]));
        assert_eq!(commands.send(0x47, &password(3, 1, b"", 16)).await, answer(&[]));
        assert_eq!(commands.send(0x43, &hex!("91 03 04 00")).await, answer(&[]));
        assert_eq!(commands.send(0x44, &[1, 3]).await, answer(&hex!("0f 41 01 14")));
        assert_eq!(commands.send(0x43, &hex!("01 03 0f")).await, answer(&[]));
        assert_eq!(access(&commands).await, 0x1f); // flags are left alone without bit 7
        assert_eq!(commands.send(0x47, &[3, 0]).await, answer(&[])); // as FreeIPMI sends it
        assert_eq!(commands.send(0x44, &[1, 3]).await, answer(&hex!("0f 80 01 1f")));
    }

    #[tokio::test]
    async fn limit_switches_messaging_on_until_the_flags_are_set() {
        for (requests, expected) in [
            (&[hex!("01 03 04 00")][..], 0x14), // ipmitool user priv 3 4 1
            (&[hex!("01 03 0f 00")], 0x0f),
            (&[hex!("01 03 00 00")], 0x0f),
            (&[hex!("01 03 0f 00"), hex!("01 03 02 00")], 0x12),
            (&[hex!("81 03 04 00")], 0x04),
            (&[hex!("81 03 04 00"), hex!("01 03 03 00")], 0x03),
            // Flags that were set while there was no access, and those of a user whose access was taken away.
            (&[hex!("81 03 0f 00"), hex!("01 03 04 00")], 0x04),
            (&[hex!("81 03 04 00"), hex!("01 03 0f 00"), hex!("01 03 04 00")], 0x04),
            (&[hex!("01 03 04 00"), hex!("81 03 04 00"), hex!("01 03 04 00")], 0x04),
            (&[hex!("c1 03 0f 00"), hex!("01 03 04 00")], 0x44),
            (&[hex!("91 03 0f 00"), hex!("01 03 04 00")], 0x14),
        ] {
            let (commands, ..) = commands();
            assert_eq!(commands.send(0x45, &named(3, b"bob")).await, answer(&[]));
            for request in requests {
                assert_eq!(commands.send(0x43, request).await, answer(&[]));
            }
            assert_eq!(access(&commands).await, expected, "{requests:02x?}");
            // The next user of the ID starts anew.
            assert_eq!(commands.send(0x45, &named(3, b"")).await, answer(&[]));
            assert_eq!(commands.send(0x45, &named(3, b"eve")).await, answer(&[]));
            assert_eq!(commands.send(0x43, &hex!("01 03 04 00")).await, answer(&[]));
            assert_eq!(access(&commands).await, 0x14, "{requests:02x?}");
        }
    }

    #[tokio::test]
    async fn passwords_are_tested_in_their_own_size() {
        let (commands, ..) = commands();
        assert_eq!(commands.send(0x45, &named(3, b"bob")).await, answer(&[]));
        let long = b"twenty bytes of text";
        assert_eq!(commands.send(0x47, &password(0x83, 2, long, 20)).await, answer(&[]));
        assert_eq!(commands.send(0x47, &password(0x83, 3, long, 20)).await, answer(&[]));
        let wrong = password(0x83, 3, b"another", 20);
        assert_eq!(commands.send(0x47, &wrong).await, Err(PASSWORD_MISMATCH));
        let short = password(0x03, 3, b"twenty bytes of ", 16);
        assert_eq!(commands.send(0x47, &short).await, Err(PASSWORD_WRONG_SIZE));
        for (first, length) in [(0x03, 15), (0x03, 17), (0x03, 20), (0x83, 16), (0x83, 21), (3, 0)]
        {
            let request = password(first, 2, b"x", length);
            let refused = Err(CompletionCode::REQUEST_LENGTH_INVALID);
            assert_eq!(commands.send(0x47, &request).await, refused, "{length}");
        }
    }

    #[tokio::test]
    async fn invalid_users_names_and_channels_are_refused() {
        let (commands, ..) = commands();
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        for (code, request) in [
            (0x45, named(1, b"nil")),
            (0x45, named(0, b"bob")),
            (0x45, named(16, b"bob")),
            (0x45, named(3, b"b\nb")),
            (0x46, vec![16]),
            (0x44, vec![2, 3]),
            (0x44, vec![15, 3]), // the system interface has no sessions
            (0x43, vec![0x91, 3, 6]),
        ] {
            assert_eq!(commands.send(code, &request).await, refused, "{code:02x} {request:02x?}");
        }
        assert_eq!(commands.send(0x45, &named(3, b"bob")).await, answer(&[]));
        assert_eq!(commands.send(0x45, &named(4, b"bob")).await, refused);
    }
}
