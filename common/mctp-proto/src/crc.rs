//! The two check sequences of the framings.

/// The table of a byte-wise CRC-16 with the reflected polynomial 8408h.
const FCS_TABLE: [u16; 256] = fcs_table();

/// The table of a byte-wise CRC-8 with the polynomial 07h.
const PEC_TABLE: [u8; 256] = pec_table();

/// Where the serial FCS starts.
pub(crate) const FCS_START: u16 = 0xffff;

/// Continues the serial FCS (DSP0253; x^16+x^12+x^5+1, reflected, not complemented) over `bytes`.
pub(crate) fn fcs(start: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(start, |fcs, &byte| fcs_byte(fcs, byte))
}

/// Continues the serial FCS over one byte.
pub(crate) fn fcs_byte(fcs: u16, byte: u8) -> u16 {
    let [low, _] = (fcs ^ u16::from(byte)).to_le_bytes();
    let entry = FCS_TABLE.get(usize::from(low)).copied().unwrap_or_default();
    (fcs >> 8) ^ entry
}

/// The SMBus packet error code over `bytes` (SMBus 3.1 §6.4.1.3; x^8+x^2+x+1, start 0).
pub(crate) fn pec(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |pec, &byte| {
        PEC_TABLE
            .get(usize::from(pec ^ byte))
            .copied()
            .unwrap_or_default()
    })
}

#[expect(
    clippy::indexing_slicing,
    reason = "the index runs over the table's own length"
)]
#[expect(clippy::cast_possible_truncation, reason = "the index is below 256")]
const fn fcs_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x8408
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    reason = "the index runs over the table's own length"
)]
#[expect(clippy::cast_possible_truncation, reason = "the index is below 256")]
const fn pec_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x80 != 0 {
                (crc << 1) ^ 0x07
            } else {
                crc << 1
            };
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
}
