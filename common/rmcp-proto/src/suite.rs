//! Algorithms and the cipher suites that combine them (IPMI v2.0 §13.28, §22.15.2, Table 22-20).
//!
//! A session negotiates three algorithms; only triples that are a known suite are ever accepted, so
//! a console cannot combine strong authentication with no integrity. Suite 0 (nothing at all) and
//! those with xRC4 are left out on purpose.

/// How RAKP authenticates (IPMI v2.0 Table 13-17).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Authentication {
    /// RAKP-HMAC-SHA1.
    HmacSha1,
    /// RAKP-HMAC-MD5.
    HmacMd5,
    /// RAKP-HMAC-SHA256.
    HmacSha256,
}

impl Authentication {
    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Self::HmacSha1 => 1,
            Self::HmacMd5 => 2,
            Self::HmacSha256 => 3,
        }
    }
}

/// How packets of a session are authenticated (IPMI v2.0 Table 13-18).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Integrity {
    /// Not at all.
    None,
    /// HMAC-SHA1-96.
    HmacSha1,
    /// HMAC-MD5-128.
    HmacMd5,
    /// MD5-128, keyed with the user's password.
    Md5,
    /// HMAC-SHA256-128.
    HmacSha256,
}

impl Integrity {
    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Self::None => 0,
            Self::HmacSha1 => 1,
            Self::HmacMd5 => 2,
            Self::Md5 => 3,
            Self::HmacSha256 => 4,
        }
    }

    /// Length of a packet's auth code.
    #[must_use]
    pub const fn code_length(self) -> usize {
        match self {
            Self::None => 0,
            Self::HmacSha1 => 12,
            Self::HmacMd5 | Self::Md5 | Self::HmacSha256 => 16,
        }
    }
}

/// How payloads of a session are encrypted (IPMI v2.0 Table 13-19).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Confidentiality {
    /// Not at all.
    None,
    /// AES-CBC-128.
    AesCbc128,
}

impl Confidentiality {
    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Self::None => 0,
            Self::AesCbc128 => 1,
        }
    }
}

/// The three algorithms of a session.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Algorithms {
    /// For the key exchange.
    pub authentication: Authentication,
    /// For each packet.
    pub integrity: Integrity,
    /// For each payload.
    pub confidentiality: Confidentiality,
}

impl Algorithms {
    /// The known suite's algorithms with these numbers.
    #[must_use]
    pub fn new(authentication: u8, integrity: u8, confidentiality: u8) -> Option<Self> {
        CipherSuite::all().map(CipherSuite::algorithms).find(|known| {
            known.authentication.value() == authentication
                && known.integrity.value() == integrity
                && known.confidentiality.value() == confidentiality
        })
    }
}

/// A cipher suite that this crate implements.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CipherSuite(&'static (u8, Algorithms));

macro_rules! suites {
    ($($id:literal: $auth:ident, $integrity:ident, $confidentiality:ident;)*) => {
        /// Every suite there is, by id.
        static SUITES: &[(u8, Algorithms)] = &[$((
            $id,
            Algorithms {
                authentication: Authentication::$auth,
                integrity: Integrity::$integrity,
                confidentiality: Confidentiality::$confidentiality,
            },
        ),)*];
    };
}

suites! {
    1: HmacSha1, None, None;
    2: HmacSha1, HmacSha1, None;
    3: HmacSha1, HmacSha1, AesCbc128;
    6: HmacMd5, None, None;
    7: HmacMd5, HmacMd5, None;
    8: HmacMd5, HmacMd5, AesCbc128;
    11: HmacMd5, Md5, None;
    12: HmacMd5, Md5, AesCbc128;
    15: HmacSha256, None, None;
    16: HmacSha256, HmacSha256, None;
    17: HmacSha256, HmacSha256, AesCbc128;
}

/// Tags in cipher suite records (IPMI v2.0 Table 22-19).
const STANDARD_SUITE: u8 = 0xc0;
const INTEGRITY_TAG: u8 = 0x40;
const CONFIDENTIALITY_TAG: u8 = 0x80;

impl CipherSuite {
    /// Every suite, in the order of their ids.
    pub fn all() -> impl Iterator<Item = Self> {
        SUITES.iter().map(Self)
    }

    /// The suite with this id; `None` for those that are not implemented, 0 among them.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::all().find(|suite| suite.id() == id)
    }

    /// The suite's number.
    #[must_use]
    pub const fn id(self) -> u8 {
        self.0.0
    }

    /// What it combines.
    #[must_use]
    pub const fn algorithms(self) -> Algorithms {
        self.0.1
    }

    /// Appends the suite's record of Get Channel Cipher Suites. Algorithms of value 0 (none) are
    /// listed too, as clients expect.
    pub fn emit_record(self, out: &mut Vec<u8>) {
        let Algorithms { authentication, integrity, confidentiality } = self.algorithms();
        out.extend([
            STANDARD_SUITE,
            self.id(),
            authentication.value(),
            INTEGRITY_TAG | integrity.value(),
            CONFIDENTIALITY_TAG | confidentiality.value(),
        ]);
    }
}

/// Appends the list of distinct algorithms of `suites`: the other form of Get Channel Cipher Suites.
pub fn emit_algorithms(suites: &[CipherSuite], out: &mut Vec<u8>) {
    let start = out.len();
    let columns: [fn(Algorithms) -> u8; 3] = [
        |a| a.authentication.value(),
        |a| INTEGRITY_TAG | a.integrity.value(),
        |a| CONFIDENTIALITY_TAG | a.confidentiality.value(),
    ];
    for column in columns {
        for suite in suites {
            let byte = column(suite.algorithms());
            if !out.get(start..).unwrap_or_default().contains(&byte) {
                out.push(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn records_match_golden_bytes() {
        let mut out = Vec::new();
        for id in [17, 3] {
            CipherSuite::from_id(id).unwrap().emit_record(&mut out);
        }
        assert_eq!(out, hex!("c0 11 03 44 81 c0 03 01 41 81"));
        let suites = [3, 17, 2].map(|id| CipherSuite::from_id(id).unwrap());
        out.clear();
        emit_algorithms(&suites, &mut out);
        assert_eq!(out, hex!("01 03 41 44 81 80"));
    }

    #[test]
    fn only_triples_that_are_a_suite_are_known() {
        assert!(Algorithms::new(3, 4, 1).is_some());
        assert!(Algorithms::new(3, 1, 1).is_none());
        assert!(Algorithms::new(0, 0, 0).is_none());
        for id in [0, 4, 5, 9, 10, 13, 14, 18, 19, 255] {
            assert!(CipherSuite::from_id(id).is_none(), "suite {id}");
        }
        assert_eq!(CipherSuite::all().count(), 11);
    }
}
