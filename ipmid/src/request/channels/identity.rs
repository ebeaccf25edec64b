//! Which channel a caller's requests come on, decided from what the bus says of the caller.
//!
//! A caller that is not a bridge is the channel `INTRABMC`, which has the privilege of the system. So everything
//! that may be a bridge, or speaks for a session or a satellite, is refused unless it owns the bus name of one
//! configured channel. `docs/dbus.md` has the table.

use std::collections::BTreeSet;

use accounts::{Channel, ChannelTable};
use ipmi_proto::Medium;
use openbmc_dbus::execute::{CHANNEL_PREFIX, CallOptions};
use openbmc_dbus::ipmi::host_ipmi;

use super::{INTRABMC, first_bt};

/// What the bus says of a caller.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Facts {
    /// Its user.
    pub(super) user: User,
    /// The bridge names that it owns.
    pub(super) owned: BTreeSet<String>,
    /// The bridge names that it has owned since it connected, as far as this daemon has seen.
    pub(super) ever_owned: BTreeSet<String>,
}

/// What a caller's user may be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum User {
    /// Not accepted by the configuration, or unknown.
    #[default]
    Refused,
    /// A user that bridges run as: it speaks for other requesters only.
    Bridge,
    /// Root, this daemon's own user, or another that the configuration accepts.
    Accepted,
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
}

