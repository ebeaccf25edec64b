//! Why bytes, packets and unfinished messages are thrown away.

use core::fmt;

/// Why something that came in was thrown away. DSP0236 has all of these dropped silently; the
/// counts are what an operator sees.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DropReason {
    /// Bytes that are no frame of the medium: bad revision, count, command code or missing flag.
    Framing,
    /// The frame's check sequence (FCS or PEC) is wrong.
    Checksum,
    /// Shorter than a packet header and one byte.
    Truncated,
    /// A header version other than 1.
    Version,
    /// For an endpoint that is neither this one nor behind it.
    ForeignDestination,
    /// From the broadcast id, which cannot send.
    BroadcastSource,
    /// In the middle or at the end of a message that never began.
    NoStart,
    /// Not the next packet of its message; the message is given up.
    Sequence,
    /// A middle packet of another size than the first, or a longer last one; the message is given up.
    FragmentSize,
    /// A message given up because another began under its key.
    Superseded,
    /// Longer than the largest message; it is given up.
    TooLong,
    /// A message given up to make room for others.
    NoRoom,
    /// A message not finished in time.
    TimedOut,
}

impl DropReason {
    /// Every reason, in order of [`index`](Self::index).
    pub const ALL: [Self; 13] = [
        Self::Framing,
        Self::Checksum,
        Self::Truncated,
        Self::Version,
        Self::ForeignDestination,
        Self::BroadcastSource,
        Self::NoStart,
        Self::Sequence,
        Self::FragmentSize,
        Self::Superseded,
        Self::TooLong,
        Self::NoRoom,
        Self::TimedOut,
    ];

    /// A small number, for tables of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// A short name, for counters and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Framing => "framing",
            Self::Checksum => "checksum",
            Self::Truncated => "truncated",
            Self::Version => "version",
            Self::ForeignDestination => "foreign-destination",
            Self::BroadcastSource => "broadcast-source",
            Self::NoStart => "no-start",
            Self::Sequence => "sequence",
            Self::FragmentSize => "fragment-size",
            Self::Superseded => "superseded",
            Self::TooLong => "too-long",
            Self::NoRoom => "no-room",
            Self::TimedOut => "timed-out",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A count of each reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl DropCounts {
    /// Counts one more.
    pub fn add(&mut self, reason: DropReason) {
        if let Some(count) = self.0.get_mut(reason.index()) {
            *count += 1;
        }
    }

    /// How many were thrown away for `reason`.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(reason.index()).copied().unwrap_or_default()
    }

    /// How many were thrown away in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_follow_the_table() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason}");
        }
    }
}
