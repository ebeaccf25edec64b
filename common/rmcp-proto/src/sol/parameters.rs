//! What an administrator sets for SOL, as the state machines use it.

use std::time::Duration;

use super::packet::{HEADER_LEN, MAX_CHARS};

/// The SOL configuration parameters that rule one payload instance (IPMI v2.0 §26, Table 26-5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parameters {
    /// How long characters may wait for more on a line that is not idle (parameter 3, byte 1).
    pub accumulate: Duration,
    /// So many characters are sent without waiting for more (parameter 3, byte 2).
    pub threshold: usize,
    /// How often an unanswered packet is sent again at the retry interval (parameter 4, byte 1).
    pub retry_count: u8,
    /// The time between these (parameter 4, byte 2).
    pub retry_interval: Duration,
    /// The most characters in a packet to the console.
    pub max_chars: usize,
}

impl Parameters {
    /// Shortest retry interval: a zero in the parameter must not become a busy loop.
    const MIN_RETRY: Duration = Duration::from_millis(10);

    /// From the parameters' bytes: the interval counts 5 ms, the retry interval 10 ms; of the
    /// retry count bits 2:0 are defined.
    #[must_use]
    pub fn from_wire(accumulate: u8, threshold: u8, retry_count: u8, retry_interval: u8) -> Self {
        Self {
            accumulate: Duration::from_millis(5) * u32::from(accumulate),
            threshold: usize::from(threshold).max(1),
            retry_count: retry_count & 0x07,
            retry_interval: (Duration::from_millis(10) * u32::from(retry_interval))
                .max(Self::MIN_RETRY),
            ..Self::default()
        }
    }

    /// With packets to the console of at most `payload` bytes, their header included: the largest
    /// payload that Activate Payload names. Clients differ in whether they count the header; this
    /// reading satisfies both.
    #[must_use]
    pub fn with_max_payload(mut self, payload: usize) -> Self {
        self.max_chars = payload.saturating_sub(HEADER_LEN).clamp(1, MAX_CHARS);
        self
    }
}

impl Default for Parameters {
    /// The defaults of OpenBMC's settings: 100 ms, 1 character, 7 retries, 1 s. With a payload of
    /// 255 bytes, an encrypted one fills its last AES block.
    fn default() -> Self {
        Self {
            accumulate: Duration::from_millis(100),
            threshold: 1,
            retry_count: 7,
            retry_interval: Duration::from_secs(1),
            max_chars: MAX_CHARS - HEADER_LEN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_bytes_of_the_default_settings_are_the_default() {
        assert_eq!(Parameters::from_wire(20, 1, 7, 100), Parameters::default());
    }

    #[test]
    fn zeros_neither_spin_nor_block() {
        let parameters = Parameters::from_wire(0, 0, 0xf8, 0);
        assert_eq!(parameters.threshold, 1);
        assert_eq!(parameters.retry_count, 0);
        assert!(parameters.retry_interval >= Duration::from_millis(10));
        assert_eq!(parameters.with_max_payload(0).max_chars, 1);
        assert_eq!(parameters.with_max_payload(65_535).max_chars, 255);
    }
}
