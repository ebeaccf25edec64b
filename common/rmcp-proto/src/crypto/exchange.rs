//! The RAKP key exchange: what both sides hash (IPMI v2.0 §13.28.1, §13.31, §13.32).

use super::mac::{Digest, Hash, KeyedHash};
use super::{Protector, UserKey};
use crate::suite::{Algorithms, Authentication};
use crate::wire::rakp::{Role, UserName};

/// The values of RAKP messages 1 and 2, over which the codes are computed.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The suite's algorithms.
    pub algorithms: Algorithms,
    /// The console's session id.
    pub console_id: u32,
    /// The BMC's session id.
    pub managed_id: u32,
    /// The console's random number.
    pub console_random: [u8; 16],
    /// The BMC's random number.
    pub managed_random: [u8; 16],
    /// The BMC's GUID.
    pub guid: [u8; 16],
    /// RAKP 1's role byte, all of it.
    pub role: Role,
    /// RAKP 1's user name.
    pub name: UserName,
}

impl Exchange {
    /// The code of RAKP 2: the BMC knows the user's key.
    #[must_use]
    pub fn rakp_2_code(&self, key: &UserKey) -> Digest {
        self.keyed(key.as_bytes()).digest(&[
            &self.console_id.to_le_bytes(),
            &self.managed_id.to_le_bytes(),
            &self.console_random,
            &self.managed_random,
            &self.guid,
            &[self.role.value(), self.name.length()],
            self.name.as_bytes(),
        ])
    }

    /// The code of RAKP 3: the console knows the user's key.
    #[must_use]
    pub fn rakp_3_code(&self, key: &UserKey) -> Digest {
        self.keyed(key.as_bytes()).digest(&[
            &self.managed_random,
            &self.console_id.to_le_bytes(),
            &[self.role.value(), self.name.length()],
            self.name.as_bytes(),
        ])
    }

    /// The session integrity key, under KG, or under the user's key where there is no KG.
    #[must_use]
    pub fn session_integrity_key(
        &self,
        key: &UserKey,
        kg: Option<&UserKey>,
    ) -> SessionIntegrityKey {
        let digest = self.keyed(kg.unwrap_or(key).as_bytes()).digest(&[
            &self.console_random,
            &self.managed_random,
            &[self.role.value(), self.name.length()],
            self.name.as_bytes(),
        ]);
        SessionIntegrityKey(KeyedHash::new(self.hash(), digest.as_bytes()))
    }

    /// The check value of RAKP 4: the BMC has the same session integrity key.
    #[must_use]
    pub fn rakp_4_check(&self, sik: &SessionIntegrityKey) -> Digest {
        let length = match self.algorithms.authentication {
            Authentication::HmacSha1 => 12,
            Authentication::HmacMd5 | Authentication::HmacSha256 => 16,
        };
        sik.0
            .digest(&[&self.console_random, &self.managed_id.to_le_bytes(), &self.guid])
            .truncated(length)
    }

    /// The session's keys, put to use. MD5-128 (suites 11 and 12) is keyed with the user's key.
    #[must_use]
    pub fn protector(&self, sik: &SessionIntegrityKey, key: &UserKey) -> Protector {
        let [k1, k2] = [0x01, 0x02].map(|constant| sik.0.digest(&[&[constant; 20]]));
        Protector::new(self.algorithms, k1.as_bytes(), k2.as_bytes(), key)
    }

    const fn hash(&self) -> Hash {
        match self.algorithms.authentication {
            Authentication::HmacSha1 => Hash::Sha1,
            Authentication::HmacMd5 => Hash::Md5,
            Authentication::HmacSha256 => Hash::Sha256,
        }
    }

    fn keyed(&self, key: &[u8]) -> KeyedHash {
        KeyedHash::new(self.hash(), key)
    }
}

/// SIK, as the keyed hash that every other key comes from.
#[derive(Clone, Debug)]
pub struct SessionIntegrityKey(KeyedHash);

#[cfg(test)]
mod tests {
    use ring::hmac as oracle;

    use super::*;
    use crate::suite::CipherSuite;

    fn exchange(suite: u8) -> Exchange {
        Exchange {
            algorithms: CipherSuite::from_id(suite).unwrap().algorithms(),
            console_id: 0xa0a2_a3a4,
            managed_id: 0x1234_5678,
            console_random: [0x11; 16],
            managed_random: [0x22; 16],
            guid: [0x33; 16],
            role: Role::name_only(4),
            name: UserName::new(b"root").unwrap(),
        }
    }

    fn sign(algorithm: oracle::Algorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        oracle::sign(&oracle::Key::new(algorithm, key), &parts.concat()).as_ref().to_vec()
    }

    #[test]
    fn codes_agree_with_an_independent_implementation() {
        let key = UserKey::from_password(b"0penBmc").unwrap();
        let kg = UserKey::from_password(b"site key").unwrap();
        let cases = [(3, oracle::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 12), (17, oracle::HMAC_SHA256, 16)];
        let (sid_c, sid_m) = (0xa0a2_a3a4u32.to_le_bytes(), 0x1234_5678u32.to_le_bytes());
        let (rm, rc, guid) = ([0x11; 16], [0x22; 16], [0x33; 16]);
        let who: &[u8] = b"\x14\x04root";
        for (suite, algorithm, check) in cases {
            let ours = exchange(suite);
            let k = &key.as_bytes()[..];
            let code_2 = sign(algorithm, k, &[&sid_c, &sid_m, &rm, &rc, &guid, who]);
            let code_3 = sign(algorithm, k, &[&rc, &sid_c, who]);
            assert_eq!(ours.rakp_2_code(&key).as_bytes(), code_2);
            assert_eq!(ours.rakp_3_code(&key).as_bytes(), code_3);
            for with_kg in [None, Some(&kg)] {
                let sik = sign(algorithm, with_kg.unwrap_or(&key).as_bytes(), &[&rm, &rc, who]);
                let wanted = sign(algorithm, &sik, &[&rm, &sid_m, &guid]);
                let sik = ours.session_integrity_key(&key, with_kg);
                assert_eq!(ours.rakp_4_check(&sik).as_bytes(), &wanted[..check]);
            }
        }
    }
}
