//! FRU inventory images (Platform Management FRU Information Storage Definition v1.3).
//!
//! [`FruImage`] has the fields of an image; [`FruImage::to_bytes`] encodes it and [`FruImage::parse`]
//! decodes any image. The internal use area has no length of its own and extends to the next area.

mod areas;
mod multirecord;

pub use areas::{Board, Chassis, MfgDate, Product};
pub use multirecord::MultiRecord;

use crate::record::{Reader, RecordError, zero_checksum};
use crate::type_length::low_byte;

/// Bytes of the common header (§8).
pub const HEADER_LENGTH: usize = 8;
/// Offsets in the header count in these.
const UNIT: usize = 8;
/// The format version in the header and in every area.
pub(crate) const FORMAT: u8 = 0x01;

/// The fields of a FRU image.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FruImage {
    /// The internal use area (§9), from its format byte on.
    pub internal: Option<Vec<u8>>,
    /// The chassis (§10).
    pub chassis: Option<Chassis>,
    /// The board (§11).
    pub board: Option<Board>,
    /// The product (§12).
    pub product: Option<Product>,
    /// Further records (§16-18), such as power supply data.
    pub multirecords: Vec<MultiRecord>,
}

/// Where the areas are: byte offsets, 0 for none (§8).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Offsets {
    internal: usize,
    chassis: usize,
    board: usize,
    product: usize,
    multirecord: usize,
}

impl Offsets {
    fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let header: [u8; HEADER_LENGTH] = Reader::new("FRU common header", bytes).array()?;
        let [format, internal, chassis, board, product, multirecord, _, _] = header;
        if format & 0x0f != FORMAT {
            return Err(RecordError::Reserved { what: "FRU format version", value: format });
        }
        if zero_checksum(&header) != 0 {
            return Err(RecordError::Checksum { what: "FRU common header" });
        }
        let [internal, chassis, board, product, multirecord] =
            [internal, chassis, board, product, multirecord].map(|units| usize::from(units) * UNIT);
        Ok(Self { internal, chassis, board, product, multirecord })
    }

    /// Where the area that begins at `start` has to end at the latest.
    fn end_of(self, start: usize, length: usize) -> usize {
        [self.internal, self.chassis, self.board, self.product, self.multirecord]
            .into_iter()
            .filter(|offset| *offset > start)
            .min()
            .unwrap_or(length)
            .min(length)
    }
}

