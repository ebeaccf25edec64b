//! The server's configuration.

use std::time::Duration;

use ipmi_proto::ChannelNumber;

use super::limits::Rate;
use crate::suite::CipherSuite;
use crate::wire::v15::AuthType;

/// Which of the up to four LAN front ends of a BMC this is: bits 31:30 of its session ids and bits
/// 7:6 of its handles, so that both are unique on the BMC.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Instance(u8);

impl Instance {
    /// The instance `number`, 0 to 3.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 3 { Some(Self(number)) } else { None }
    }

    /// The session id whose other bits are those of `random`.
    pub(crate) const fn session_id(self, random: u32) -> u32 {
        random & 0x3fff_ffff | (self.0 as u32) << 30
    }

    /// The handle of the session in `slot`, counted from 0.
    pub(crate) fn handle(self, slot: usize) -> u8 {
        let number = u8::try_from(slot + 1).unwrap_or(0x3f) & 0x3f;
        self.0 << 6 | number
    }
}

/// Limits, time-outs, and what the server reports about the BMC.
#[derive(Clone, Debug)]
pub struct Config {
    /// Makes ids and handles unique among a BMC's front ends.
    pub instance: Instance,
    /// The channel that the server answers for.
    pub channel: ChannelNumber,
    /// The system's GUID, in the order in which it travels.
    pub guid: [u8; 16],
    /// Cipher suites accepted, the preferred one first.
    pub suites: Vec<CipherSuite>,
    /// Authentication types of IPMI 1.5 sessions; if empty, those sessions are off.
    pub v15: Vec<AuthType>,
    /// Active sessions, up to [`Config::MAX_SESSIONS`].
    pub sessions: usize,
    /// Handshakes under way at a time.
    pub pending: usize,
    /// Requests of one session that may run at a time; more are answered C0h.
    pub requests: usize,
    /// Packets outside of sessions that one source may send.
    pub packets: Rate,
    /// Logins of one source that may fail.
    pub failures_by_source: Rate,
    /// Logins as one user that may fail, from sources that never logged in as that user.
    pub failures_by_user: Rate,
    /// A session without a valid packet for this time is closed.
    pub idle_timeout: Duration,
    /// A handshake not completed within this time is given up.
    pub setup_timeout: Duration,
    /// Packets of a session are accepted only from the address that logged in.
    pub bound_to_peer: bool,
}

impl Config {
    /// The most sessions that the handles of one instance can name.
    pub const MAX_SESSIONS: usize = 62;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instance: Instance::default(),
            channel: ChannelNumber::new(1).unwrap_or(ChannelNumber::CURRENT),
            guid: [0; 16],
            suites: [17, 3].into_iter().filter_map(CipherSuite::from_id).collect(),
            v15: Vec::new(),
            sessions: Self::MAX_SESSIONS,
            pending: 256,
            requests: 16,
            packets: Rate { burst: 4000, period: Duration::from_micros(250) },
            failures_by_source: Rate { burst: 10, period: Duration::from_secs(2) },
            failures_by_user: Rate { burst: 30, period: Duration::from_secs(2) },
            idle_timeout: Duration::from_secs(60),
            setup_timeout: Duration::from_secs(3),
            bound_to_peer: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_handles_carry_the_instance() {
        let instance = Instance::new(2).unwrap();
        assert_eq!(instance.session_id(0xffff_fff1), 0xbfff_fff1);
        assert_eq!(instance.handle(0), 0x81);
        assert_eq!(instance.handle(Config::MAX_SESSIONS - 1), 0xbe);
        assert_eq!(Instance::new(4), None);
    }
}
