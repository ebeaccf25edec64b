//! Authentication types, cipher suites, bad passwords (1, 2, 22 to 24, 26).

use std::collections::BTreeMap;

use accounts::BadPassword;
use ipmi_proto::Privilege;
use ipmi_proto::codec::{self, Bits, Remaining};

use super::{
    Data, Done, INVALID_VALUE, Lan, LanProvider, PARAMETER_NOT_SUPPORTED, READ_ONLY, reserved,
};
use crate::platform::{Network, Sessions};

/// Suites that the entries have room for, and the suite ids that the privileges have room for.
///
/// The nibbles of parameter 24 go by suite id, not by entry: ipmitool (`lan set cipher_privs`) and
/// FreeIPMI (`Maximum_Privilege_Cipher_Suite_Id_N`) both read and write them so. By entry, what they
/// set for one suite would close another, and with it the way back. Suite 17 has no nibble and keeps
/// its privilege. What is set for a suite that is not offered is saved, and holds once it is offered.
const SUITES: usize = 16;
/// Audit event, reserved; threshold; two times in units of 10 s (Table 23-4, parameter 26).
type BadPasswordData = (bool, Bits<7>, u8, u16, u16);

impl<P: Network + Sessions> LanProvider<P> {
    pub(super) fn security(&self, lan: &Lan, parameter: u8) -> Data {
        Ok(match parameter {
            1 => vec![self.sessions.get().auth_types],
            2 => self.enabled_types().to_vec(),
            22 => vec![u8::try_from(self.suites().count()).unwrap_or(u8::MAX)],
            23 => {
                let mut entries = vec![0];
                entries.extend(self.suites());
                entries.resize(1 + SUITES, 0);
                entries
            }
            24 => {
                let accounts = self.snapshot();
                let mut nibbles = [0; SUITES];
                for (suite, nibble) in (0..).zip(&mut nibbles) {
                    let limit = if self.suites().any(|offered| offered == suite) {
                        accounts.cipher_privilege(lan.number, suite)
                    } else {
                        accounts.set_cipher_privilege(lan.number, suite).flatten()
                    };
                    *nibble = limit.map_or(0, Privilege::value);
                }
                let bytes = nibbles.chunks_exact(2).map(|pair| pair[0] | pair[1] << 4);
                std::iter::once(0).chain(bytes).collect()
            }
            26 => {
                let BadPassword { audit_event, threshold, reset_interval, lockout_interval } =
                    self.snapshot().bad_password(lan.number);
                let data: BadPasswordData =
                    (audit_event, Bits::low(0), threshold, reset_interval, lockout_interval);
                codec::encode(&data)
            }
            _ => return Err(PARAMETER_NOT_SUPPORTED.into()),
        })
    }

    /// Authentication types of IPMI 1.5 for Callback, User, Operator, Administrator and OEM: those
    /// of the configuration, as a bridge asks no more than that; none for OEM, which nobody can have.
    fn enabled_types(&self) -> [u8; 5] {
        let types = self.sessions.get().auth_types;
        [types, types, types, types, 0]
    }

    fn suites(&self) -> impl Iterator<Item = u8> {
        self.sessions.get().cipher_suites.into_iter().take(SUITES)
    }

