//! What is known of objects that other services have on the bus.

use std::collections::BTreeMap;

/// How many objects of one service are remembered; a service with more is cut off there.
pub(crate) const MOST_OBJECTS: usize = 10_000;
/// How many services are remembered.
pub(crate) const MOST_SERVICES: usize = 128;

/// Paths, each with the interfaces that a service has there.
pub(crate) type Objects = BTreeMap<String, Vec<String>>;

/// News of another service.
#[derive(Debug)]
pub(crate) enum Update {
    /// All that a service has.
    Service { service: String, objects: Objects },
    /// The bus is not followed any more: nothing is known until it is again.
    Lost,
    /// A service left the bus.
    Gone { service: String },
    /// A service has new interfaces on an object.
    Added { service: String, path: String, interfaces: Vec<String> },
    /// A service has some interfaces on an object no more.
    Removed { service: String, path: String, interfaces: Vec<String> },
}

/// The objects of other services.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    services: BTreeMap<String, Objects>,
}

impl Foreign {
    /// Takes in news.
    pub(crate) fn apply(&mut self, update: Update) {
        match update {
            Update::Service { service, objects } => {
                let known = self.services.contains_key(&service);
                if known || self.services.len() < MOST_SERVICES {
                    self.services.insert(service, objects);
                }
            }
            Update::Lost => self.clear(),
            Update::Gone { service } => {
                self.services.remove(&service);
            }
            Update::Added { service, path, interfaces } => self.add(&service, path, interfaces),
            Update::Removed { service, path, interfaces } => {
                self.remove(&service, &path, &interfaces);
            }
        }
    }

    /// Forgets everything, as the bus is another one now.
    pub(crate) fn clear(&mut self) {
        self.services.clear();
    }

    /// The services that have `path`, with their interfaces there.
    pub(crate) fn owners<'a>(
        &'a self,
        path: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a [String])> {
        self.services.iter().filter_map(move |(service, objects)| {
            Some((service.as_str(), objects.get(path)?.as_slice()))
        })
    }

    /// The paths at and below `root`, which is empty for all.
    pub(crate) fn paths_below<'a>(&'a self, root: &'a str) -> impl Iterator<Item = &'a str> {
        self.services.values().flat_map(move |objects| {
            objects
                .range(root.to_owned()..)
                .map(|(path, _)| path.as_str())
                .take_while(move |path| path.starts_with(root))
                .filter(move |path| {
                    let rest = path.get(root.len()..).unwrap_or_default();
                    rest.is_empty() || rest.starts_with('/')
                })
        })
    }

    fn add(&mut self, service: &str, path: String, interfaces: Vec<String>) {
        let Some(objects) = self.services.get_mut(service) else {
            return;
        };
        if objects.len() >= MOST_OBJECTS && !objects.contains_key(&path) {
            return;
        }
        let has = objects.entry(path).or_default();
        for interface in interfaces {
            if !has.contains(&interface) {
                has.push(interface);
            }
        }
    }

    fn remove(&mut self, service: &str, path: &str, interfaces: &[String]) {
        let Some(objects) = self.services.get_mut(service) else {
            return;
        };
        if let Some(has) = objects.get_mut(path) {
            has.retain(|interface| !interfaces.contains(interface));
            if has.iter().all(|interface| super::COMMON_INTERFACES.contains(&interface.as_str())) {
                objects.remove(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn objects_come_and_go_with_their_interfaces() {
        let mut foreign = Foreign::default();
        let service = || "s".to_owned();
        foreign.apply(Update::Service { service: service(), objects: Objects::new() });
        let path = || "/a/b".to_owned();
        let added = names(&["x", "org.freedesktop.DBus.Peer"]);
        foreign.apply(Update::Added { service: service(), path: path(), interfaces: added });
        assert_eq!(foreign.paths_below("/a").collect::<Vec<_>>(), ["/a/b"]);
        let removed = names(&["x"]);
        foreign.apply(Update::Removed { service: service(), path: path(), interfaces: removed });
        assert_eq!(foreign.paths_below("").count(), 0);
    }

    #[test]
    fn a_service_that_left_has_nothing() {
        let mut foreign = Foreign::default();
        let objects = Objects::from([("/a".to_owned(), names(&["x"]))]);
        foreign.apply(Update::Service { service: "s".to_owned(), objects });
        assert_eq!(foreign.owners("/a").count(), 1);
        foreign.apply(Update::Gone { service: "s".to_owned() });
        assert_eq!(foreign.owners("/a").count(), 0);
        // News of a service that was never walked is no news.
        foreign.apply(Update::Added {
            service: "s".to_owned(),
            path: "/a".to_owned(),
            interfaces: names(&["x"]),
        });
        assert_eq!(foreign.owners("/a").count(), 0);
    }
}
