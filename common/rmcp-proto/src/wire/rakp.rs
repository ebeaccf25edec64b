//! RAKP messages 1 to 4 (IPMI v2.0 §13.20-23, Tables 13-11 to 13-14).

use std::fmt;

use super::{ParseError, StatusCode, exactly, take};

/// A user name: up to 16 bytes, taken as they are (IPMI v2.0 §22.28).
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct UserName {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl UserName {
    /// The longest name.
    pub const MAX: usize = 16;

    /// The name `bytes`; `None` beyond 16 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut name = Self { length: u8::try_from(bytes.len()).ok()?, ..Self::default() };
        name.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(name)
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// How many they are.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }
}

impl fmt::Display for UserName {
    /// The name with what is not printable ASCII escaped, fit for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// How the BMC shall find the user, and the privilege asked for (RAKP 1 byte 25).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Role(u8);

impl Role {
    const NAME_ONLY: u8 = 0x10;

    /// The role byte as it travels.
    #[must_use]
    pub const fn new(byte: u8) -> Self {
        Self(byte)
    }

    /// Privilege bits 3:0, looked up by the name alone.
    #[must_use]
    pub const fn name_only(privilege: u8) -> Self {
        Self(Self::NAME_ONLY | privilege & 0x0f)
    }

    /// The privilege asked for, bits 3:0.
    #[must_use]
    pub const fn privilege(self) -> u8 {
        self.0 & 0x0f
    }

    /// Whether the name alone identifies the user; else name and privilege together.
    #[must_use]
    pub const fn is_name_only(self) -> bool {
        self.0 & Self::NAME_ONLY != 0
    }

    /// The whole byte, which the key exchange covers.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// The console's random number and who wants to log in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rakp1 {
    /// Echoed by RAKP 2.
    pub tag: u8,
    /// The BMC's session id.
    pub managed_id: u32,
    /// The console's random number.
    pub console_random: [u8; 16],
    /// The privilege asked for and the way of the look-up.
    pub role: Role,
    /// The length byte as it came: above 16 the name is unusable, and [`Self::name`] is `None`.
    pub name_length: u8,
    /// The user's name.
    pub name: Option<UserName>,
}

impl Rakp1 {
    /// Reads the payload of a RAKP 1.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for a payload shorter or longer than its name's length says. A name length
    /// above 16 is not an error here: it has a status code of its own.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        const WHAT: &str = "RAKP 1";
        let (&[tag, _, _, _], rest) = take(WHAT, payload)?;
        let (&managed_id, rest) = take(WHAT, rest)?;
        let (&console_random, rest) = take(WHAT, rest)?;
        let (&[role, _, _, name_length], name) = take(WHAT, rest)?;
        let need = usize::from(name_length);
        if name.len() < need {
            return Err(super::truncated("RAKP 1 user name", need, name));
        }
        if name.len() > need {
            return Err(ParseError::TooLong { what: WHAT, extra: name.len() - need });
        }
        Ok(Self {
            tag,
            managed_id: u32::from_le_bytes(managed_id),
            console_random,
            role: Role(role),
            name_length,
            name: UserName::new(name),
        })
    }

    /// Appends the payload to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.tag, 0, 0, 0]);
        out.extend(self.managed_id.to_le_bytes());
        out.extend(self.console_random);
        let name = self.name.unwrap_or_default();
        out.extend([self.role.value(), 0, 0, name.length()]);
        out.extend_from_slice(name.as_bytes());
    }
}

/// Fields that RAKP 2 to 4 begin with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RakpHeader {
    /// Pairs an answer with what it answers.
    pub tag: u8,
    /// OK, or why the message reports a failure.
    pub status: StatusCode,
    /// The receiver's session id.
    pub session_id: u32,
}

impl RakpHeader {
    const LEN: usize = 8;

    fn parse<'a>(what: &'static str, payload: &'a [u8]) -> Result<(Self, &'a [u8]), ParseError> {
        let (&[tag, status, _, _, a, b, c, d], rest) = take::<{ Self::LEN }>(what, payload)?;
        let session_id = u32::from_le_bytes([a, b, c, d]);
        Ok((Self { tag, status: StatusCode(status), session_id }, rest))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.tag, self.status.0, 0, 0]);
        out.extend(self.session_id.to_le_bytes());
    }
}

/// The BMC's random number, its GUID, and the proof that it knows the user's key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rakp2<'a> {
    /// Tag, status, console session id.
    pub header: RakpHeader,
    /// What follows when the status is OK.
    pub body: Option<Rakp2Body<'a>>,
}

/// The fields of a RAKP 2 whose status is OK.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rakp2Body<'a> {
    /// The BMC's random number.
    pub managed_random: [u8; 16],
    /// The BMC's GUID.
    pub guid: [u8; 16],
    /// Key exchange authentication code, as long as the algorithm's digest.
    pub code: &'a [u8],
}

impl<'a> Rakp2<'a> {
    /// Reads the payload of a RAKP 2.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for a payload that is cut short.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        let (header, rest) = RakpHeader::parse("RAKP 2", payload)?;
        if !header.status.is_ok() {
            return Ok(Self { header, body: None });
        }
        let (&managed_random, rest) = take("RAKP 2", rest)?;
        let (&guid, code) = take("RAKP 2", rest)?;
        Ok(Self { header, body: Some(Rakp2Body { managed_random, guid, code }) })
    }

    /// Appends the payload to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.header.emit(out);
        if let Some(body) = &self.body {
            out.extend(body.managed_random);
            out.extend(body.guid);
            out.extend_from_slice(body.code);
        }
    }
}

