//! Times as people read them.

const DAY: u64 = 86_400;

/// A time of a record (IPMI v2.0 §37): seconds since 1970, or since the BMC has started, or unknown.
pub(crate) fn record(seconds: u32) -> String {
    match seconds {
        u32::MAX => "unspecified".to_owned(),
        0..0x2000_0000 => format!("{seconds} s after the start"),
        _ => utc(seconds.into()),
    }
}

/// Seconds since 1970-01-01 as `2026-11-28T19:00:00Z` (RFC 3339).
pub(crate) fn utc(seconds: u64) -> String {
    let (year, month, day) = date(seconds / DAY);
    let time = seconds % DAY;
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Microseconds since 1970-01-01 as `2026-11-28T19:00:00.250000Z`.
pub(crate) fn utc_micros(micros: u64) -> String {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    format!("{}.{micros:06}Z", utc(seconds).trim_end_matches('Z'))
}

/// Year, month and day of the Gregorian calendar, of a day counted from 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, so that the day that leap years add is a year's last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (4_294_967_295, "2106-02-07T06:28:15Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
