//! The mapper's association objects, made from the `Association.Definitions` of other objects.
//!
//! A definition (forward, reverse, other) of an object `A` makes `A/forward` with the end point
//! `other`, and `other/reverse` with the end point `A`, if both `A` and `other` are there.

use std::collections::{BTreeMap, BTreeSet};

use openbmc_dbus::mapper::{self, association, definitions};

use crate::tree::{Instance, Tree};

/// Adds the mapper's own object.
pub(crate) fn serve_mapper(tree: &mut Tree) {
    tree.add(mapper::SERVICE, mapper::PATH, [Instance::new(&mapper::INTERFACE)]);
}

/// Brings the association objects in line with the definitions.
pub(crate) fn update(tree: &mut Tree) {
    let wanted = wanted(tree);
    let gone: Vec<String> = tree
        .objects()
        .filter(|(path, object)| {
            object.interfaces.contains_key(association::NAME) && !wanted.contains_key(*path)
        })
        .map(|(path, _)| path.to_owned())
        .collect();
    for path in gone {
        tree.remove(&path);
    }
    for (path, ends) in wanted {
        let ends: Vec<String> = ends.into_iter().collect();
        if tree.get(&path, association::ENDPOINTS).is_some() {
            tree.set(&path, association::ENDPOINTS, ends);
        } else {
            let association =
                Instance::new(&association::INTERFACE).with(association::ENDPOINTS, ends);
            tree.add(mapper::SERVICE, &path, [association]);
        }
    }
}

fn wanted(tree: &Tree) -> BTreeMap<String, BTreeSet<String>> {
    let mut wanted = BTreeMap::<String, BTreeSet<String>>::new();
    for (path, _) in tree.objects() {
        let Some(triples) = tree.get(path, definitions::ASSOCIATIONS) else {
            continue;
        };
        for (forward, reverse, other) in triples {
            if tree.object(&other).is_none() {
                continue;
            }
            if !forward.is_empty() {
                wanted.entry(format!("{path}/{forward}")).or_default().insert(other.clone());
            }
            if !reverse.is_empty() {
                wanted.entry(format!("{other}/{reverse}")).or_default().insert(path.to_owned());
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use openbmc_dbus::led::group;

    use super::*;

    #[test]
    fn both_ends_are_there_or_no_association_is() {
        let mut tree = Tree::default();
        let triple = ("chassis".to_owned(), "all_leds".to_owned(), "/c".to_owned());
        let definition =
            Instance::new(&definitions::INTERFACE).with(definitions::ASSOCIATIONS, vec![triple]);
        tree.add("x", "/led", [definition]);
        update(&mut tree);
        assert!(tree.object("/led/chassis").is_none());
        tree.add("x", "/c", [Instance::new(&group::INTERFACE)]);
        update(&mut tree);
        let ends = |tree: &Tree, path| tree.get(path, association::ENDPOINTS);
        assert_eq!(ends(&tree, "/led/chassis"), Some(vec!["/c".to_owned()]));
        assert_eq!(ends(&tree, "/c/all_leds"), Some(vec!["/led".to_owned()]));
        tree.remove("/c");
        update(&mut tree);
        assert!(tree.object("/led/chassis").is_none());
        assert!(tree.object("/c/all_leds").is_none());
    }
}