impl From<&CallOptions> for Claim {
    fn from(options: &CallOptions) -> Self {
        match options {
            CallOptions { names_session: true, .. } => Self::Session,
            CallOptions { names_satellite: true, .. } => Self::Satellite,
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
    #[error("it has lost the bus name {0}")]
    LostName(String),
    #[error("it runs as a bridge's user and owns no channel's bus name")]
    BridgeWithoutName,
    #[error("it names a session or a satellite and owns no channel's bus name")]
    ClaimWithoutName,
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

/// The channel of a caller's request.
pub(super) fn decide<'a>(
    caller: &Facts,
    claim: Claim,
    table: &'a ChannelTable,
) -> Result<&'a Channel, Refusal> {
    if caller.user == User::Refused {
        return Err(Refusal::User);
    }
    let Some(name) = only_name(&caller.ever_owned)? else {
        return match (claim, caller.user) {
            (Claim::Session | Claim::Satellite, _) => Err(Refusal::ClaimWithoutName),
            (Claim::Itself, User::Bridge) => Err(Refusal::BridgeWithoutName),
            (Claim::Itself, _) => table.by_name(INTRABMC).ok_or(Refusal::NoIntrabmc),
        };
    };
    if !caller.owned.contains(name) {
        return Err(Refusal::LostName(name.to_owned()));
    }
    let channel =
        channel_of(name, table).ok_or_else(|| Refusal::UnknownChannel(name.to_owned()))?;
    let channel_name = || channel.name.to_string();
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

/// Whether `name` is one that bridges own.
pub(super) fn is_bridge_name(name: &str) -> bool {
    name.starts_with(CHANNEL_PREFIX) || name == host_ipmi::SERVICE
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
        Some(channel) => table.by_name(channel),
        None => first_bt(table),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const LAN: &str = "xyz.openbmc_project.Ipmi.Channel.lan0";
    const KCS: &str = "xyz.openbmc_project.Ipmi.Channel.kcs0";
    const IPMB: &str = "xyz.openbmc_project.Ipmi.Channel.Ipmb";
    const UNKNOWN: &str = "xyz.openbmc_project.Ipmi.Channel.eth0";

    fn facts(user: User, owned: &[&str], lost: &[&str]) -> Facts {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let owned: BTreeSet<String> = set(owned);
        let lost: BTreeSet<String> = set(lost);
        Facts { user, ever_owned: &owned | &lost, owned }
    }

    fn names(owned: &[&str], lost: &[&str], what: &'static str) -> (Facts, &'static str) {
        (facts(User::Accepted, owned, lost), what)
    }

    /// `docs/dbus.md`, between the marks: a row for each user and each set of names, a column for each claim.
    fn table(channels: &ChannelTable) -> String {
        let users = [
            (User::Accepted, "root, ipmid's, or configured"),
            (User::Bridge, "a bridge's"),
            (User::Refused, "any other"),
        ];
        let names = [
            names(&[], &[], "none, or another process has it"),
            names(&[KCS], &[], "of a session-less channel"),
            names(&[LAN], &[], "of a channel with sessions"),
            names(&[IPMB], &[], "of an IPMB"),
            names(&[host_ipmi::SERVICE], &[], "`org.openbmc.HostIpmi`"),
            names(&[UNKNOWN], &[], "of a channel that is not configured"),
            names(&[LAN, KCS], &[], "two"),
            names(&[KCS], &[UNKNOWN], "one, and another before"),
            names(&[], &[LAN], "none any more"),
        ];
        let mut text = String::from(
            "| caller's user | bridge names it owns | no option | of a session | of a satellite |\n\
             |---|---|---|---|---|\n",
        );
        for (user, user_name) in users {
            for (facts, what) in &names {
                let facts = Facts { user, ..facts.clone() };
                let cell = |claim| match decide(&facts, claim, channels) {
                    Ok(channel) => outcome(channel, claim),
                    Err(_) => "`D3h`".to_owned(),
                };
                let cells = [Claim::Itself, Claim::Session, Claim::Satellite].map(cell);
                let [itself, session, satellite] = cells;
                writeln!(text, "| {user_name} | {what} | {itself} | {session} | {satellite} |")
                    .unwrap();
            }
        }
        text
    }

    fn outcome(channel: &Channel, claim: Claim) -> String {
        let privilege = match (channel.has_sessions(), claim) {
            (true, Claim::Session) => "the session's, at most the user's limit",
            (true, _) => return format!("{}: `FFh`", channel.name),
            (false, _) => "the system's",
        };
        format!("{}: {privilege}", channel.name)
    }

    #[test]
    fn document_has_the_table_of_the_decision() {
        const BEGIN: &str = "<!-- callers: begin -->\n";
        const END: &str = "<!-- callers: end -->";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dbus.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (before, rest) = document.split_once(BEGIN).expect("where the table begins");
        let (written, after) = rest.split_once(END).expect("where it ends");
        let decided = table(&ChannelTable::default());
        if std::env::var_os("UPDATE_README").is_some() {
            std::fs::write(path, [before, BEGIN, &decided, END, after].concat()).unwrap();
        } else {
            assert_eq!(written, decided, "UPDATE_README=1 cargo test -p ipmid document_has");
        }
    }

    /// The whole matrix against the rule in words: system privilege without a session is for a caller that owns
    /// and has owned nothing but one configured session-less channel's name, or that cannot be a bridge.
    #[test]
    fn system_privilege_needs_a_session_less_bridge_or_a_caller_that_cannot_be_one() {
        let with = ChannelTable::default();
        let without: Vec<_> = with.iter().filter(|it| *it.name != *INTRABMC).cloned().collect();
        let without = ChannelTable::try_from(without).unwrap();
        let all = [LAN, KCS, IPMB, UNKNOWN, host_ipmi::SERVICE];
        let pick = |bits: usize| -> Vec<&str> {
            (0..all.len()).filter(|at| bits & 1 << at != 0).map(|at| all[at]).collect()
        };
        for (owned, lost) in (0..32).flat_map(|owned| (0..32).map(move |lost| (owned, lost))) {
            for user in [User::Accepted, User::Bridge, User::Refused] {
                for claim in [Claim::Itself, Claim::Session, Claim::Satellite] {
                    for (channels, has_intrabmc) in [(&with, true), (&without, false)] {
                        let facts = facts(user, &pick(owned), &pick(lost));
                        let decided = decide(&facts, claim, channels);
                        let decided = decided.map(|channel| channel.name.to_string()).ok();
                        let expected = expected(&facts, claim, has_intrabmc);
                        assert_eq!(decided.as_deref(), expected, "{facts:?} {claim:?}");
                    }
                }
            }
        }
    }

    fn expected(facts: &Facts, claim: Claim, has_intrabmc: bool) -> Option<&'static str> {
        let ever: Vec<&str> = facts.ever_owned.iter().map(String::as_str).collect();
        let channels: Vec<&str> =
            ever.iter().copied().filter(|name| *name != host_ipmi::SERVICE).collect();
        let name = match (facts.user, channels.as_slice(), ever.is_empty()) {
            (User::Refused, ..) => return None,
            (User::Accepted, _, true) if claim == Claim::Itself && has_intrabmc => {
                return Some("INTRABMC");
            }
            (_, _, true) => return None,
            (_, [], false) => host_ipmi::SERVICE,
            (_, [name], _) => name,
            _ => return None,
        };
        match (name, claim) {
            _ if !facts.owned.contains(name) => None,
            (LAN, Claim::Itself | Claim::Session) => Some("lan0"),
            (KCS, Claim::Itself) => Some("kcs0"),
            (IPMB, Claim::Itself | Claim::Satellite) => Some("Ipmb"),
            (host_ipmi::SERVICE, Claim::Itself) => Some("bt0"),
            _ => None,
        }
    }

    #[test]
    fn options_of_any_type_are_claims() {
        let claim = |options: CallOptions| Claim::from(&options);
        assert_eq!(claim(CallOptions::default()), Claim::Itself);
        let session = CallOptions { names_session: true, ..CallOptions::default() };
        assert_eq!(claim(session), Claim::Session);
        let satellite = CallOptions { names_satellite: true, ..CallOptions::default() };
        assert_eq!(claim(satellite), Claim::Satellite);
    }
}
