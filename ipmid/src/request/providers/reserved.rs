//! Commands that no provider answers: their requests or responses hold secrets, they make or end sessions or decide
//! who may open one, or they say which commands there are.

use std::ops::RangeInclusive;

use ipmi_proto::{GroupBody, NetFn};

use crate::request::command::{Family, WILDCARD};

const APP: Family = Family::NetFn(NetFn::APP);
const TRANSPORT: Family = Family::NetFn(NetFn::TRANSPORT);
const REDFISH: Family = Family::Group(GroupBody::REDFISH);

const RESERVED: [(Family, RangeInclusive<u8>); 10] = [
    // Discovery, and the firewall (IPMI v2.0 §21).
    (APP, 0x09..=0x0d),
    (APP, 0x60..=0x64),
    // Get Message and Send Message: requests and responses of others, whatever they hold.
    (APP, 0x33..=0x34),
    // Sessions, and Get AuthCode, which uses passwords (§22.13 to §22.21).
    (APP, 0x38..=0x3f),
    // Channel access, users and their passwords (§22.22 to §22.31).
    (APP, 0x40..=0x47),
    // Payloads of sessions and who may open them, cipher suites, K_R and K_G (§22.15.2, §22.25, §24).
    (APP, 0x48..=0x50),
    (APP, 0x54..=0x56),
    // LAN configuration, with the community string (§23.1, §23.2).
    (TRANSPORT, 0x01..=0x02),
    // SOL configuration says with what privilege a console is opened (§26.2).
    (TRANSPORT, 0x21..=0x21),
    // Get Bootstrap Account Credentials (DSP0270).
    (REDFISH, 0x02..=0x02),
];

/// Whether a provider may not answer this command. The [`WILDCARD`] of a family of the specification's is reserved,
/// since it stands for commands that may be.
pub(super) fn is_reserved(family: Family, code: u8) -> bool {
    if code == WILDCARD && is_specified(family) {
        return true;
    }
    RESERVED.iter().any(|(reserved, codes)| *reserved == family && codes.contains(&code))
}

/// Whether the specification, or one that it names, defines the family's commands.
fn is_specified(family: Family) -> bool {
    match family {
        // 30h to 3Eh are a board's own.
        Family::NetFn(netfn) => netfn.value() < 0x30,
        Family::Group(body) => body == GroupBody::REDFISH,
        Family::Oem(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::Iana;

    use super::*;

    #[test]
    fn commands_with_secrets_and_of_sessions_are_reserved() {
        let reserved = [
            (APP, 0x47),
            (APP, 0x56),
            (APP, 0x38),
            (APP, 0x3b),
            (APP, 0x43),
            (APP, 0x34),
            (APP, 0x60),
            (APP, WILDCARD),
            (TRANSPORT, 0x02),
            (REDFISH, 0x02),
            (REDFISH, WILDCARD),
        ];
        assert!(reserved.iter().all(|&(family, code)| is_reserved(family, code)));
    }

    #[test]
    fn all_others_may_be_answered() {
        let own = Family::NetFn(NetFn::new(0x30).unwrap());
        let oem = Family::Oem(Iana::OPENBMC);
        let free = [(APP, 0x01), (APP, 0x22), (own, 0x47), (own, WILDCARD), (oem, WILDCARD)];
        assert!(!free.iter().any(|&(family, code)| is_reserved(family, code)));
    }
}
