//! The object mapper's look-ups, over our own objects and those of other services on the bus.

mod calls;
mod foreign;
mod tracker;
mod walk;

use openbmc_dbus::mapper::{Owners, SubTree};

pub(crate) use self::calls::call;
pub(crate) use self::foreign::{Foreign, Update};
pub(crate) use self::tracker::track;
use crate::tree::{Object, Tree};

/// Interfaces that every object has; OpenBMC's mapper lists them too.
pub(crate) const COMMON_INTERFACES: [&str; 3] = [
    "org.freedesktop.DBus.Introspectable",
    "org.freedesktop.DBus.Peer",
    "org.freedesktop.DBus.Properties",
];

/// Look-ups over the objects of this process and of other services.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObjectQuery<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) foreign: &'a Foreign,
}

impl ObjectQuery<'_> {
    /// The services which have `path` with any of `interfaces`; no interfaces given: with any at all.
    pub(crate) fn owners(&self, path: &str, interfaces: &[String]) -> Owners {
        let mut owners = Owners::new();
        if let Some(object) = self.tree.object(path)
            && wanted(object.interfaces.keys(), interfaces)
        {
            owners.insert(object.service.to_owned(), listed(object));
        }
        for (service, has) in self.foreign.owners(path) {
            if wanted(has.iter().map(String::as_str), interfaces) {
                owners.insert(service.to_owned(), has.to_vec());
            }
        }
        owners
    }

    /// The objects below `root`, itself excluded, that have any of `interfaces`.
    pub(crate) fn sub_tree(&self, root: &str, depth: i32, interfaces: &[String]) -> SubTree {
        let root = root.trim_end_matches('/');
        let mut sub_tree = SubTree::new();
        for path in self.paths_below(root) {
            if within(root, path, depth) {
                let owners = self.owners(path, interfaces);
                if !owners.is_empty() {
                    sub_tree.insert(path.to_owned(), owners);
                }
            }
        }
        sub_tree
    }

    /// The objects above `path` that have any of `interfaces`.
    pub(crate) fn ancestors(&self, path: &str, interfaces: &[String]) -> SubTree {
        let mut ancestors = SubTree::new();
        let mut rest = path.trim_end_matches('/');
        while let Some((above, _)) = rest.rsplit_once('/') {
            let at = if above.is_empty() { "/" } else { above };
            let owners = self.owners(at, interfaces);
            if !owners.is_empty() {
                ancestors.insert(at.to_owned(), owners);
            }
            rest = above;
        }
        ancestors
    }

    /// Whether there is an object at `path` or below it.
    pub(crate) fn knows(&self, path: &str) -> bool {
        let root = path.trim_end_matches('/');
        root.is_empty() || self.paths_below(root).next().is_some()
    }

    fn paths_below<'s>(&'s self, root: &'s str) -> impl Iterator<Item = &'s str> {
        let own_root = if root.is_empty() { "/" } else { root };
        let own = self.tree.below(own_root).map(|(path, _)| path);
        own.chain(self.foreign.paths_below(root))
    }
}

/// Whether `path` is below `root` and no more than `depth` names from it; 0 or less is any depth.
fn within(root: &str, path: &str, depth: i32) -> bool {
    let rest = path.get(root.len()..).unwrap_or_default();
    let names = rest.matches('/').count();
    let most = usize::try_from(depth).ok().filter(|depth| *depth > 0).unwrap_or(usize::MAX);
    path != "/" && (1..=most).contains(&names)
}

fn wanted<'a>(mut has: impl Iterator<Item = &'a str>, wanted: &[String]) -> bool {
    wanted.is_empty() || has.any(|has| wanted.iter().any(|wanted| wanted == has))
}

fn listed(object: &Object) -> Vec<String> {
    let interfaces = object.interfaces.keys();
    COMMON_INTERFACES.into_iter().chain(interfaces).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use openbmc_dbus::led::group;
    use openbmc_dbus::state::host;

    use super::*;
    use crate::tree::Instance;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.add(host::SERVICE, "/xyz/state/host0", [Instance::new(&host::INTERFACE)]);
        tree.add(group::SERVICE, "/xyz/led/a", [Instance::new(&group::INTERFACE)]);
        tree.add(group::SERVICE, "/xyz/led/a/b", [Instance::new(&group::INTERFACE)]);
        tree
    }

    fn foreign() -> Foreign {
        let mut foreign = Foreign::default();
        let objects = [("/xyz/state/host0".to_owned(), vec!["xyz.Session".to_owned()])];
        let service = "xyz.Other".to_owned();
        foreign.apply(Update::Service { service, objects: objects.into() });
        foreign
    }

    #[test]
    fn an_object_may_have_several_owners() {
        let (tree, foreign) = (tree(), foreign());
        let query = ObjectQuery { tree: &tree, foreign: &foreign };
        let owners = query.owners("/xyz/state/host0", &[]);
        assert_eq!(owners.keys().collect::<Vec<_>>(), ["xyz.Other", host::SERVICE]);
        let owners = query.owners("/xyz/state/host0", &["xyz.Session".to_owned()]);
        assert_eq!(owners.keys().collect::<Vec<_>>(), ["xyz.Other"]);
        assert!(query.owners("/xyz/state", &[]).is_empty());
    }

    #[test]
    fn a_sub_tree_is_bounded_by_depth_and_interface() {
        let (tree, foreign) = (tree(), foreign());
        let query = ObjectQuery { tree: &tree, foreign: &foreign };
        let paths = |root, depth, interfaces: &[&str]| {
            let interfaces: Vec<String> = interfaces.iter().map(|name| name.to_string()).collect();
            query.sub_tree(root, depth, &interfaces).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(paths("/", 0, &[]), ["/xyz/led/a", "/xyz/led/a/b", "/xyz/state/host0"]);
        assert_eq!(paths("/xyz/led", 1, &[]), ["/xyz/led/a"]);
        assert_eq!(paths("/xyz/led/", 0, &[]), ["/xyz/led/a", "/xyz/led/a/b"]);
        assert_eq!(paths("/xyz/led/a", 0, &[]), ["/xyz/led/a/b"]);
        assert_eq!(paths("/", 0, &["xyz.Session"]), ["/xyz/state/host0"]);
        assert_eq!(paths("/nowhere", 0, &[]), [] as [&str; 0]);
        assert!(query.knows("/xyz/led") && !query.knows("/xyz/le") && query.knows("/"));
    }

    #[test]
    fn ancestors_are_objects_above() {
        let (tree, foreign) = (tree(), foreign());
        let query = ObjectQuery { tree: &tree, foreign: &foreign };
        let above: Vec<_> = query.ancestors("/xyz/led/a/b", &[]).into_keys().collect();
        assert_eq!(above, ["/xyz/led/a"]);
    }
}
