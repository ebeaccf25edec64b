//! The audit log: a line for each command of a session that changes something.

use std::time::Duration;

use daemon::RateLimit;
use ipmi_proto::{NetFn, Response};
use rmcp_proto::server::SessionInfo;

/// Lines per minute; those beyond are counted in the next line.
const PER_MINUTE: u32 = 600;

/// Network functions whose every command may change something: OEM's (IPMI v2.0 Table 5-1).
const OEM: std::ops::RangeInclusive<u8> = 0x2e..=0x3f;

/// Commands that change something, by network function (IPMI v2.0 Appendix G).
const CHANGING: &[(NetFn, &[u8])] = &[
    // Control, identify, capabilities, restore policy, boot options, front panel, cycle interval.
    (NetFn::CHASSIS, &[0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0a, 0x0b]),
    // Event receiver, event messages, PEF and its alerts, hysteresis, thresholds, event enables, sensor
    // type and reading.
    (
        NetFn::SENSOR_EVENT,
        &[0x00, 0x02, 0x11, 0x12, 0x14, 0x16, 0x17, 0x24, 0x26, 0x28, 0x2a, 0x2e, 0x30],
    ),
    // Resets, manufacturing test, ACPI state, watchdog, global enables, message flags, Send Message,
    // Close Session, channel and user access, names, passwords, payloads, keys, system info, firewall.
    (
        NetFn::APP,
        &[
            0x02, 0x03, 0x05, 0x06, 0x22, 0x24, 0x2e, 0x30, 0x32, 0x34, 0x3c, 0x40, 0x43, 0x45,
            0x47, 0x48, 0x49, 0x4c, 0x52, 0x55, 0x56, 0x58, 0x60, 0x62,
        ],
    ),
    // FRU data, SDR and SEL entries, their clocks, auxiliary logs.
    (
        NetFn::STORAGE,
        &[0x12, 0x24, 0x25, 0x26, 0x27, 0x29, 0x2a, 0x2b, 0x44, 0x45, 0x46, 0x47, 0x49, 0x5b, 0x5d],
    ),
    // LAN, serial, SOL.
    (NetFn::TRANSPORT, &[0x01, 0x03, 0x10, 0x12, 0x21]),
    // DCMI: power limit, its activation, asset tag, controller id, thermal limit, configuration.
    (NetFn::GROUP, &[0x04, 0x05, 0x08, 0x0a, 0x0b, 0x12]),
];

/// Whether the command that `netfn` and `command` name may change something.
#[must_use]
pub fn changes(netfn: NetFn, command: u8) -> bool {
    let listed =
        |(listed, commands): &&(NetFn, &[u8])| *listed == netfn && commands.contains(&command);
    netfn == NetFn::FIRMWARE
        || OEM.contains(&netfn.value())
        || CHANGING.iter().any(|entry| listed(&entry))
}

/// Writes the audit log.
pub struct Audit {
    limit: RateLimit,
}

impl Default for Audit {
    fn default() -> Self {
        Self { limit: RateLimit::new(PER_MINUTE, Duration::from_secs(60)) }
    }
}

impl Audit {
    /// Logs a command that changes something. Its data are not logged: some are passwords.
    pub fn answered(&self, session: &SessionInfo, netfn: NetFn, response: &Response) {
        let Some(pass) = self.limit.admit() else {
            return;
        };
        let peer = session.peer.ip().to_canonical();
        tracing::info!(
            user = %session.user_name, id = session.user_id, %peer, port = session.peer.port(),
            session = format_args!("{:08x}", session.id.0), privilege = session.privilege.value(),
            command = format_args!("{:02x}/{:02x}", netfn.value(), response.command),
            result = format_args!("{:02x}", response.completion.0),
            swallowed = pass.swallowed, "command"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_change_something_are_distinguished_from_queries() {
        for (netfn, command) in [
            (NetFn::CHASSIS, 0x02),
            (NetFn::APP, 0x47),
            (NetFn::APP, 0x62),
            (NetFn::SENSOR_EVENT, 0x16),
            (NetFn::STORAGE, 0x47),
            (NetFn::OEM, 0x99),
            (NetFn::FIRMWARE, 0x00),
        ] {
            assert!(changes(netfn, command), "{netfn} {command:02x}");
        }
        for (netfn, command) in [
            (NetFn::CHASSIS, 0x01),
            (NetFn::APP, 0x01),
            (NetFn::APP, 0x44),
            (NetFn::STORAGE, 0x43),
            (NetFn::SENSOR_EVENT, 0x10),
            (NetFn::SENSOR_EVENT, 0x2d),
            (NetFn::GROUP, 0x3e),
        ] {
            assert!(!changes(netfn, command), "{netfn} {command:02x}");
        }
    }
}
