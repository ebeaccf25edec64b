//! The chassis, board and product areas (FRU v1.3 §10-12).

use super::{open, seal};
use crate::record::{Reader, RecordError};
use crate::type_length::Field;

/// When a board was made: minutes since 1996-01-01 00:00 GMT, three bytes; 0 is unspecified (§11).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct MfgDate(u32);

impl MfgDate {
    /// Nothing is known.
    pub const UNSPECIFIED: Self = Self(0);
    /// 1996-01-01 in seconds since 1970.
    const EPOCH: u64 = 820_454_400;

    /// From seconds since 1970; `None` before 1996 and beyond 24 bits of minutes (2027-11).
    #[must_use]
    pub fn from_unix(seconds: u64) -> Option<Self> {
        let minutes = u32::try_from(seconds.checked_sub(Self::EPOCH)? / 60).ok()?;
        (minutes <= 0x00ff_ffff).then_some(Self(minutes))
    }

    /// In seconds since 1970; `None` when unspecified.
    #[must_use]
    pub fn to_unix(self) -> Option<u64> {
        (self.0 > 0).then(|| Self::EPOCH + u64::from(self.0) * 60)
    }

    const fn to_bytes(self) -> [u8; 3] {
        let [a, b, c, _] = self.0.to_le_bytes();
        [a, b, c]
    }
}

/// The chassis area (§10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chassis {
    /// SMBIOS chassis type.
    pub kind: u8,
    /// Part number.
    pub part_number: Field,
    /// Serial number.
    pub serial: Field,
    /// Further fields.
    pub custom: Vec<Field>,
}

impl Chassis {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = open("FRU chassis area", bytes)?;
        let kind = reader.u8()?;
        let ([part_number, serial], custom) = fields(&mut reader)?;
        Ok(Self { kind, part_number, serial, custom })
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        let mut content = vec![self.kind];
        emit(&mut content, [&self.part_number, &self.serial], &self.custom);
        seal("FRU chassis area", &content)
    }
}

/// The board area (§11).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Board {
    /// Language code of the text fields; 0 and 25 are English.
    pub language: u8,
    /// When it was made.
    pub manufactured: MfgDate,
    /// Who made it.
    pub manufacturer: Field,
    /// What it is called.
    pub product: Field,
    /// Serial number.
    pub serial: Field,
    /// Part number.
    pub part_number: Field,
    /// The version of the file that the image was loaded from.
    pub file_id: Field,
    /// Further fields.
    pub custom: Vec<Field>,
}

impl Board {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = open("FRU board area", bytes)?;
        let [language, a, b, c] = reader.array()?;
        let ([manufacturer, product, serial, part_number, file_id], custom) = fields(&mut reader)?;
        Ok(Self {
            language,
            manufactured: MfgDate(u32::from_le_bytes([a, b, c, 0])),
            manufacturer,
            product,
            serial,
            part_number,
            file_id,
            custom,
        })
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        let mut content = vec![self.language];
        content.extend(self.manufactured.to_bytes());
        let fixed =
            [&self.manufacturer, &self.product, &self.serial, &self.part_number, &self.file_id];
        emit(&mut content, fixed, &self.custom);
        seal("FRU board area", &content)
    }
}

/// The product area (§12).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Product {
    /// Language code of the text fields; 0 and 25 are English.
    pub language: u8,
    /// Who made it.
    pub manufacturer: Field,
    /// What it is called.
    pub name: Field,
    /// Part or model number.
    pub part_number: Field,
    /// Version.
    pub version: Field,
    /// Serial number.
    pub serial: Field,
    /// Its owner's mark.
    pub asset_tag: Field,
    /// The version of the file that the image was loaded from.
    pub file_id: Field,
    /// Further fields.
    pub custom: Vec<Field>,
}

impl Product {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = open("FRU product area", bytes)?;
        let language = reader.u8()?;
        let ([manufacturer, name, part_number, version, serial, asset_tag, file_id], custom) =
            fields(&mut reader)?;
        Ok(Self {
            language,
            manufacturer,
            name,
            part_number,
            version,
            serial,
            asset_tag,
            file_id,
            custom,
        })
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        let mut content = vec![self.language];
        let fixed = [
            &self.manufacturer,
            &self.name,
            &self.part_number,
            &self.version,
            &self.serial,
            &self.asset_tag,
            &self.file_id,
        ];
        emit(&mut content, fixed, &self.custom);
        seal("FRU product area", &content)
    }
}

/// The area's own fields and the further ones, up to the end marker or, without one, the area's end.
/// What is missing is empty.
fn fields<const N: usize>(
    reader: &mut Reader<'_>,
) -> Result<([Field; N], Vec<Field>), RecordError> {
    let mut fixed = std::array::from_fn(|_| Field::empty());
    let mut places = fixed.iter_mut();
    let mut custom = Vec::new();
    while !reader.rest().is_empty() {
        let Some(field) = Field::parse(reader)? else {
            break;
        };
        match places.next() {
            Some(known) => *known = field,
            None => custom.push(field),
        }
    }
    Ok((fixed, custom))
}

fn emit<const N: usize>(out: &mut Vec<u8>, fixed: [&Field; N], custom: &[Field]) {
    for field in fixed.into_iter().chain(custom) {
        field.emit(out);
    }
    Field::emit_end(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_minutes_from_1996() {
        assert_eq!(MfgDate::from_unix(820_454_400 + 60).unwrap().to_bytes(), [1, 0, 0]);
        assert_eq!(MfgDate::from_unix(820_454_399), None);
        assert_eq!(MfgDate::from_unix(u64::MAX), None);
        assert_eq!(MfgDate::UNSPECIFIED.to_unix(), None);
        let date = MfgDate::from_unix(1_700_000_040).unwrap();
        assert_eq!(date.to_unix(), Some(1_700_000_040));
    }

    #[test]
    fn area_that_ends_early_has_empty_fields() {
        let area = seal("test", &[0x17, 0xc1]).unwrap();
        let chassis = Chassis::parse(&area).unwrap();
        assert_eq!(chassis.part_number, Field::empty());
        assert_eq!(chassis.custom, []);
    }
}
