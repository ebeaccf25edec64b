//! What clients wrote over a FRU image, kept over the image below it when that changes (IPMI v2.0 §34.3).
//!
//! An edit belongs to the part that it was made of: the fields of an area stay as they were written until the serial number
//! below is another one.

use ipmi_proto::Field;
use ipmi_proto::fru::{Board, Chassis, FruImage, Product};
use serde::{Deserialize, Serialize};

/// An image that a client wrote, and the one that was below it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Saved")]
pub(super) struct Edit {
    /// The image of the machine when it was written; empty if that is not known.
    pub(super) below: Vec<u8>,
    /// The image as it was written.
    pub(super) written: Vec<u8>,
}

/// An edit in the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Saved {
    Edit {
        below: Vec<u8>,
        written: Vec<u8>,
    },
    /// The image alone, as it was saved before.
    Image(Vec<u8>),
}

impl From<Saved> for Edit {
    fn from(saved: Saved) -> Self {
        match saved {
            Saved::Edit { below, written } => Self { below, written },
            Saved::Image(written) => Self { below: Vec::new(), written },
        }
    }
}

/// An image with an edit over it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Merged {
    /// The image.
    pub(super) image: Vec<u8>,
    /// Whether fields were dropped, because their part is another one.
    pub(super) dropped: bool,
}

impl Edit {
    /// The image of the machine that is now `below`, with this edit over it, at least as long as `below`.
    pub(super) fn over(&self, below: &[u8]) -> Merged {
        let as_written = || Merged { image: over_bytes(&self.written, below), dropped: false };
        if self.below.is_empty() || same(&self.below, below) {
            return as_written();
        }
        let Ok(now) = FruImage::parse(below) else {
            return as_written();
        };
        let base = FruImage::parse(&self.below).unwrap_or_default();
        let Ok(written) = FruImage::parse(&self.written) else {
            // A client is still writing it: it goes with the part.
            let dropped = !is_same_part(&base, &now);
            let image = if dropped { below.to_vec() } else { over_bytes(&self.written, below) };
            return Merged { image, dropped };
        };
        let (merged, dropped) = merge(&base, &written, &now);
        match merged.to_bytes() {
            Ok(bytes) => {
                let mut image = bytes;
                image.resize(image.len().max(below.len()), 0);
                Merged { image, dropped }
            }
            Err(_) => as_written(),
        }
    }
}

/// The bytes of `written`, and those of `below` beyond them.
fn over_bytes(written: &[u8], below: &[u8]) -> Vec<u8> {
    let rest = below.get(written.len()..).unwrap_or_default();
    [written, rest].concat()
}

/// Whether two images are the same but for zeros at their ends.
fn same(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    long.split_at_checked(short.len())
        .is_some_and(|(head, tail)| head == short && tail.iter().all(|byte| *byte == 0))
}

/// An area of an image whose fields clients edit.
trait Area: Clone + PartialEq {
    /// The serial number, or what else tells parts apart where there is none.
    fn identity(&self) -> Vec<Vec<u8>>;
    /// Takes the fields that `written` has changed of `base`.
    fn take(&mut self, base: &Self, written: &Self);
}

/// The serial number alone if there is one, else the other fields.
fn identity(serial: &Field, others: &[&Field]) -> Vec<Vec<u8>> {
    let text = |field: &Field| field.bytes().trim_ascii().to_vec();
    match text(serial) {
        serial if serial.is_empty() => others.iter().map(|field| text(field)).collect(),
        serial => vec![serial],
    }
}

/// Takes each of `$field` that the client has changed.
macro_rules! take_changed {
    ($into:ident, $base:ident, $written:ident, $($field:ident),+) => {
        $(if $written.$field != $base.$field {
            $into.$field = $written.$field.clone();
        })+
    };
}

impl Area for Chassis {
    fn identity(&self) -> Vec<Vec<u8>> {
        identity(&self.serial, &[&self.part_number])
    }

    fn take(&mut self, base: &Self, written: &Self) {
        take_changed!(self, base, written, kind, part_number, serial, custom);
    }
}

impl Area for Board {
    fn identity(&self) -> Vec<Vec<u8>> {
        identity(&self.serial, &[&self.manufacturer, &self.product, &self.part_number])
    }

    fn take(&mut self, base: &Self, written: &Self) {
        take_changed!(
            self,
            base,
            written,
            language,
            manufactured,
            manufacturer,
            product,
            serial,
            part_number,
            file_id,
            custom
        );
    }
}

