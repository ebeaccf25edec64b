//! Setting up a session, a type per state: each holds what is known in it and is consumed by the next
//! message, so no key can be used before it exists (IPMI v2.0 §13.15-24).

use std::time::Instant;

use ipmi_proto::Privilege;

use super::accounts::{Account, Accounts, Random, random_bytes};
use super::event::Route;
use super::limits::Source;
use super::reject::Reason;
use super::v15_login::AwaitActivate;
use crate::crypto::mac::{Digest, Hash, KeyedHash};
use crate::crypto::{Exchange, Protector, UserKey};
use crate::suite::CipherSuite;
use crate::wire::StatusCode;
use crate::wire::rakp::{Rakp1, UserName};

/// A handshake under way.
pub(super) struct Handshake {
    pub(super) managed_id: u32,
    pub(super) route: Route,
    /// When it is given up if it is not complete.
    pub(super) deadline: Instant,
    pub(super) state: State,
}

impl Handshake {
    /// The source that it counts for.
    pub(super) fn source(&self) -> Source {
        self.route.peer.into()
    }
}

/// The message that the handshake waits for.
pub(super) enum State {
    Rakp1(AwaitRakp1),
    Rakp3(Box<AwaitRakp3>),
    /// Activate Session of IPMI 1.5.
    Activate(Box<AwaitActivate>),
}

/// Open Session is answered, the suite is chosen.
#[derive(Clone, Copy)]
pub(super) struct AwaitRakp1 {
    pub(super) console_id: u32,
    pub(super) suite: CipherSuite,
    /// The privilege granted by the Open Session Response.
    pub(super) granted: Privilege,
}

/// What a RAKP 1 is answered from.
pub(super) struct Rakp1Context<'a, A, R> {
    pub(super) accounts: &'a A,
    pub(super) random: &'a mut R,
    pub(super) guid: [u8; 16],
    pub(super) decoy: &'a Decoy,
}

impl AwaitRakp1 {
    /// Handles RAKP 1. For a name under which no login can succeed, the next state is made by the same steps
    /// and gives a RAKP 2 of the same form: only RAKP 4 reports a failure.
    ///
    /// # Errors
    ///
    /// The status of a RAKP 2 that ends the handshake, for fields that are invalid for every user.
    pub(super) fn on_rakp_1<A: Accounts, R: Random>(
        self,
        message: &Rakp1,
        context: Rakp1Context<'_, A, R>,
    ) -> Result<AwaitRakp3, StatusCode> {
        let name = message.name.ok_or(StatusCode::INVALID_NAME_LENGTH)?;
        let wanted = Privilege::new(message.role.privilege()).ok_or(StatusCode::INVALID_ROLE)?;
        let lookup = (!message.role.is_name_only()).then_some(wanted);
        let account = context.accounts.find(&name, lookup);
        let decoy = context.decoy.key(&name);
        let key = account.as_ref().map_or(&decoy, |account| &account.key).clone();
        let channel = context.accounts.channel_limit();
        let suite = context.accounts.suite_limit(self.suite);
        let verdict = match (account, channel, suite) {
            (Ok(account), Some(channel), Some(suite)) => {
                let limit = account.limit.min(channel).min(suite).min(self.granted);
                let refused = (wanted > limit).then_some(Reason::PrivilegeAboveLimit);
                Verdict::Known { account, refused }
            }
            (Err(denial), ..) => Verdict::Denied(denial.into()),
            (Ok(_), None, _) => Verdict::Denied(Reason::ChannelDisabled),
            (Ok(_), _, None) => Verdict::Denied(Reason::SuiteDisabled),
        };
        let exchange = Exchange {
            algorithms: self.suite.algorithms(),
            console_id: self.console_id,
            managed_id: message.managed_id,
            console_random: message.console_random,
            managed_random: random_bytes(context.random),
            guid: context.guid,
            role: message.role,
            name,
        };
        Ok(AwaitRakp3 { suite: self.suite, exchange, key, wanted, verdict, rakp_1: *message })
    }
}

/// RAKP 2 is sent: the console must show that it knows the user's key.
pub(super) struct AwaitRakp3 {
    suite: CipherSuite,
    exchange: Exchange,
    key: UserKey,
    wanted: Privilege,
    verdict: Verdict,
    rakp_1: Rakp1,
}

