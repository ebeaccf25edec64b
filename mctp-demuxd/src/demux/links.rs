//! Links, and what passed over each.

use mctp_proto::Medium;

use super::counters::LinkCounters;
use super::outbox::Outbox;

/// What a link carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkKind {
    /// Packets of a medium, with at most so many payload bytes.
    Packets(Medium, usize),
    /// Whole messages: the kernel has its own stack, tags and control protocol.
    Kernel,
}

impl LinkKind {
    pub(crate) const fn medium(self) -> Medium {
        match self {
            Self::Packets(medium, _) => medium,
            Self::Kernel => Medium::Unspecified,
        }
    }
}

/// One link and what passed over it.
#[derive(Debug)]
pub struct LinkState {
    /// The binding as it was configured.
    pub name: String,
    /// What it carries.
    pub kind: LinkKind,
    /// Whether its device is open.
    pub up: bool,
    /// What passed over it.
    pub counters: LinkCounters,
    pub(super) outbox: Outbox,
}
