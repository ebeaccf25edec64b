//! Finding the service and object that have an interface, through the object mapper.

use std::collections::HashMap;

use openbmc_dbus::client::{CallError, Client, Member, ObjectAt};
use openbmc_dbus::mapper;

/// The root of all objects.
const ROOT: &str = "/";

/// An object that the mapper is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Target {
    /// The object at this path with this interface, of any service.
    At(&'static str, &'static str),
    /// The one object with this interface, at any path.
    Having(&'static str),
}

impl Target {
    /// The interface of the object.
    pub(super) const fn interface(self) -> &'static str {
        match self {
            Self::At(_, interface) | Self::Having(interface) => interface,
        }
    }
}

/// Objects that the mapper found, by target.
#[derive(Debug, Default)]
pub(super) struct Located(HashMap<Target, ObjectAt>);

impl Located {
    pub(super) fn get(&self, target: Target) -> Option<ObjectAt> {
        self.0.get(&target).cloned()
    }

    pub(super) fn remember(&mut self, target: Target, object: ObjectAt) {
        self.0.insert(target, object);
    }

    pub(super) fn forget(&mut self, target: Target) {
        self.0.remove(&target);
    }
}

/// Asks the mapper for the object of `target`.
///
/// # Errors
///
/// [`CallError::NotFound`] when no service has it.
pub(super) async fn find(client: &Client, target: Target) -> Result<ObjectAt, CallError> {
    let found = match target {
        Target::At(path, interface) => client
            .object_owners(path, &[interface])
            .await?
            .into_keys()
            .next()
            .map(|service| ObjectAt::new(service, path)),
        Target::Having(interface) => subtree(client, ROOT, interface).await?.into_iter().next(),
    };
    let path = match target {
        Target::At(path, _) => path,
        Target::Having(_) => ROOT,
    };
    found.ok_or_else(|| CallError::no_object(path, Member::GetAll(target.interface())))
}

/// All objects below `root` with `interface`, in the order of their paths.
pub(super) async fn subtree(
    client: &Client,
    root: &str,
    interface: &str,
) -> Result<Vec<ObjectAt>, CallError> {
    let tree: mapper::SubTree = match client.sub_tree(root, 0, &[interface]).await {
        Err(CallError::NotFound(_)) => mapper::SubTree::new(),
        other => other?,
    };
    let objects = tree.into_iter().filter_map(|(path, owners)| {
        let service = owners.into_keys().next()?;
        Some(ObjectAt::new(service, path))
    });
    Ok(objects.collect())
}