impl Area for Product {
    fn identity(&self) -> Vec<Vec<u8>> {
        identity(&self.serial, &[&self.manufacturer, &self.name, &self.part_number])
    }

    fn take(&mut self, base: &Self, written: &Self) {
        take_changed!(
            self,
            base,
            written,
            language,
            manufacturer,
            name,
            part_number,
            version,
            serial,
            asset_tag,
            file_id,
            custom
        );
    }
}

/// Whether the area is that of the same part. An area that has come or gone is another.
fn is_same<A: Area>(base: Option<&A>, now: Option<&A>) -> bool {
    base.map(Area::identity) == now.map(Area::identity)
}

fn is_same_part(base: &FruImage, now: &FruImage) -> bool {
    is_same(base.chassis.as_ref(), now.chassis.as_ref())
        && is_same(base.board.as_ref(), now.board.as_ref())
        && is_same(base.product.as_ref(), now.product.as_ref())
}

/// One area with what was written over it, and whether an edit was dropped.
fn merge_area<A: Area>(
    base: Option<&A>,
    written: Option<&A>,
    now: Option<&A>,
) -> (Option<A>, bool) {
    if base == written {
        return (now.cloned(), false);
    }
    if !is_same(base, now) {
        return (now.cloned(), true);
    }
    let merged = match (base, written, now) {
        (Some(base), Some(written), Some(now)) => {
            let mut merged = now.clone();
            merged.take(base, written);
            Some(merged)
        }
        // An area that the client added or left out.
        (_, written, _) => written.cloned(),
    };
    (merged, false)
}

fn merge(base: &FruImage, written: &FruImage, now: &FruImage) -> (FruImage, bool) {
    let area = (base.chassis.as_ref(), written.chassis.as_ref(), now.chassis.as_ref());
    let (chassis, chassis_dropped) = merge_area(area.0, area.1, area.2);
    let area = (base.board.as_ref(), written.board.as_ref(), now.board.as_ref());
    let (board, board_dropped) = merge_area(area.0, area.1, area.2);
    let area = (base.product.as_ref(), written.product.as_ref(), now.product.as_ref());
    let (product, product_dropped) = merge_area(area.0, area.1, area.2);
    let is_same_part = is_same_part(base, now);
    // What has no serial number of its own goes with the part.
    let internal = written.internal != base.internal;
    let records = written.multirecords != base.multirecords;
    let others_dropped = !is_same_part && (internal || records);
    let of = |changed: bool| if changed && is_same_part { written } else { now };
    let merged = FruImage {
        internal: of(internal).internal.clone(),
        chassis,
        board,
        product,
        multirecords: of(records).multirecords.clone(),
    };
    (merged, chassis_dropped || board_dropped || product_dropped || others_dropped)
}

#[cfg(test)]
mod tests {
    use ipmi_proto::fru::{MfgDate, MultiRecord};
    use proptest::prelude::*;

    use super::*;

    fn image(serial: &str, version: &str, tag: &str) -> FruImage {
        FruImage {
            chassis: Some(Chassis {
                kind: 0x17,
                part_number: Field::text("CH"),
                serial: Field::text("C1"),
                custom: Vec::new(),
            }),
            board: Some(Board {
                language: 0,
                manufactured: MfgDate::UNSPECIFIED,
                manufacturer: Field::text("ACME"),
                product: Field::text("Board"),
                serial: Field::text(serial),
                part_number: Field::text("BP"),
                file_id: Field::empty(),
                custom: Vec::new(),
            }),
            product: Some(Product {
                language: 0,
                manufacturer: Field::text("ACME"),
                name: Field::text("Server"),
                part_number: Field::text("M1"),
                version: Field::text(version),
                serial: Field::text("P1"),
                asset_tag: Field::text(tag),
                file_id: Field::empty(),
                custom: Vec::new(),
            }),
            multirecords: vec![MultiRecord { kind: 0xc0, data: vec![1, 2, 3] }],
            ..FruImage::default()
        }
    }

    fn bytes(image: &FruImage) -> Vec<u8> {
        let mut bytes = image.to_bytes().unwrap();
        bytes.resize(512, 0);
        bytes
    }

    fn edit(below: &FruImage, written: &FruImage) -> Edit {
        Edit { below: bytes(below), written: bytes(written) }
    }

    /// The image over `now`, and whether edits were dropped.
    fn over(edit: &Edit, now: &FruImage) -> (FruImage, bool) {
        let merged = edit.over(&bytes(now));
        (FruImage::parse(&merged.image).unwrap(), merged.dropped)
    }

