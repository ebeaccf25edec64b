//! Numbers, bytes and levels as people write and read them.

use ipmi_proto::Privilege;

/// Bytes in hexadecimal, without anything between them.
pub(crate) fn plain(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes in hexadecimal, with a space between them.
pub(crate) fn spaced(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

/// A number of 8 bits as ipmitool takes it: `0x` or a trailing `h` for hexadecimal, else decimal.
///
/// # Errors
///
/// When it is no number or above 255.
pub(crate) fn byte(text: &str) -> Result<u8, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.strip_prefix("0x").or_else(|| lower.strip_suffix('h'));
    let number = match digits {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => lower.parse(),
    };
    number.map_err(|_| format!("{text:?} is no number from 0 to 255 (0x06, 06h and 6 are)"))
}

/// Bytes of hexadecimal text; white space, colons, commas, underscores and `0x` are skipped.
///
/// # Errors
///
/// What is no hexadecimal digit, or that half a byte is there, or none.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut digits = Vec::new();
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '_'));
    for word in words {
        let lower = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        // A digit of its own is a byte of its own.
        match lower.len() {
            1 => digits.push(0),
            count if count % 2 == 1 => {
                return Err(format!("{word:?}: an odd number of hexadecimal digits"));
            }
            _ => {}
        }
        for digit in lower.chars() {
            let value = digit.to_digit(16).and_then(|value| u8::try_from(value).ok());
            digits.push(value.ok_or_else(|| format!("{word:?} is not hexadecimal"))?);
        }
    }
    if digits.is_empty() {
        return Err("no bytes".to_owned());
    }
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect())
}

/// The name of a privilege level, as the command line takes it.
pub(crate) const fn privilege(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::Callback => "callback",
        Privilege::User => "user",
        Privilege::Operator => "operator",
        Privilege::Administrator => "administrator",
        Privilege::Oem => "oem",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_text_of_any_tool_is_read() {
        for text in ["20018102", "20 01 81 02", "0x20 0x01 0x81 0x02", "20:01:81:2", "20 1\n81 2\n"]
        {
            assert_eq!(bytes(text), Ok(vec![0x20, 0x01, 0x81, 0x02]), "{text}");
        }
        for text in ["", "  ", "20 01 8", "123", "12 345 6", "2g", "0x"] {
            assert_eq!(bytes(text).is_ok(), text == "20 01 8", "{text}");
        }
    }

    #[test]
    fn bytes_are_read_as_ipmitool_reads_them() {
        for (text, value) in [("6", 6), ("0x06", 6), ("2Ch", 0x2c), ("0XFF", 255), ("255", 255)] {
            assert_eq!(byte(text), Ok(value), "{text}");
        }
        for text in ["", "256", "0x100", "0x", "h", "2C", "-1", "six"] {
            assert!(byte(text).is_err(), "{text}");
        }
    }
}