impl FruImage {
    /// Decodes an image; bytes after its areas are ignored.
    ///
    /// # Errors
    ///
    /// [`RecordError`] for the first area that is cut short, has a wrong checksum or format.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let offsets = Offsets::parse(bytes)?;
        let at = |offset: usize| match offset {
            0 => None,
            offset => Some(bytes.get(offset..).unwrap_or_default()),
        };
        let internal = (offsets.internal > 0).then(|| {
            let end = offsets.end_of(offsets.internal, bytes.len());
            bytes.get(offsets.internal..end).unwrap_or_default().to_vec()
        });
        Ok(Self {
            internal,
            chassis: at(offsets.chassis).map(Chassis::parse).transpose()?,
            board: at(offsets.board).map(Board::parse).transpose()?,
            product: at(offsets.product).map(Product::parse).transpose()?,
            multirecords: at(offsets.multirecord)
                .map(multirecord::parse)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// Encodes the image, with the areas in the header's order.
    ///
    /// # Errors
    ///
    /// [`RecordError::Length`] when an area does not fit its length byte, or begins beyond the greatest
    /// offset of the header.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        let mut out = vec![0; HEADER_LENGTH];
        let internal = self.internal.as_ref().map(|bytes| {
            let mut area = bytes.clone();
            area.resize(area.len().next_multiple_of(UNIT), 0);
            area
        });
        let areas = [
            internal,
            self.chassis.as_ref().map(Chassis::to_bytes).transpose()?,
            self.board.as_ref().map(Board::to_bytes).transpose()?,
            self.product.as_ref().map(Product::to_bytes).transpose()?,
            (!self.multirecords.is_empty()).then(|| multirecord::to_bytes(&self.multirecords)),
        ];
        let mut header = vec![FORMAT];
        for area in areas {
            header.push(area.as_ref().map_or(Ok(0), |_| offset_units(out.len()))?);
            out.extend(area.unwrap_or_default());
        }
        header.push(0);
        header.push(zero_checksum(&header));
        for (to, byte) in out.iter_mut().zip(header) {
            *to = byte;
        }
        Ok(out)
    }
}

fn offset_units(offset: usize) -> Result<u8, RecordError> {
    let stated = offset / UNIT;
    u8::try_from(stated).map_err(|_| RecordError::Length {
        what: "FRU image before an area",
        stated: offset,
        have: usize::from(u8::MAX) * UNIT,
    })
}

/// Wraps `content` into an area: format and length in front, padding and checksum behind.
pub(crate) fn seal(what: &'static str, content: &[u8]) -> Result<Vec<u8>, RecordError> {
    let length = (content.len() + 3).next_multiple_of(UNIT);
    let units = length / UNIT;
    if units > usize::from(u8::MAX) {
        let have = usize::from(u8::MAX) * UNIT;
        return Err(RecordError::Length { what, stated: length, have });
    }
    let mut area = vec![FORMAT, low_byte(units)];
    area.extend(content);
    area.resize(length - 1, 0);
    area.push(zero_checksum(&area));
    Ok(area)
}

/// The content of the area at the front of `bytes`, its format, length and checksum being right.
pub(crate) fn open<'a>(what: &'static str, bytes: &'a [u8]) -> Result<Reader<'a>, RecordError> {
    let [format, units] = Reader::new(what, bytes).array()?;
    if format & 0x0f != FORMAT {
        return Err(RecordError::Reserved { what, value: format });
    }
    let area = Reader::new(what, bytes).take(usize::from(units) * UNIT)?;
    if zero_checksum(area) != 0 {
        return Err(RecordError::Checksum { what });
    }
    let content = area.get(2..area.len().saturating_sub(1)).unwrap_or_default();
    Ok(Reader::new(what, content))
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;
    use crate::type_length::Field;

    fn image() -> FruImage {
        FruImage {
            internal: None,
            chassis: Some(Chassis {
                kind: 0x17,
                part_number: Field::text("CH-1"),
                serial: Field::text("C0001"),
                custom: Vec::new(),
            }),
            board: Some(Board {
                language: 25,
                manufactured: MfgDate::from_unix(1_700_000_040).unwrap(),
                manufacturer: Field::text("ACME"),
                product: Field::text("Board"),
                serial: Field::text("B0001"),
                part_number: Field::text("BP-1"),
                file_id: Field::empty(),
                custom: vec![Field::text("rev A")],
            }),
            product: Some(Product {
                language: 0,
                manufacturer: Field::text("ACME"),
                name: Field::text("Server"),
                part_number: Field::text("M1"),
                version: Field::text("1.0"),
                serial: Field::text("P0001"),
                asset_tag: Field::text("TAG-7"),
                file_id: Field::empty(),
                custom: Vec::new(),
            }),
            multirecords: vec![MultiRecord { kind: 0xc0, data: vec![1, 2, 3] }],
        }
    }

    #[test]
    fn image_matches_golden_bytes() {
        let bytes = hex!(
            "01 00 01 03 08 0d 00 e6"
            "01 02 17 c4 43 48 2d 31 c5 43 30 30 30 31 c1 af"
            "01 05 19 16 ae df c4 41 43 4d 45 c5 42 6f 61 72 64 c5 42 30 30 30 31 c4 42 50 2d 31"
            "00 c5 72 65 76 20 41 c1 00 00 00 07"
            "01 05 00 c4 41 43 4d 45 c6 53 65 72 76 65 72 c2 4d 31 c3 31 2e 30 c5 50 30 30 30 31"
            "c5 54 41 47 2d 37 00 c1 00 00 00 b5"
            "c0 82 03 fa c1 01 02 03"
        );
        assert_eq!(image().to_bytes().unwrap(), bytes);
        assert_eq!(FruImage::parse(&bytes), Ok(image()));
    }

    #[test]
    fn image_cut_short_is_an_error() {
        let bytes = image().to_bytes().unwrap();
        let records = bytes.len() - 8;
        for cut in 0..records {
            assert!(FruImage::parse(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn flipped_byte_fails_a_checksum() {
        let bytes = image().to_bytes().unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert_ne!(FruImage::parse(&flipped), Ok(image()), "{at}");
        }
    }

    #[test]
    fn area_too_long_for_its_length_byte_is_refused() {
        let mut image = image();
        image.chassis.as_mut().unwrap().custom = vec![Field::text(&"x".repeat(63)); 33];
        assert!(matches!(image.to_bytes(), Err(RecordError::Length { .. })));
    }

    fn field() -> impl Strategy<Value = Field> {
        "[ -~]{0,63}".prop_map(|text| Field::text(&text))
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = FruImage::parse(&bytes);
        }

        #[test]
        fn any_areas_behind_a_good_header_parse_or_fail(
            offsets in prop::collection::vec(0u8..8, 5),
            rest in prop::collection::vec(any::<u8>(), 0..96),
        ) {
            let mut bytes = vec![FORMAT];
            bytes.extend(offsets);
            bytes.push(0);
            bytes.push(zero_checksum(&bytes));
            bytes.extend(rest);
            if let Ok(image) = FruImage::parse(&bytes) && let Ok(again) = image.to_bytes() {
                prop_assert!(FruImage::parse(&again).is_ok());
            }
        }

        #[test]
        fn what_is_laid_out_parses_to_the_same(
            serial in field(), tag in field(), custom in prop::collection::vec(field(), 0..5),
            internal in prop::option::of(prop::collection::vec(any::<u8>(), 1..5)),
            records in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..255)), 0..4),
        ) {
            let mut image = image();
            image.internal = internal.map(|mut bytes| { bytes.resize(8, 0); bytes });
            if let Some(product) = &mut image.product {
                product.serial = serial;
                product.asset_tag = tag;
                product.custom = custom;
            }
            image.multirecords =
                records.into_iter().map(|(kind, data)| MultiRecord { kind, data }).collect();
            prop_assert_eq!(FruImage::parse(&image.to_bytes().unwrap()), Ok(image));
        }
    }
}
