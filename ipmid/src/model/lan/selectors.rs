//! The IPv6 addresses of a LAN channel by set selector (IPMI v2.0 Table 23-4, parameters 56 and 59).
//!
//! A selector names an entry, not a position: it has the same address as long as the network has it, whatever other
//! addresses come and go, also after a restart. An address that goes and comes back has its selector again, unless
//! another address needed it meanwhile.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

/// The entries, by their selectors.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Selectors(Vec<Ipv6Entry>);

/// What a selector has.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Ipv6Entry {
    /// Its address; `::` where there is none.
    pub(crate) address: Ipv6Addr,
    /// Its prefix length, of an entry that only ipmid has; otherwise the network service has it.
    pub(crate) prefix: u8,
    /// Of an entry that only ipmid has, because it is disabled or incomplete: whether it is enabled.
    pub(crate) stored: Option<bool>,
}

impl Default for Ipv6Entry {
    fn default() -> Self {
        Self { address: Ipv6Addr::UNSPECIFIED, prefix: 0, stored: None }
    }
}

impl Ipv6Entry {
    /// An address of the network service.
    pub(crate) fn of_network(address: Ipv6Addr) -> Self {
        Self { address, ..Self::default() }
    }

    fn is_free(&self) -> bool {
        *self == Self::default()
    }
}

impl Selectors {
    /// The entry of a selector.
    pub(crate) fn entry(&self, selector: u8) -> Ipv6Entry {
        self.0.get(usize::from(selector)).copied().unwrap_or_default()
    }

    /// Sets the entry of a selector.
    pub(crate) fn set(&mut self, selector: u8, entry: Ipv6Entry) {
        let at = usize::from(selector);
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Ipv6Entry::default);
        }
        if let Some(there) = self.0.get_mut(at) {
            *there = entry;
        }
    }

    /// Takes `address` from the selector that has it, if one has.
    pub(crate) fn remove(&mut self, address: Ipv6Addr) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.address == address) {
            *entry = Ipv6Entry::default();
        }
    }

    /// The selector that has `address`, if one has.
    pub(crate) fn find(&self, address: Ipv6Addr) -> Option<u8> {
        let at = self.0.iter().position(|entry| entry.address == address)?;
        u8::try_from(at).ok()
    }

    /// Gives each address of the network that has no selector one of the first `room`: a free one, or else one whose
    /// address the network has no longer. An address for which there is none is left out.
    pub(crate) fn assign(&mut self, present: &[Ipv6Addr], room: u8) {
        self.0.resize_with(usize::from(room), Ipv6Entry::default);
        for address in present {
            if let Some(known) = self.0.iter_mut().find(|entry| entry.address == *address) {
                *known = Ipv6Entry::of_network(*address);
                continue;
            }
            let is_gone =
                |entry: &Ipv6Entry| entry.stored.is_none() && !present.contains(&entry.address);
            let free = self.0.iter().position(Ipv6Entry::is_free);
            let usable = free.or_else(|| self.0.iter().position(is_gone));
            if let Some(entry) = usable.and_then(|at| self.0.get_mut(at)) {
                *entry = Ipv6Entry::of_network(*address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last))
    }

    #[test]
    fn a_selector_keeps_its_address_while_others_come_and_go() {
        let mut selectors = Selectors::default();
        selectors.assign(&[address(0x10), address(3)], 4);
        assert_eq!(selectors.find(address(3)), Some(1));
        selectors.assign(&[address(3)], 4);
        selectors.assign(&[address(1), address(3)], 4);
        assert_eq!(selectors.find(address(3)), Some(1));
        assert_eq!(selectors.find(address(1)), Some(2));
        // It comes back, and has its selector again.
        selectors.assign(&[address(0x10), address(1)], 4);
        assert_eq!(selectors.find(address(0x10)), Some(0));
    }

    #[test]
    fn an_entry_that_only_ipmid_has_keeps_its_selector() {
        let mut selectors = Selectors::default();
        let stored = Ipv6Entry { address: address(9), prefix: 64, stored: Some(false) };
        selectors.set(0, stored);
        selectors.assign(&[address(1), address(2), address(3)], 3);
        assert_eq!(selectors.entry(0), stored);
        assert_eq!(selectors.find(address(3)), None);
        // It is enabled by another client of the network service.
        selectors.assign(&[address(9)], 3);
        assert_eq!(selectors.entry(0), Ipv6Entry::of_network(address(9)));
    }

    proptest! {
        #[test]
        fn no_address_changes_its_selector_or_has_two(
            steps in prop::collection::vec(prop::collection::btree_set(1_u8..=8, 0..=5), 1..12),
        ) {
            let mut selectors = Selectors::default();
            let mut before: Vec<(Ipv6Addr, Option<u8>)> = Vec::new();
            for step in steps {
                let present: Vec<_> = step.into_iter().map(address).collect();
                selectors.assign(&present, 5);
                let now: Vec<_> = present.iter().map(|known| (*known, selectors.find(*known))).collect();
                prop_assert!(now.iter().all(|(_, selector)| selector.is_some()));
                for (known, selector) in &before {
                    if present.contains(known) {
                        prop_assert_eq!(selectors.find(*known), *selector);
                    }
                }
                for (known, _) in &now {
                    let entries = selectors.0.iter().filter(|entry| entry.address == *known);
                    prop_assert_eq!(entries.count(), 1);
                }
                before = now;
            }
        }
    }
}