enum Verdict {
    Known {
        account: Account,
        refused: Option<Reason>,
    },
    /// No password opens a session, for this reason.
    Denied(Reason),
}

/// A login that succeeded.
pub(super) struct Login {
    pub(super) account: Account,
    /// The privilege asked for, which the session never exceeds.
    pub(super) limit: Privilege,
    pub(super) keys: LoginKeys,
}

/// The keys and codes of the session that a login opens.
pub(super) struct LoginKeys {
    pub(super) console_id: u32,
    pub(super) suite: CipherSuite,
    pub(super) protector: Protector,
    /// RAKP 3's code, to recognise a retry by.
    pub(super) code: Digest,
    /// RAKP 4's check value.
    pub(super) check: Digest,
}

impl AwaitRakp3 {
    pub(super) const fn console_id(&self) -> u32 {
        self.exchange.console_id
    }

    pub(super) const fn user_name(&self) -> UserName {
        self.exchange.name
    }

    /// The id of the user, if one may log in under the name.
    pub(super) fn account_id(&self) -> Option<u8> {
        match &self.verdict {
            Verdict::Known { account, .. } => Some(account.id),
            Verdict::Denied(_) => None,
        }
    }

    /// The reason for a login that the console ended after RAKP 2: the console has found from RAKP 2's code
    /// that its password does not match.
    pub(super) const fn reason_to_stop(&self) -> Reason {
        match self.verdict {
            Verdict::Known { .. } => Reason::WrongPassword,
            Verdict::Denied(reason) => reason,
        }
    }

    /// The BMC's random number and the GUID in RAKP 2.
    pub(super) const fn randoms(&self) -> ([u8; 16], [u8; 16]) {
        (self.exchange.managed_random, self.exchange.guid)
    }

    /// RAKP 2's code.
    pub(super) fn code(&self) -> Digest {
        self.exchange.rakp_2_code(&self.key)
    }

    /// Whether `message` is the RAKP 1 that led here, sent again; its tag may be another.
    pub(super) fn is_retry(&self, message: &Rakp1) -> bool {
        Rakp1 { tag: self.rakp_1.tag, ..*message } == self.rakp_1
    }

    /// Checks RAKP 3's code.
    ///
    /// # Errors
    ///
    /// RAKP 4's status and the reason: unknown users and wrong passwords get the same status, after the same
    /// computation.
    pub(super) fn on_rakp_3(
        self,
        code: &[u8],
        kg: Option<&UserKey>,
    ) -> Result<Login, (StatusCode, Reason)> {
        let wanted = self.exchange.rakp_3_code(&self.key);
        let matches = wanted.matches(code);
        let sik = self.exchange.session_integrity_key(&self.key, kg);
        let check = self.exchange.rakp_4_check(&sik);
        let bad = StatusCode::INVALID_INTEGRITY_CHECK;
        match self.verdict {
            Verdict::Denied(reason) => Err((bad, reason)),
            Verdict::Known { .. } if !matches => Err((bad, Reason::WrongPassword)),
            Verdict::Known { refused: Some(reason), .. } => {
                Err((StatusCode::UNAUTHORIZED_ROLE, reason))
            }
            Verdict::Known { account, refused: None } => {
                let keys = LoginKeys {
                    console_id: self.exchange.console_id,
                    suite: self.suite,
                    protector: self.exchange.protector(&sik, &self.key),
                    code: wanted,
                    check,
                };
                Ok(Login { account, limit: self.wanted, keys })
            }
        }
    }
}

/// Keys for unknown users, derived from a secret made at start, so that they cannot be guessed.
pub(super) struct Decoy(KeyedHash);

impl Decoy {
    pub(super) fn new(random: &mut impl Random) -> Self {
        Self(KeyedHash::new(Hash::Sha256, &random_bytes::<32>(random)))
    }

    pub(super) fn key(&self, name: &UserName) -> UserKey {
        let digest = self.0.digest(&[b"user", name.as_bytes()]);
        digest.as_bytes().first_chunk().map_or_else(UserKey::default, |key| UserKey::new(*key))
    }

    /// A digest of the account's key and name, which shows a change without storing the key.
    pub(super) fn fingerprint(&self, account: &Account) -> Digest {
        self.0.digest(&[b"account", account.key.as_bytes(), account.name.as_bytes()])
    }
}
