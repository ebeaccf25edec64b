//! CRC-32 as in IEEE 802.3 (reflected, polynomial 04C11DB7h), which detects every change of up to
//! four consecutive bytes and all but one in 2^32 of the others.

/// The checksum of `parts` one after the other.
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    !bytes.fold(u32::MAX, |crc, &byte| step(crc, byte))
}

fn step(crc: u32, byte: u8) -> u32 {
    let index = (crc ^ u32::from(byte)) & 0xff;
    let entry = TABLE.get(index as usize).copied().unwrap_or_default();
    (crc >> 8) ^ entry
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    let mut value = 0_u32;
    while index < table.len() {
        let mut crc = value;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[index] = crc;
        }
        index += 1;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_algorithm() {
        assert_eq!(crc32(&[b"123456789"]), 0xcbf4_3926);
        assert_eq!(crc32(&[b"1234", b"", b"56789"]), 0xcbf4_3926);
        assert_eq!(crc32(&[]), 0);
    }
}
