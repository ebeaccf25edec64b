//! Which bridge names a caller owns, and which it has owned since it connected.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use openbmc_dbus::execute::OwnerChange;

/// Callers that own or have owned a name and are still connected; as many as a system bus has connections. Where
/// there are more, nobody's past is certain.
const MAX_OWNERS: usize = 2048;

/// Names remembered of a caller. Two channels' names refuse it for good, so that more are of no interest.
const MAX_NAMES: usize = 4;

/// The bridge names of one caller.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Names {
    /// Those that it owns.
    pub(super) owned: BTreeSet<String>,
    /// Those that it has owned since it connected, as far as this daemon has seen.
    pub(super) ever_owned: BTreeSet<String>,
}

impl Names {
    fn gain(&mut self, name: &str) {
        for names in [&mut self.owned, &mut self.ever_owned] {
            if names.len() < MAX_NAMES {
                names.insert(name.to_owned());
            }
        }
    }

    fn lose(&mut self, name: &str) {
        self.gain(name); // it has owned it, seen or not
        self.owned.remove(name);
    }
}

/// Who owns the bridges' names on one bus.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// By unique name.
    callers: HashMap<String, Names>,
    /// Names whose owner has changed before the list of owners is there, which may be older.
    changed: BTreeSet<String>,
    is_listed: bool,
    /// Whether some caller's names could not be remembered.
    is_incomplete: bool,
}

impl Owners {
    /// The names of `caller`; `None` while they are not known.
    pub(super) fn names_of(&self, caller: &str) -> Option<Cow<'_, Names>> {
        // Also of an owner that is known already: what the list adds may refuse it.
        if !self.is_listed {
            return None;
        }
        match self.callers.get(caller) {
            Some(names) => Some(Cow::Borrowed(names)),
            None => (!self.is_incomplete).then(Cow::default),
        }
    }

    /// Whether the owners that there were at first are known.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Whether `caller` owns a name.
    pub(super) fn is_owner(&self, caller: &str) -> bool {
        self.callers.get(caller).is_some_and(|names| !names.owned.is_empty())
    }

    /// Whether anything is remembered of `caller`.
    #[cfg(test)]
    pub(super) fn is_known(&self, caller: &str) -> bool {
        self.callers.contains_key(caller)
    }

    /// A name has another owner.
    pub(super) fn change(&mut self, change: &OwnerChange) {
        let OwnerChange { name, old, new } = change;
        if !self.is_listed {
            self.changed.insert(name.clone());
        }
        if let Some(names) = old.as_ref().and_then(|old| self.entry(old)) {
            names.lose(name);
        }
        if let Some(names) = new.as_ref().and_then(|new| self.entry(new)) {
            names.gain(name);
        }
    }

    /// Names and their owners, where no change has overtaken them.
    pub(super) fn list(&mut self, owners: Vec<(String, String)>) {
        let changed = std::mem::take(&mut self.changed);
        self.is_listed = true;
        for (name, owner) in owners {
            if !changed.contains(&name)
                && let Some(names) = self.entry(&owner)
            {
                names.gain(&name);
            }
        }
    }

    /// Forgets a caller that has disconnected; its unique name is never given again.
    pub(super) fn forget(&mut self, caller: &str) {
        self.callers.remove(caller);
    }

    fn entry(&mut self, caller: &str) -> Option<&mut Names> {
        if self.callers.len() >= MAX_OWNERS && !self.callers.contains_key(caller) {
            self.is_incomplete = true;
            return None;
        }
        Some(self.callers.entry(caller.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAN: &str = "xyz.openbmc_project.Ipmi.Channel.lan0";

    fn change(name: &str, old: Option<&str>, new: Option<&str>) -> OwnerChange {
        let owner = |owner: Option<&str>| owner.map(str::to_owned);
        OwnerChange { name: name.to_owned(), old: owner(old), new: owner(new) }
    }

    fn listed() -> Owners {
        let mut owners = Owners::default();
        owners.list(Vec::new());
        owners
    }

    fn names(owners: &Owners, caller: &str) -> (usize, usize) {
        let names = owners.names_of(caller).unwrap();
        (names.owned.len(), names.ever_owned.len())
    }

    #[test]
    fn nobodys_names_are_known_before_the_list() {
        let mut owners = Owners::default();
        assert_eq!(owners.names_of(":1.1"), None);
        owners.list(vec![(LAN.to_owned(), ":1.2".to_owned())]);
        assert_eq!(names(&owners, ":1.1"), (0, 0));
        assert_eq!(names(&owners, ":1.2"), (1, 1));
    }

    #[test]
    fn changes_overtake_the_list() {
        let mut owners = Owners::default();
        owners.change(&change(LAN, Some(":1.1"), Some(":1.2")));
        owners.list(vec![(LAN.to_owned(), ":1.1".to_owned())]);
        assert_eq!(names(&owners, ":1.1"), (0, 1));
        assert_eq!(names(&owners, ":1.2"), (1, 1));
    }

    #[test]
    fn name_that_was_lost_is_remembered_also_if_it_was_never_seen_owned() {
        let mut owners = listed();
        owners.change(&change(LAN, Some(":1.1"), None));
        assert_eq!(names(&owners, ":1.1"), (0, 1));
        owners.forget(":1.1");
        assert_eq!(names(&owners, ":1.1"), (0, 0));
    }

    #[test]
    fn caller_with_many_names_takes_little_room_and_is_known_to_have_several() {
        let mut owners = listed();
        for number in 0..100 {
            let name = format!("{LAN}_{number}");
            owners.change(&change(&name, None, Some(":1.1")));
            owners.change(&change(&name, Some(":1.1"), None));
        }
        assert_eq!(names(&owners, ":1.1"), (0, MAX_NAMES));
    }

    #[test]
    fn nobodys_past_is_certain_once_there_were_too_many_owners() {
        let mut owners = listed();
        for number in 0..MAX_OWNERS {
            owners.change(&change(LAN, Some(&format!(":1.{number}")), None));
        }
        assert_eq!(names(&owners, ":2.1"), (0, 0));
        owners.change(&change(LAN, Some(":2.2"), None));
        assert_eq!(owners.names_of(":2.1"), None);
        assert_eq!(owners.names_of(":2.2"), None);
        assert_eq!(names(&owners, ":1.1"), (0, 1));
    }
}
