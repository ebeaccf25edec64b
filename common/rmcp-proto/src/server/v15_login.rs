//! What is known of a login in IPMI 1.5 format between its challenge and its Activate Session.

use super::accounts::{Account, Denial, V15Policy};
use super::event::SessionId;
use super::v15_link::{V15Link, code_matches};
use crate::crypto::UserKey;
use crate::wire::rakp::UserName;
use crate::wire::v15::{AuthType, V15Packet};

/// The challenge is sent: the console must show that it knows the user's key.
pub(super) struct AwaitActivate {
    pub(super) auth: AuthType,
    pub(super) name: UserName,
    pub(super) challenge: [u8; 16],
    pub(super) account: Result<Account, Denial>,
    /// The account's key, or one that nobody knows.
    pub(super) key: UserKey,
}

impl AwaitActivate {
    /// Whether `packet` carries this login's auth code.
    pub(super) fn verifies(&self, packet: &V15Packet<'_>) -> bool {
        packet.auth == self.auth && code_matches(self.auth, &self.key, packet)
    }
    /// The link of the session `id` that the login opens; see [`V15Link::new`].
    pub(super) fn link(&self, id: SessionId, policy: V15Policy, outbound: u32) -> V15Link {
        V15Link::new(id, self.auth, self.key.clone(), policy, outbound)
    }
}
