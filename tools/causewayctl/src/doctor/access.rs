//! What clients find: channels, cipher suites, users, the firewall, the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use ipmi_proto::codec::Remaining;
use ipmi_proto::{AccessMode, Medium, NetFn};
use rmcp_proto::suite::{CipherSuite, Confidentiality};

use super::Finding;
use crate::bmc::{Bmc, Channel, Setting};
use crate::error::Error;
use crate::{cipher, user};

/// The least time of a clock that was set: 2024-01-01.
const PAST: u64 = 1_704_067_200;
/// Clocks may differ by so many seconds, and by a time zone, of which all are multiples of a quarter of an hour.
const SLACK: u64 = 120;
const ZONE: u64 = 900;

pub(super) async fn check(bmc: &Bmc) -> Result<Vec<Finding>, Error> {
    let channels = bmc.session_channels(None).await?;
    let is_lan = |channel: &&Channel| channel.medium == Medium::Lan.value();
    let mut findings = users(bmc, &channels).await?;
    for channel in channels.iter().filter(is_lan) {
        findings.extend(lan(bmc, channel).await?);
    }
    findings.extend(firewall(bmc, &channels).await?);
    findings.extend(clock(bmc).await?);
    if let Some([result, detail]) = bmc.bytes(NetFn::APP, 0x04).await?
        && result != 0x55
    {
        findings.push(Finding::new(
            "self test",
            format!("ipmid's self test reports {result:02X}h {detail:02X}h"),
            "ipmitool mc selftest; journalctl -u ipmid",
        ));
    }
    Ok(findings)
}

async fn users(bmc: &Bmc, channels: &[Channel]) -> Result<Vec<Finding>, Error> {
    let users = user::users(bmc, channels).await?;
    let mut findings = Vec::new();
    let may_log_in = |user: &user::User| {
        user.enabled
            && user.access.iter().any(|access| access.messaging && access.privilege.is_some())
    };
    if !users.iter().any(may_log_in) {
        let problem = "no user may log in over LAN";
        findings.push(Finding::new("users", problem, "causewayctl setup"));
    }
    for user in users.iter().filter(|user| may_log_in(user) && user.name.is_empty()) {
        let id = user.id;
        findings.push(Finding::new(
            "users",
            format!("user {id} has no name and may log in: its clients cannot be distinguished"),
            format!("causewayctl user access {id} --enabled off"),
        ));
    }
    Ok(findings)
}

async fn lan(bmc: &Bmc, channel: &Channel) -> Result<Vec<Finding>, Error> {
    let number = channel.number;
    let n = number.value();
    let mut findings = Vec::new();
    for (setting, when, option) in [
        (Setting::Volatile, "now", "--volatile"),
        (Setting::NonVolatile, "after a restart", "--persistent"),
    ] {
        let access = bmc.channel_access(number, setting).await?;
        if access.mode != AccessMode::AlwaysAvailable {
            findings.push(Finding::new(
                "channels",
                format!(
                    "channel {n} takes no messages {when}: its access mode is {}",
                    access.mode.name()
                ),
                format!("causewayctl channel set {n} --mode always {option}"),
            ));
        }
        if access.message_auth_off || access.user_auth_off {
            let problem = format!("channel {n} does not authenticate every message {when}");
            let remedy = format!("ipmitool channel info {n}; ipmitool lan set {n} auth");
            findings.push(Finding::new("channels", problem, remedy));
        }
    }
    let suites = cipher::ids(&bmc.cipher_suite_records(number).await?);
    let encrypts = |id: &u8| {
        let suite = CipherSuite::from_id(*id).map(CipherSuite::algorithms);
        suite.is_some_and(|suite| suite.confidentiality != Confidentiality::None)
    };
    let weak: Vec<_> = suites.iter().filter(|id| !encrypts(id)).map(u8::to_string).collect();
    if !weak.is_empty() {
        findings.push(Finding::new(
            "cipher suites",
            format!("channel {n} offers suites that encrypt nothing: {}", weak.join(", ")),
            "take them out of cipher-suites in section [lan] of causeway.toml",
        ));
    }
    if cipher::are_all_closed(bmc, number, &suites).await? {
        findings.push(Finding::new(
            "cipher suites",
            format!("no cipher suite of channel {n} may be used"),
            format!("ipmitool lan set {n} cipher_privs XXXaXXXXXXXXXXX"),
        ));
    }
    let types = bmc.lan_parameter(number, 1).await?.unwrap_or_default();
    if types.first().is_some_and(|types| *types != 0) {
        findings.push(Finding::new(
            "sessions",
            format!("channel {n} takes IPMI 1.5 sessions, which encrypt nothing"),
            "ipmi-15 = [] in section [lan] of causeway.toml",
        ));
    }
    Ok(findings)
}

/// Commands that filters refuse.
async fn firewall(bmc: &Bmc, channels: &[Channel]) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    // An ipmid of OpenBMC's has no such list.
    let commands = bmc.bus.commands().await.unwrap_or_default();
    for channel in channels.iter().map(|channel| channel.number.value()) {
        let is_refused = |command: &&openbmc_dbus::execute::CommandInfo| {
            command.refusals.iter().any(|refusal| refusal.channel == channel)
        };
        let names: Vec<_> =
            commands.iter().filter(is_refused).map(|command| command.name.as_str()).collect();
        if !names.is_empty() {
            findings.push(Finding::new(
                "firewall",
                format!("commands are refused on channel {channel}: {}", names.join(", ")),
                "causewayctl commands --refused; ipmitool firewall enable",
            ));
        }
    }
    Ok(findings)
}

async fn clock(bmc: &Bmc) -> Result<Vec<Finding>, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let mut findings = Vec::new();
    if now < PAST {
        let problem = "the clock of the BMC was never set: times in the event log are wrong";
        findings.push(Finding::new("clock", problem, "timedatectl set-ntp true"));
    }
    if let Some(time) = bmc.bytes(NetFn::STORAGE, 0x48).await? {
        let difference = u64::from(u32::from_le_bytes(time)).abs_diff(now);
        if !is_same_time(difference) {
            findings.push(Finding::new(
                "clock",
                format!("the clock of the event log is off by {difference} s"),
                "ipmitool sel time set now",
            ));
        }
    }
    Ok(findings)
}

/// Whether clocks that differ by so much have the same time, if not the same zone.
const fn is_same_time(difference: u64) -> bool {
    let within = difference % ZONE;
    difference < 15 * 3600 && (within <= SLACK || within >= ZONE - SLACK)
}

impl Bmc {
    /// The response to a request without data, if it has just these bytes and the code 00h.
    async fn bytes<const N: usize>(
        &self,
        netfn: NetFn,
        command: u8,
    ) -> Result<Option<[u8; N]>, Error> {
        let answer = self.ask::<Remaining>("ask", (netfn, command), &()).await?;
        Ok(answer.ok().and_then(|data| Vec::from(data).try_into().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_are_no_difference() {
        for same in [0, 30, 3600, 5 * 3600 + 1800 + 3, 12 * 3600 + 2700 - 5] {
            assert!(is_same_time(same), "{same}");
        }
        for other in [300, 86_400, 3600 + 400, 1_000_000_000] {
            assert!(!is_same_time(other), "{other}");
        }
    }
}
