//! The whole matrix of callers, names and options: against `docs/dbus.md`, and against the rule in words.

use std::fmt::Write as _;

use openbmc_dbus::ipmi::host_ipmi;

use super::*;

const LAN: &str = "xyz.openbmc_project.Ipmi.Channel.lan0";
const KCS: &str = "xyz.openbmc_project.Ipmi.Channel.kcs0";
const IPMB: &str = "xyz.openbmc_project.Ipmi.Channel.Ipmb";
const UNKNOWN: &str = "xyz.openbmc_project.Ipmi.Channel.eth0";
const SYSTEM: &str = "xyz.openbmc_project.Ipmi.Channel.INTRABMC";

const CLAIMS: [Claim; 4] = [Claim::Itself, Claim::Session, Claim::Satellite, Claim::Other];

const USERS: [(User, &str); 5] = [
    (User::Accepted, "root, ipmid's, or configured"),
    (User::Bridge(BridgeKind::Lan), "`netipmid`'s"),
    (User::Bridge(BridgeKind::Host), "`kcsbridged`'s, `btbridged`'s, `ssifbridged`'s"),
    (User::Bridge(BridgeKind::Ipmb), "`ipmbbridged`'s"),
    (User::Refused, "any other: `platformd`'s, `nobody`'s"),
];

fn names(owned: &[&str], lost: &[&str]) -> Names {
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let owned: BTreeSet<String> = set(owned);
    let lost: BTreeSet<String> = set(lost);
    Names { ever_owned: &owned | &lost, owned }
}

/// `docs/dbus.md`, between the marks: a row for each user and each set of names, a column for each claim. What is
/// refused whatever the claim shares a row.
fn table(channels: &ChannelTable) -> String {
    let sets = [
        (names(&[], &[]), "none, or another process has it"),
        (names(&[LAN], &[]), "of a channel with sessions"),
        (names(&[KCS], &[]), "of a host's channel"),
        (names(&[IPMB], &[]), "of an IPMB"),
        (names(&[host_ipmi::SERVICE], &[]), "`org.openbmc.HostIpmi`"),
        (names(&[UNKNOWN], &[]), "of a channel that is not configured"),
        (names(&[SYSTEM], &[]), "of `INTRABMC`"),
        (names(&[LAN, KCS], &[]), "two"),
        (names(&[KCS], &[UNKNOWN]), "one, and another before"),
        (names(&[], &[LAN]), "none any more"),
    ];
    let mut text = String::from(
        "| caller's user | bridge names it owns | no option | of a session | of a satellite | others |\n\
         |---|---|---|---|---|---|\n",
    );
    const REFUSED: &str = "`D3h`";
    for (user, user_name) in USERS {
        let mut refused = Vec::new();
        for (names, what) in &sets {
            let cells = CLAIMS.map(|claim| match decide(user, names, claim, channels) {
                Ok(channel) => outcome(channel, claim),
                Err(_) => REFUSED.to_owned(),
            });
            if cells.iter().all(|cell| cell == REFUSED) {
                refused.push(*what);
                continue;
            }
            writeln!(text, "| {user_name} | {what} | {} |", cells.join(" | ")).unwrap();
        }
        let cells = CLAIMS.map(|_| REFUSED).join(" | ");
        writeln!(text, "| {user_name} | {} | {cells} |", refused.join("; ")).unwrap();
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

/// System privilege without a session is for a caller that owns and has owned nothing but one configured session-less
/// channel's name, or that cannot be a bridge.
#[test]
fn system_privilege_needs_a_session_less_bridge_or_a_caller_that_cannot_be_one() {
    let with = ChannelTable::default();
    let without: Vec<_> = with.iter().filter(|it| *it.name != *INTRABMC).cloned().collect();
    let without = ChannelTable::try_from(without).unwrap();
    let all = [LAN, KCS, IPMB, UNKNOWN, host_ipmi::SERVICE, SYSTEM];
    let subsets = 0..1_usize << all.len();
    let pick = |bits: usize| -> Vec<&str> {
        (0..all.len()).filter(|at| bits & 1 << at != 0).map(|at| all[at]).collect()
    };
    for (owned, lost) in
        subsets.clone().flat_map(|owned| subsets.clone().map(move |lost| (owned, lost)))
    {
        let names = names(&pick(owned), &pick(lost));
        for (user, _) in USERS {
            for claim in CLAIMS {
                for (channels, has_intrabmc) in [(&with, true), (&without, false)] {
                    let decided = decide(user, &names, claim, channels);
                    let decided = decided.map(|channel| channel.name.to_string()).ok();
                    let expected = expected(user, &names, claim, has_intrabmc);
                    assert_eq!(decided.as_deref(), expected, "{user:?} {names:?} {claim:?}");
                }
            }
        }
    }
}

fn expected(user: User, names: &Names, claim: Claim, has_intrabmc: bool) -> Option<&'static str> {
    let ever: Vec<&str> = names.ever_owned.iter().map(String::as_str).collect();
    let channels: Vec<&str> =
        ever.iter().copied().filter(|name| *name != host_ipmi::SERVICE).collect();
    let name = match (user, channels.as_slice(), ever.is_empty()) {
        (User::Refused, ..) => return None,
        (User::Accepted, _, true) if claim == Claim::Itself && has_intrabmc => {
            return Some("INTRABMC");
        }
        (_, _, true) => return None,
        (_, [], false) => host_ipmi::SERVICE,
        (_, [name], _) => name,
        _ => return None,
    };
    if !names.owned.contains(name) {
        return None;
    }
    let (kind, channel, claims) = match name {
        LAN => (BridgeKind::Lan, "lan0", &[Claim::Itself, Claim::Session, Claim::Other][..]),
        KCS => (BridgeKind::Host, "kcs0", &[Claim::Itself, Claim::Other][..]),
        IPMB => (BridgeKind::Ipmb, "Ipmb", &[Claim::Itself, Claim::Satellite, Claim::Other][..]),
        host_ipmi::SERVICE => (BridgeKind::Host, "bt0", &[Claim::Itself, Claim::Other][..]),
        _ => return None,
    };
    let may = user == User::Accepted || user == User::Bridge(kind);
    (may && claims.contains(&claim)).then_some(channel)
}

#[test]
fn options_of_any_type_are_claims() {
    let claim = |options: CallOptions| Claim::from(&options);
    assert_eq!(claim(CallOptions::default()), Claim::Itself);
    let session = CallOptions { names_session: true, ..CallOptions::default() };
    assert_eq!(claim(session), Claim::Session);
    let satellite = CallOptions { names_satellite: true, ..CallOptions::default() };
    assert_eq!(claim(satellite), Claim::Satellite);
    let unknown = CallOptions { has_unknown: true, ..CallOptions::default() };
    assert_eq!(claim(unknown), Claim::Other);
}
