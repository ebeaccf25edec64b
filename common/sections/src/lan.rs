//! The `[lan]` section: sessions over RMCP+.

use std::time::Duration;

use daemon::{Invalid, element};
use rmcp_proto::server::{Config, Rate};
use rmcp_proto::suite::CipherSuite;
use rmcp_proto::wire::v15::AuthType;
use serde::{Deserialize, Deserializer};

/// Up to one in a microsecond.
const MAX_PACKETS: i64 = 1_000_000;
/// Up to a thousand in a second.
const MAX_FAILURES: i64 = 60_000;
/// A day.
const MAX_IDLE: i64 = 86_400;
/// Longer than any console waits for a handshake.
const MAX_SETUP: i64 = 300;

/// `[lan]`: limits and algorithms.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LanSection {
    /// Cipher suites accepted, the preferred one first.
    pub cipher_suites: Vec<Suite>,
    /// Authentication types of IPMI 1.5 sessions; an empty list disables such sessions.
    pub ipmi_15: Vec<V15Type>,
    /// Active sessions.
    #[serde(deserialize_with = "daemon::range::number::<1, 62, _, _>")]
    pub sessions: usize,
    /// Handshakes under way at a time.
    #[serde(deserialize_with = "daemon::range::number::<1, 4096, _, _>")]
    pub handshakes: usize,
    /// Requests of one session that may run at a time.
    #[serde(deserialize_with = "daemon::range::number::<1, 64, _, _>")]
    pub requests_per_session: usize,
    /// Packets outside of sessions that one source may send in a second.
    #[serde(deserialize_with = "daemon::range::number::<1, MAX_PACKETS, _, _>")]
    packets_per_second: u32,
    /// Logins of one source that may fail in a minute.
    #[serde(deserialize_with = "daemon::range::number::<1, MAX_FAILURES, _, _>")]
    failed_logins_per_minute: u32,
    /// Seconds without a valid packet after which a session is closed.
    #[serde(deserialize_with = "daemon::range::number::<1, MAX_IDLE, _, _>")]
    idle_timeout: u64,
    /// Seconds within which a handshake must be complete.
    #[serde(deserialize_with = "daemon::range::number::<1, MAX_SETUP, _, _>")]
    setup_timeout: u64,
    /// Whether packets of a session are taken only from the address that logged in.
    pub bound_to_address: bool,
}

impl Default for LanSection {
    fn default() -> Self {
        let Config { suites, sessions, pending, requests, .. } = Config::default();
        Self {
            cipher_suites: suites.into_iter().map(Suite).collect(),
            ipmi_15: Vec::new(),
            sessions,
            handshakes: pending,
            requests_per_session: requests,
            packets_per_second: 4000,
            failed_logins_per_minute: 30,
            idle_timeout: 60,
            setup_timeout: 3,
            bound_to_address: true,
        }
    }
}

impl LanSection {
    /// The cipher suites, the preferred one first.
    #[must_use]
    pub fn suites(&self) -> Vec<CipherSuite> {
        self.cipher_suites.iter().map(|suite| suite.0).collect()
    }

    /// The ids of the cipher suites, in ascending order.
    #[must_use]
    pub fn suite_ids(&self) -> Vec<u8> {
        let mut ids: Vec<u8> = self.cipher_suites.iter().map(|suite| suite.0.id()).collect();
        ids.sort_unstable();
        ids
    }

    /// Leaves only suites of these ids.
    pub fn retain_suites(&mut self, ids: &[u8]) {
        self.cipher_suites.retain(|suite| ids.contains(&suite.0.id()));
    }

    /// The authentication types of IPMI 1.5.
    #[must_use]
    pub fn auth_types(&self) -> Vec<AuthType> {
        self.ipmi_15.iter().map(|known| known.0).collect()
    }

    /// The authentication types of IPMI 1.5, each a bit by its number (IPMI v2.0 §22.13, byte 3).
    #[must_use]
    pub fn auth_type_bits(&self) -> u8 {
        self.ipmi_15.iter().fold(0, |bits, known| bits | 1 << known.0.value())
    }

    /// The rate of packets outside of sessions from one source.
    #[must_use]
    pub fn packet_rate(&self) -> Rate {
        let burst = self.packets_per_second.max(1);
        Rate { burst, period: Duration::from_secs(1) / burst }
    }

    /// The rates of logins that fail: from one source, and of one user.
    #[must_use]
    pub fn failure_rates(&self) -> (Rate, Rate) {
        let burst = self.failed_logins_per_minute.max(1);
        let period = Duration::from_secs(60) / burst;
        (Rate { burst: burst.div_ceil(3), period }, Rate { burst, period })
    }

    /// How long a session may be idle.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout)
    }

    /// How long a handshake may take.
    #[must_use]
    pub fn setup_timeout(&self) -> Duration {
        Duration::from_secs(self.setup_timeout)
    }

    /// Checks the lists.
    ///
    /// # Errors
    ///
    /// An empty list of cipher suites, and a duplicate.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.cipher_suites.is_empty() {
            return Err(Invalid::at("lan.cipher-suites", "no suite is left to log in with"));
        }
        if let Some(at) = repeated(&self.suites()) {
            return Err(Invalid::at(format!("lan.cipher-suites[{at}]"), "a suite is listed twice"));
        }
        match repeated(&self.auth_types()) {
            Some(at) => Err(Invalid::at(format!("lan.ipmi-15[{at}]"), "a type is listed twice")),
            None => Ok(()),
        }
    }
}

/// The position of the first duplicate.
fn repeated<T: PartialEq>(values: &[T]) -> Option<usize> {
    let is_repeated = |(at, value): (usize, &T)| values.iter().take(at).any(|other| other == value);
    (0..values.len()).zip(values).position(is_repeated)
}

/// A cipher suite by its id: one that is supported, and never suite 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Suite(CipherSuite);

impl<'de> Deserialize<'de> for Suite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        element::from_number(deserializer, "the number of a cipher suite", |id| match id {
            0 => Err("cipher suite 0 has no security and cannot be enabled".to_owned()),
            _ => u8::try_from(id)
                .ok()
                .and_then(CipherSuite::from_id)
                .map(Self)
                .ok_or_else(|| format!("cipher suite {id} is not supported")),
        })
    }
}

/// An authentication type of IPMI 1.5 by its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct V15Type(AuthType);

impl<'de> Deserialize<'de> for V15Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        element::from_text(deserializer, "the name of an authentication type", |name| {
            let known = AuthType::from_name(name).map(Self);
            known.ok_or_else(|| {
                format!("`{name}` is not an authentication type (none, password, md2, md5)")
            })
        })
    }
}
