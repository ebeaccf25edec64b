//! The `[sol]` section of the configuration.

use daemon::Invalid;
use serde::Deserialize;

use super::ConsoleAddress;

/// The largest ring, 16 MiB: all of it is in memory.
const MAX_RING: i64 = 16 * 1024 * 1024;

/// Payload instances beside the one that types (IPMI v2.0 §24.1 has four bits for all).
const MAX_VIEWERS: i64 = 3;

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
    #[serde(deserialize_with = "daemon::range::number::<1024, MAX_RING, _, _>")]
    pub ring: usize,
    /// Bytes of earlier output shown on activation; 0 for none.
    #[serde(deserialize_with = "daemon::range::number::<0, MAX_RING, _, _>")]
    pub scrollback: usize,
    /// Read-only payload instances beside the writer, 0 to 3.
    #[serde(deserialize_with = "daemon::range::number::<0, MAX_VIEWERS, _, _>")]
    pub viewers: u8,
    /// Largest SOL payload to a console, in bytes.
    #[serde(deserialize_with = "daemon::range::number::<16, 259, _, _>")]
    pub max_payload: u16,
}

impl SolSection {
    /// Checks one value against another.
    ///
    /// # Errors
    ///
    /// A scrollback that is larger than the ring.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.scrollback > self.ring {
            let text = "`scrollback` cannot be larger than `ring`";
            return Err(Invalid::at("sol.scrollback", text).or_at("sol.ring"));
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
            viewers: 3,
            max_payload: 255,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Config {
        sol: SolSection,
    }

    impl daemon::Validate for Config {
        fn validate(&self) -> Result<(), Invalid> {
            self.sol.validate()
        }
    }

    fn section(text: &str) -> Result<SolSection, String> {
        let file = daemon::ConfigFile::from_text("x.toml", format!("[sol]\n{text}\n"));
        let config = file.and_then(|file| file.config::<Config>());
        config.map(|config| config.sol).map_err(|failure| failure.to_string())
    }

    #[test]
    fn defaults_are_in_range() {
        assert_eq!(section("").unwrap(), SolSection::default());
    }

    #[test]
    fn values_out_of_range_are_refused_with_their_line() {
        for (text, line, culprit) in [
            ("ring = 1023", 2, "1024 to 16777216"),
            ("ring = 1000000000000", 2, "1024 to 16777216"),
            ("scrollback = 65537", 2, "sol.scrollback"),
            ("\nring = 8191", 3, "sol.ring"),
            ("viewers = 4", 2, "0 to 3"),
            ("max-payload = 15", 2, "16 to 259"),
            ("max-payload = 260", 2, "16 to 259"),
        ] {
            let error = section(text).unwrap_err();
            assert!(error.starts_with(&format!("x.toml:{line}: ")), "{text}: {error}");
            assert!(error.contains(culprit), "{text}: {error}");
        }
    }
}
