//! The two check sequences of the framings.

/// Tables of a CRC-16 with the reflected polynomial 8408h: of one byte, and of one byte with one, two
/// and three zeros after it, so that four bytes can be taken at a time.
const FCS_TABLES: [[u16; 256]; 4] = fcs_tables();

/// The table of a byte-wise CRC-8 with the polynomial 07h.
const PEC_TABLE: [u8; 256] = pec_table();

/// Where the serial FCS starts.
pub(crate) const FCS_START: u16 = 0xffff;

/// Continues the serial FCS (DSP0253; x^16+x^12+x^5+1, reflected, not complemented) over `bytes`.
pub(crate) fn fcs(start: u16, bytes: &[u8]) -> u16 {
    let [after_0, after_1, after_2, after_3] = &FCS_TABLES;
    let (fours, rest) = bytes.as_chunks();
    let fcs = fours.iter().fold(start, |fcs, &[b0, b1, b2, b3]| {
        let [low, high] = fcs.to_le_bytes();
        look_up(after_3, low ^ b0)
            ^ look_up(after_2, high ^ b1)
            ^ look_up(after_1, b2)
            ^ look_up(after_0, b3)
    });
    rest.iter().fold(fcs, |fcs, &byte| fcs_byte(fcs, byte))
}

/// Continues the serial FCS over one byte.
pub(crate) fn fcs_byte(fcs: u16, byte: u8) -> u16 {
    let [table, ..] = &FCS_TABLES;
    let [low, high] = fcs.to_le_bytes();
    u16::from(high) ^ look_up(table, low ^ byte)
}

fn look_up(table: &[u16; 256], index: u8) -> u16 {
    table.get(usize::from(index)).copied().unwrap_or_default()
}

/// The SMBus packet error code over `bytes` (SMBus 3.1 §6.4.1.3; x^8+x^2+x+1, start 0).
pub(crate) fn pec(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |pec, &byte| PEC_TABLE.get(usize::from(pec ^ byte)).copied().unwrap_or_default())
}

#[expect(clippy::indexing_slicing, reason = "the indexes run over the tables' own lengths")]
#[expect(clippy::cast_possible_truncation, reason = "the index is below 256")]
const fn fcs_tables() -> [[u16; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][index] = crc;
        index += 1;
    }
    let mut zeros = 1;
    while zeros < 4 {
        index = 0;
        while index < 256 {
            let crc = tables[zeros - 1][index];
            tables[zeros][index] = (crc >> 8) ^ tables[0][(crc & 0xff) as usize];
            index += 1;
        }
        zeros += 1;
    }
    tables
}

#[expect(clippy::indexing_slicing, reason = "the index runs over the table's own length")]
#[expect(clippy::cast_possible_truncation, reason = "the index is below 256")]
const fn pec_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x80 != 0 { (crc << 1) ^ 0x07 } else { crc << 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_over_the_customary_nine_digits() {
        assert_eq!(fcs(FCS_START, b"123456789"), 0x6f91);
        assert_eq!(pec(b"123456789"), 0xf4);
    }

    #[test]
    fn four_bytes_at_a_time_are_the_same_as_one_by_one() {
        let bytes: [u8; 23] = core::array::from_fn(|i| u8::try_from(i * 11).unwrap());
        for len in 0..bytes.len() {
            let one_by_one = bytes[..len].iter().fold(0x1234, |fcs, &byte| fcs_byte(fcs, byte));
            assert_eq!(fcs(0x1234, &bytes[..len]), one_by_one, "{len}");
        }
    }
}