    pub(super) async fn set_security(&self, lan: &Lan, parameter: u8, data: &Remaining) -> Done {
        let channel = lan.number;
        match parameter {
            1 | 22 | 23 => Err(READ_ONLY.into()),
            // The configuration says which are enabled. As "read-only" is an answer that ipmitool
            // takes at once, where it would send a refused value eleven times.
            2 if data.decode::<[u8; 5]>()? == self.enabled_types() => Ok(()),
            2 => Err(READ_ONLY.into()),
            24 => {
                let (rest, nibbles): (Bits<8>, [Bits<4>; SUITES]) = data.decode()?;
                reserved(rest)?;
                let mut limits = BTreeMap::new();
                for (suite, limit) in (0..).zip(nibbles) {
                    let limit = match limit.value() {
                        0 => None,
                        value => Some(Privilege::new(value).ok_or(INVALID_VALUE)?),
                    };
                    limits.insert(suite, limit);
                }
                self.administer(lan, move |accounts| {
                    accounts.set_cipher_privileges(channel, &limits)
                })
                .await
            }
            26 => {
                let (audit_event, rest, threshold, reset_interval, lockout_interval): BadPasswordData =
                    data.decode()?;
                reserved(rest)?;
                let setting =
                    BadPassword { audit_event, threshold, reset_interval, lockout_interval };
                self.administer(lan, move |accounts| accounts.set_bad_password(channel, setting))
                    .await
            }
            _ => Err(PARAMETER_NOT_SUPPORTED.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::transport::lan::tests::{answer, commands, commands_with};
    use crate::model::lan::LanSessions;

    #[tokio::test]
    async fn suites_and_their_privileges_match_golden_bytes() {
        let commands = commands();
        assert_eq!(commands.send(0x02, &[1, 22, 0, 0]).await, answer(&[0x11, 2]));
        let entries = hex!("11 00 03 11 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
        assert_eq!(commands.send(0x02, &[1, 23, 0, 0]).await, answer(&entries));
        let privileges = hex!("11 00 00 40 00 00 00 00 00 00");
        assert_eq!(commands.send(0x02, &[1, 24, 0, 0]).await, answer(&privileges));
        let set = hex!("01 18 00 00 30 00 00 00 00 00 00");
        assert_eq!(commands.send(0x01, &set).await, answer(&[]));
        let privileges = hex!("11 00 00 30 00 00 00 00 00 00");
        assert_eq!(commands.send(0x02, &[1, 24, 0, 0]).await, answer(&privileges));
        // Also of suites that are not offered, as `ipmitool lan set 1 cipher_privs aaaaaaaaaaaaaaa` sets them.
        let set = hex!("01 18 00 44 44 44 44 44 44 44 04");
        assert_eq!(commands.send(0x01, &set).await, answer(&[]));
        let privileges = hex!("11 00 44 44 44 44 44 44 44 04");
        assert_eq!(commands.send(0x02, &[1, 24, 0, 0]).await, answer(&privileges));
        for invalid in
            [hex!("01 18 01 00 30 00 00 00 00 00 00"), hex!("01 18 00 00 60 00 00 00 00 00 00")]
        {
            assert_eq!(commands.send(0x01, &invalid).await, Err(INVALID_VALUE));
        }
        assert_eq!(commands.send(0x01, &[1, 22, 1]).await, Err(READ_ONLY));
    }

    #[tokio::test]
    async fn bad_password_threshold_reads_back() {
        let commands = commands();
        let set = hex!("01 1a 01 05 1e 00 3c 00");
        assert_eq!(commands.send(0x01, &set).await, answer(&[]));
        let reply = hex!("11 01 05 1e 00 3c 00");
        assert_eq!(commands.send(0x02, &[1, 26, 0, 0]).await, answer(&reply));
    }

    #[tokio::test]
    async fn authentication_types_of_the_past_cannot_be_enabled() {
        let commands = commands();
        assert_eq!(commands.send(0x02, &[1, 2, 0, 0]).await, answer(&hex!("11 00 00 00 00 00")));
        assert_eq!(commands.send(0x01, &hex!("01 02 00 00 00 00 00")).await, answer(&[]));
        let md5 = hex!("01 02 00 00 00 04 00");
        assert_eq!(commands.send(0x01, &md5).await, Err(READ_ONLY));
    }

    #[tokio::test]
    async fn configured_authentication_types_are_reported() {
        let sessions = LanSessions { cipher_suites: vec![17], auth_types: 0x14 };
        let commands = commands_with(sessions);
        assert_eq!(commands.send(0x02, &[1, 1, 0, 0]).await, answer(&[0x11, 0x14]));
        let enabled = hex!("11 14 14 14 14 00");
        assert_eq!(commands.send(0x02, &[1, 2, 0, 0]).await, answer(&enabled));
        let same = hex!("01 02 14 14 14 14 00");
        assert_eq!(commands.send(0x01, &same).await, answer(&[]));
        let fewer = hex!("01 02 14 14 14 04 00");
        assert_eq!(commands.send(0x01, &fewer).await, Err(READ_ONLY));
    }
}