/// The console's proof that it knows the user's key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rakp3<'a> {
    /// Tag, status, BMC's session id.
    pub header: RakpHeader,
    /// Key exchange authentication code; empty when the status is not OK.
    pub code: &'a [u8],
}

/// The BMC's confirmation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rakp4<'a> {
    /// Tag, status, console session id.
    pub header: RakpHeader,
    /// Integrity check value; empty when the status is not OK.
    pub check: &'a [u8],
}

impl<'a> Rakp3<'a> {
    /// Reads the payload of a RAKP 3.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for a payload that is cut short, or a failure that has a code.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        let (header, code) = RakpHeader::parse("RAKP 3", payload)?;
        if !header.status.is_ok() {
            exactly::<0>("RAKP 3", code)?;
        }
        Ok(Self { header, code })
    }

    /// Appends the payload to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.header.emit(out);
        out.extend_from_slice(self.code);
    }
}

impl<'a> Rakp4<'a> {
    /// Reads the payload of a RAKP 4.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for a payload that is cut short.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        let (header, check) = RakpHeader::parse("RAKP 4", payload)?;
        Ok(Self { header, check })
    }

    /// Appends the payload to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.header.emit(out);
        out.extend_from_slice(self.check);
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const RAKP_1: [u8; 32] = hex!(
        "01 00 00 00 78 56 34 12 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
        "14 00 00 04 72 6f 6f 74"
    );
    const RAKP_2: [u8; 42] = hex!(
        "01 00 00 00 a4 a3 a2 a0 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f"
        "20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f c0 c1"
    );
    const RAKP_3: [u8; 10] = hex!("01 00 00 00 78 56 34 12 c0 c1");
    const RAKP_4: [u8; 10] = hex!("01 00 00 00 a4 a3 a2 a0 c0 c1");

    #[test]
    fn rakp_1_matches_golden_bytes() {
        let message = Rakp1 {
            tag: 1,
            managed_id: 0x1234_5678,
            console_random: hex!("00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"),
            role: Role::name_only(4),
            name_length: 4,
            name: UserName::new(b"root"),
        };
        assert_eq!(Rakp1::parse(&RAKP_1), Ok(message));
        let mut out = Vec::new();
        message.emit(&mut out);
        assert_eq!(out, RAKP_1);
        assert!(message.role.is_name_only());
        assert_eq!(message.role.privilege(), 4);
    }

    #[test]
    fn rakp_2_to_4_match_golden_bytes() {
        let to_console = RakpHeader { tag: 1, status: StatusCode::OK, session_id: 0xa0a2_a3a4 };
        let to_bmc = RakpHeader { session_id: 0x1234_5678, ..to_console };
        let body = Rakp2Body {
            managed_random: hex!("10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f"),
            guid: hex!("20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f"),
            code: &[0xc0, 0xc1],
        };
        let rakp_2 = Rakp2 { header: to_console, body: Some(body) };
        let rakp_3 = Rakp3 { header: to_bmc, code: &[0xc0, 0xc1] };
        let rakp_4 = Rakp4 { header: to_console, check: &[0xc0, 0xc1] };
        assert_eq!(Rakp2::parse(&RAKP_2), Ok(rakp_2));
        assert_eq!(Rakp3::parse(&RAKP_3), Ok(rakp_3));
        assert_eq!(Rakp4::parse(&RAKP_4), Ok(rakp_4));
        let mut out = Vec::new();
        rakp_2.emit(&mut out);
        rakp_3.emit(&mut out);
        rakp_4.emit(&mut out);
        assert_eq!(out, [&RAKP_2[..], &RAKP_3, &RAKP_4].concat());
    }

    #[test]
    fn rakp_1_of_any_other_length_is_an_error() {
        let long = [&RAKP_1[..], &[0; 20]].concat();
        for end in (0..long.len()).filter(|&end| end != RAKP_1.len()) {
            assert!(Rakp1::parse(&long[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn a_name_of_17_bytes_is_distinguished_from_a_cut_one() {
        let mut bytes = RAKP_1.to_vec();
        bytes[27] = 17;
        assert!(Rakp1::parse(&bytes).is_err());
        bytes.truncate(28);
        bytes.extend([b'x'; 17]);
        let message = Rakp1::parse(&bytes).unwrap();
        assert_eq!((message.name_length, message.name), (17, None));
    }

    #[test]
    fn every_cut_of_the_fixed_fields_is_an_error() {
        for end in 0..40 {
            assert!(Rakp2::parse(&RAKP_2[..end]).is_err(), "RAKP 2 of {end} bytes");
        }
        for end in 0..8 {
            assert!(Rakp3::parse(&RAKP_3[..end]).is_err(), "RAKP 3 of {end} bytes");
            assert!(Rakp4::parse(&RAKP_4[..end]).is_err(), "RAKP 4 of {end} bytes");
        }
        assert!(Rakp3::parse(&hex!("01 0f 00 00 78 56 34 12 00")).is_err());
    }

    #[test]
    fn names_are_escaped_where_they_are_shown() {
        assert_eq!(UserName::new(b"a\x1b\n").unwrap().to_string(), "a\\x1b\\n");
        assert_eq!(UserName::new(&[0; 17]), None);
    }
}
