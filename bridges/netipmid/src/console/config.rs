//! The `[sol]` section of the configuration.

use serde::Deserialize;

use super::ConsoleAddress;

/// The `[sol]` section: the address of the host's console, and how much of its output is stored.
///
/// What an administrator may change by IPMI (SOL Configuration Parameters) is not here but in the
/// settings object; see [`Settings`](super::Settings).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SolSection {
    /// The address of the host's console; see [`ConsoleAddress`].
    pub console: ConsoleAddress,
    /// Bytes of the console's output that are stored for slow remote consoles and for the scrollback.
    pub ring: usize,
    /// Bytes of earlier output shown on activation; 0 for none.
    pub scrollback: usize,
    /// Read-only payload instances beside the writer, 0 to 3.
    pub viewers: u8,
    /// Largest SOL payload to a console, in bytes.
    pub max_payload: u16,
}

impl SolSection {
    const MAX_VIEWERS: u8 = 3;

    /// Least size of the ring: some packets' worth.
    const MIN_RING: usize = 1024;

    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// The first value out of range, as one line.
    pub fn check(&self) -> Result<(), String> {
        if self.ring < Self::MIN_RING {
            return Err(format!("[sol] ring must be at least {}", Self::MIN_RING));
        }
        if self.scrollback > self.ring {
            return Err("[sol] scrollback cannot be larger than ring".to_owned());
        }
        if self.viewers > Self::MAX_VIEWERS {
            return Err(format!("[sol] viewers can be at most {}", Self::MAX_VIEWERS));
        }
        if !(16..=259).contains(&self.max_payload) {
            return Err("[sol] max-payload must be 16 to 259".to_owned());
        }
        Ok(())
    }
}

impl Default for SolSection {
    fn default() -> Self {
        Self {
            console: ConsoleAddress::default(),
            ring: 65_536,
            scrollback: 8_192,
            viewers: Self::MAX_VIEWERS,
            max_payload: 255,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range() {
        assert_eq!(SolSection::default().check(), Ok(()));
    }

    #[test]
    fn values_out_of_range_are_named() {
        let base = SolSection::default();
        for (section, culprit) in [
            (SolSection { ring: 10, ..base.clone() }, "ring"),
            (SolSection { scrollback: base.ring + 1, ..base.clone() }, "scrollback"),
            (SolSection { viewers: 4, ..base.clone() }, "viewers"),
            (SolSection { max_payload: 260, ..base.clone() }, "max-payload"),
        ] {
            assert!(section.check().unwrap_err().contains(culprit));
        }
    }
}