    #[test]
    fn edited_fields_stay_over_what_changes_below() {
        let edit = edit(&image("B1", "1.0", ""), &image("B1", "1.0", "TAG-7"));
        assert_eq!(over(&edit, &image("B1", "1.0", "")), (image("B1", "1.0", "TAG-7"), false));
        assert_eq!(over(&edit, &image("B1", "2.0", "")), (image("B1", "2.0", "TAG-7"), false));
        let longer = "a name that is much longer than before";
        assert_eq!(over(&edit, &image("B1", longer, "")), (image("B1", longer, "TAG-7"), false));
    }

    #[test]
    fn edits_of_a_part_go_with_it_and_those_of_others_stay() {
        let mut written = image("B1", "1.0", "TAG-7");
        written.board.as_mut().unwrap().manufacturer = Field::text("Steam & Way");
        let edit = edit(&image("B1", "1.0", ""), &written);
        assert_eq!(over(&edit, &image("B2", "1.0", "")), (image("B2", "1.0", "TAG-7"), true));
        // An edited serial number is no other part.
        let mut written = image("B1", "1.0", "");
        written.board.as_mut().unwrap().serial = Field::text("MINE");
        let own = super::Edit { written: bytes(&written), ..edit };
        assert_eq!(over(&own, &image("B1", "2.0", "")), (image("MINE", "2.0", ""), false));
        assert_eq!(over(&own, &image("B2", "2.0", "")), (image("B2", "2.0", ""), true));
    }

    #[test]
    fn part_without_serial_number_is_known_by_its_other_fields() {
        let part = |number: &str| {
            let mut image = image("", "1.0", "");
            image.board.as_mut().unwrap().part_number = Field::text(number);
            image
        };
        let mut written = part("BP-1");
        written.board.as_mut().unwrap().custom = vec![Field::text("mine")];
        let edit = edit(&part("BP-1"), &written);
        assert!(!over(&edit, &part("BP-1")).1);
        assert_eq!(over(&edit, &part("BP-2")), (part("BP-2"), true));
    }

    #[test]
    fn records_that_were_written_go_with_the_part() {
        let mut written = image("B1", "1.0", "");
        written.multirecords.clear();
        let edit = edit(&image("B1", "1.0", ""), &written);
        let (merged, dropped) = over(&edit, &image("B1", "2.0", ""));
        assert!(merged.multirecords.is_empty() && !dropped);
        assert_eq!(over(&edit, &image("B2", "1.0", "")), (image("B2", "1.0", ""), true));
    }

    #[test]
    fn image_that_is_half_written_stays_until_the_part_changes() {
        let mut half = bytes(&image("B1", "1.0", ""));
        half[0] = 0xff;
        let edit = Edit { below: bytes(&image("B1", "1.0", "")), written: half.clone() };
        let now = bytes(&image("B1", "2.0", ""));
        assert_eq!(edit.over(&now), Merged { image: half, dropped: false });
        let other = bytes(&image("B2", "1.0", ""));
        assert_eq!(edit.over(&other), Merged { image: other, dropped: true });
    }

    #[test]
    fn images_saved_before_are_edits_of_an_unknown_image() {
        let edit: Edit = serde_json::from_str("[1, 2]").unwrap();
        assert_eq!(edit.over(&[0, 0, 3]).image, [1, 2, 3]);
        let text = serde_json::to_string(&edit).unwrap();
        assert_eq!(serde_json::from_str::<Edit>(&text).unwrap(), edit);
    }

    proptest! {
        #[test]
        fn any_edit_of_any_image_is_an_image(
            below in prop::collection::vec(any::<u8>(), 0..64),
            written in prop::collection::vec(any::<u8>(), 0..64),
            now in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let merged = Edit { below, written }.over(&now);
            prop_assert!(merged.image.len() >= now.len());
        }

        #[test]
        fn what_was_not_edited_is_as_below(tag in "[a-z]{0,9}", version in "[a-z]{0,9}", name in "[a-z]{1,9}") {
            let edit = edit(&image("B1", "1.0", ""), &image("B1", "1.0", &tag));
            let mut now = image("B1", &version, "");
            now.board.as_mut().unwrap().product = Field::text(&name);
            let (merged, dropped) = over(&edit, &now);
            let mut expected = now;
            if !tag.is_empty() {
                expected.product.as_mut().unwrap().asset_tag = Field::text(&tag);
            }
            prop_assert_eq!((merged, dropped), (expected, false));
        }
    }
}
