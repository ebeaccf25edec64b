//! Why datagrams and logins are refused: each reason is counted.

use super::accounts::Denial;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a datagram was not acted on, or a login refused.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// For logs and counters: words joined by dashes.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// Not an RMCP message.
    MalformedRmcp = "malformed-rmcp",
    /// An ASF message other than a presence ping.
    MalformedAsf = "malformed-asf",
    /// An RMCP class other than ASF and IPMI.
    UnsupportedClass = "unsupported-class",
    /// A session header that does not parse.
    MalformedPacket = "malformed-packet",
    /// A message without its frame's form or checksums.
    MalformedMessage = "malformed-message",
    /// A set-up message that does not parse.
    MalformedSetup = "malformed-setup",
    /// A command outside a session that needs one.
    NeedsSession = "needs-session",
    /// An unknown session id.
    UnknownSession = "unknown-session",
    /// A packet of a session, from another address than it logged in from.
    OtherAddress = "other-address",
    /// A packet of an IPMI 1.5 session, while those are off.
    VersionDisabled = "version-disabled",
    /// A payload type that is not supported, or not active.
    UnsupportedPayload = "unsupported-payload",
    /// A packet less protected than its session demands.
    Unprotected = "unprotected",
    /// A protection that was not negotiated.
    NotNegotiated = "not-negotiated",
    /// A malformed trailer.
    MalformedTrailer = "malformed-trailer",
    /// A wrong auth code.
    WrongAuthCode = "wrong-auth-code",
    /// A ciphertext that does not decrypt to a padded payload.
    MalformedCiphertext = "malformed-ciphertext",
    /// A session sequence number seen before or outside the window.
    Replayed = "replayed",
    /// A copy of a request that is still running.
    DuplicateRequest = "duplicate-request",
    /// A request beyond those that one session may have running, answered C0h.
    TooManyRequests = "too-many-requests",
    /// A set-up message out of order, or for an unknown handshake.
    OutOfTurn = "out-of-turn",
    /// No cipher suite is both proposed and configured.
    NoCipherSuite = "no-cipher-suite",
    /// A set-up message with an illegal field.
    IllegalSetup = "illegal-setup",
    /// A handshake evicted for a newer one.
    HandshakeEvicted = "handshake-evicted",
    /// A handshake that took too long and did not come to a user's password.
    HandshakeTimeout = "handshake-timeout",
    /// The console did not accept RAKP 2, for another reason than its code.
    ConsoleGaveUp = "console-gave-up",
    /// A login under a name that no user has.
    UnknownUser = "unknown-user",
    /// A login as a user who is disabled.
    UserDisabled = "user-disabled",
    /// A login as a user without access to the channel.
    NoChannelAccess = "no-channel-access",
    /// A login as a user for whom IPMI messaging is off on the channel.
    MessagingDisabled = "messaging-disabled",
    /// A login as a user who is restricted to callback on the channel.
    CallbackOnly = "callback-only",
    /// A login as a user without a password.
    NoPassword = "no-password",
    /// A login in IPMI 1.5 format as a user whose password is longer than that format allows.
    PasswordTooLong = "password-too-long",
    /// A login by name and role, with a role above the user's limit.
    RoleAboveLimit = "role-above-limit",
    /// A login while the accounts cannot be read.
    AccountsUnreadable = "accounts-unreadable",
    /// A login while the channel's access mode allows none.
    ChannelDisabled = "channel-disabled",
    /// A login with a cipher suite that may not be used on the channel.
    SuiteDisabled = "suite-disabled",
    /// A login with the wrong password, or one that the console ended after RAKP 2, which shows it that
    /// its password is wrong.
    WrongPassword = "wrong-password",
    /// A login that asked for more privilege than it may have.
    PrivilegeAboveLimit = "privilege-above-limit",
    /// A login as a user who is locked after wrong passwords.
    UserLocked = "user-locked",
    /// A login after too many that failed.
    TooManyFailures = "too-many-failures",
    /// More packets outside of sessions than one source may send.
    TooManyPackets = "too-many-packets",
    /// A login when every session was taken and in use.
    NoFreeSession = "no-free-session",
}

impl Reason {
    /// Whether a login refused for it counts as a guessed password: the console cannot tell these apart.
    pub(super) const fn is_guess(self) -> bool {
        matches!(
            self,
            Self::UnknownUser
                | Self::UserDisabled
                | Self::NoChannelAccess
                | Self::MessagingDisabled
                | Self::CallbackOnly
                | Self::NoPassword
                | Self::PasswordTooLong
                | Self::RoleAboveLimit
                | Self::AccountsUnreadable
                | Self::ChannelDisabled
                | Self::SuiteDisabled
                | Self::WrongPassword
        )
    }
}

impl From<Denial> for Reason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::UnknownUser => Self::UnknownUser,
            Denial::UserDisabled => Self::UserDisabled,
            Denial::NoChannelAccess => Self::NoChannelAccess,
            Denial::MessagingDisabled => Self::MessagingDisabled,
            Denial::CallbackOnly => Self::CallbackOnly,
            Denial::NoPassword => Self::NoPassword,
            Denial::PasswordTooLong => Self::PasswordTooLong,
            Denial::RoleAboveLimit => Self::RoleAboveLimit,
            Denial::AccountsUnreadable => Self::AccountsUnreadable,
        }
    }
}

/// How often each reason came up.
#[derive(Clone, Debug)]
pub struct Counters([u64; Reason::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Reason::ALL.len()])
    }
}

impl Counters {
    pub(super) fn count(&mut self, reason: Reason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How often `reason` came up.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or_default()
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.iter().copied().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn reasons_are_counted_apart() {
        let mut counters = Counters::default();
        for (times, &reason) in Reason::ALL.iter().enumerate() {
            for _ in 0..times {
                counters.count(reason);
            }
        }
        for (times, (reason, count)) in counters.iter().enumerate() {
            assert_eq!(count, times as u64, "{reason:?}");
            assert_eq!(counters.of(reason), count);
        }
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
