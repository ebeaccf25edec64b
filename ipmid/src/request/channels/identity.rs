//! Which channel a caller's requests come on, decided from what the bus says of the caller.
//!
//! A caller that is not a bridge is the channel `INTRABMC`, which has the privilege of the system. So everything
//! that may be a bridge, or speaks for a session or a satellite, is refused unless it owns the bus name of one
//! configured channel. `docs/dbus.md` has the table.

use std::collections::BTreeSet;

use accounts::{Channel, ChannelTable};
use ipmi_proto::Medium;
use openbmc_dbus::execute::{CHANNEL_PREFIX, CallOptions};

use super::owners::Names;
use super::{INTRABMC, first_bt};

/// What a caller's user may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum User {
    /// Not accepted by the configuration.
    Refused,
    /// A user that bridges run as: it speaks for other requesters only, on channels of this kind.
    Bridge(BridgeKind),
    /// Root, this daemon's own user, or another that the configuration accepts.
    Accepted,
}

/// What the channels of a bridge are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BridgeKind {
    /// With sessions: `netipmid`'s.
    Lan,
    /// A host's interface: `kcsbridged`'s, `btbridged`'s and `ssifbridged`'s.
    Host,
    /// An IPMB: `ipmbbridged`'s.
    Ipmb,
}

impl BridgeKind {
    fn fits(self, channel: &Channel) -> bool {
        let kind = match (channel.has_sessions(), channel.medium) {
            (true, _) => Self::Lan,
            (false, Medium::Ipmb) => Self::Ipmb,
            (false, _) => Self::Host,
        };
        self == kind
    }
}

/// For whom a caller says that it sends a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Claim {
    /// For itself, or for the host behind it.
    #[default]
    Itself,
    /// For a session's user.
    Session,
    /// For a satellite controller.
    Satellite,
    /// For a requester that only unknown options describe.
    Other,
}

impl From<&CallOptions> for Claim {
    fn from(options: &CallOptions) -> Self {
        match options {
            CallOptions { names_session: true, .. } => Self::Session,
            CallOptions { names_satellite: true, .. } => Self::Satellite,
            CallOptions { has_unknown: true, .. } => Self::Other,
            _ => Self::Itself,
        }
    }
}

/// Why a caller is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("its user is not among the accepted callers")]
    User,
    #[error("no channel is configured for the bus name {0}")]
    UnknownChannel(String),
    #[error("it owns or has owned several bridge names")]
    SeveralNames,
    #[error("it no longer owns the bus name {0}")]
    LostName(String),
    #[error("it runs as a bridge's user and owns no channel's bus name")]
    BridgeWithoutName,
    #[error("it names another requester and owns no channel's bus name")]
    ClaimWithoutName,
    #[error("its user's bridge does not serve channels like {0}")]
    WrongKind(String),
    #[error("it names a session, and channel {0} has none")]
    SessionOnSessionless(String),
    #[error("it names a satellite, and channel {0} is not an IPMB")]
    SatelliteBesideIpmb(String),
    #[error("it owns no channel's bus name, and no channel {INTRABMC} is configured")]
    NoIntrabmc,
    /// The bus did not answer, or its answers changed while they were read.
    #[error("the bus does not say who it is: {0}")]
    Unknown(String),
}

/// The kinds of refusals, each of which is logged at a rate of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum RefusalKind {
    User,
    Names,
    Claim,
    Unknown,
}

impl RefusalKind {
    pub(super) const COUNT: usize = Self::Unknown as usize + 1;
}

impl Refusal {
    pub(super) fn kind(&self) -> RefusalKind {
        match self {
            Self::User => RefusalKind::User,
            Self::UnknownChannel(_)
            | Self::SeveralNames
            | Self::LostName(_)
            | Self::BridgeWithoutName
            | Self::NoIntrabmc
            | Self::WrongKind(_) => RefusalKind::Names,
            Self::ClaimWithoutName
            | Self::SessionOnSessionless(_)
            | Self::SatelliteBesideIpmb(_) => RefusalKind::Claim,
            Self::Unknown(_) => RefusalKind::Unknown,
        }
    }
}

/// The channel of a caller's request.
pub(super) fn decide<'a>(
    user: User,
    names: &Names,
    claim: Claim,
    table: &'a ChannelTable,
) -> Result<&'a Channel, Refusal> {
    let kind = match user {
        User::Refused => return Err(Refusal::User),
        User::Bridge(kind) => Some(kind),
        User::Accepted => None,
    };
    let Some(name) = only_name(&names.ever_owned)? else {
        return match (kind, claim) {
            (Some(_), _) => Err(Refusal::BridgeWithoutName),
            (None, Claim::Itself) => table.by_name(INTRABMC).ok_or(Refusal::NoIntrabmc),
            (None, _) => Err(Refusal::ClaimWithoutName),
        };
    };
    if !names.owned.contains(name) {
        return Err(Refusal::LostName(name.to_owned()));
    }
    let channel =
        channel_of(name, table).ok_or_else(|| Refusal::UnknownChannel(name.to_owned()))?;
    let channel_name = || channel.name.to_string();
    if kind.is_some_and(|kind| !kind.fits(channel)) {
        return Err(Refusal::WrongKind(channel_name()));
    }
    match claim {
        Claim::Session if !channel.has_sessions() => {
            Err(Refusal::SessionOnSessionless(channel_name()))
        }
        Claim::Satellite if channel.medium != Medium::Ipmb => {
            Err(Refusal::SatelliteBesideIpmb(channel_name()))
        }
        _ => Ok(channel),
    }
}

/// The name that decides. That of OpenBMC's btbridge does so only by itself: our btbridged owns it beside its
/// channel's.
fn only_name(names: &BTreeSet<String>) -> Result<Option<&str>, Refusal> {
    let mut channels = names.iter().filter(|name| name.starts_with(CHANNEL_PREFIX));
    match (channels.next(), channels.next()) {
        (Some(_), Some(_)) => Err(Refusal::SeveralNames),
        (Some(name), None) => Ok(Some(name)),
        (None, _) => Ok(names.first().map(String::as_str)),
    }
}

fn channel_of<'a>(name: &str, table: &'a ChannelTable) -> Option<&'a Channel> {
    match name.strip_prefix(CHANNEL_PREFIX) {
        // The channel of callers that are not bridges cannot be claimed by a bridge's name.
        Some(channel) => table.by_name(channel).filter(|_| channel != INTRABMC),
        None => first_bt(table),
    }
}

#[cfg(test)]
mod tests;
