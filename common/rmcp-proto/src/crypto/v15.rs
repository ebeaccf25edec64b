//! Auth codes of IPMI 1.5 packets (IPMI v2.0 §22.17.1).

use md2::Md2;
use md5::Md5;

use super::UserKey;
use super::mac::Digest;
use crate::wire::v15::{AuthCode, AuthType};

/// The code of `message` under the first 16 bytes of `key`; all zero for type none.
#[must_use]
pub fn auth_code(
    auth: AuthType,
    key: &UserKey,
    session_id: u32,
    sequence: u32,
    message: &[u8],
) -> Digest {
    let (id, sequence) = (session_id.to_le_bytes(), sequence.to_le_bytes());
    let parts = [key.first_16(), &id, message, &sequence, key.first_16()];
    match auth {
        AuthType::None => Digest::new(&AuthCode::default()),
        AuthType::Md2 => hash::<Md2>(&parts),
        AuthType::Md5 => hash::<Md5>(&parts),
        AuthType::Password => Digest::new(key.first_16()),
    }
}

fn hash<H: md5::Digest>(parts: &[&[u8]]) -> Digest {
    let mut hash = H::new();
    for part in parts {
        hash.update(part);
    }
    Digest::new(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn md2_matches_rfc_1319() {
        let digest = hash::<Md2>(&[b"a", b"bc"]);
        assert_eq!(digest.as_bytes(), hex!("da853b0d3f88d99b30283a69e6ded6bb"));
    }

    #[test]
    fn codes_match_values_of_independent_implementations() {
        let key = UserKey::from_password(b"0penBmc").unwrap();
        let code = |auth| auth_code(auth, &key, 0x1234_5678, 1, b"abc");
        // Over 16 bytes of password, 78 56 34 12, "abc", 01 00 00 00, and the password again.
        assert_eq!(code(AuthType::Md5).as_bytes(), hex!("fac83e4a3d489b20fdb2c4bc54ed529c"));
        assert_eq!(code(AuthType::Md2).as_bytes().len(), 16);
        assert_eq!(code(AuthType::Password).as_bytes(), b"0penBmc\0\0\0\0\0\0\0\0\0");
        assert_eq!(code(AuthType::None).as_bytes(), [0; 16]);
    }
}
