//! Finding the service and object that have an interface, through the object mapper.

use std::collections::HashMap;

use openbmc_dbus::client::{CallError, Client, ObjectAt};
use openbmc_dbus::mapper;

/// What is looked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Place {
    /// The object of this path, whoever has it, with this interface.
    At(&'static str, &'static str),
    /// The one object with this interface, wherever it is.
    Having(&'static str),
}

impl Place {
    /// The interface it has.
    pub(super) const fn interface(self) -> &'static str {
        match self {
            Self::At(_, interface) | Self::Having(interface) => interface,
        }
    }
}

/// Objects found before.
#[derive(Debug, Default)]
pub(super) struct Located(HashMap<Place, ObjectAt>);

impl Located {
    pub(super) fn get(&self, place: Place) -> Option<ObjectAt> {
        self.0.get(&place).cloned()
    }

    pub(super) fn remember(&mut self, place: Place, object: ObjectAt) {
        self.0.insert(place, object);
    }

    pub(super) fn forget(&mut self, place: Place) {
        self.0.remove(&place);
    }
}

/// Asks the mapper.
///
/// # Errors
///
/// [`CallError::NotFound`] when nobody has it.
pub(super) async fn find(client: &Client, place: Place) -> Result<ObjectAt, CallError> {
    let found = match place {
        Place::At(path, interface) => client
            .object_owners(path, &[interface])
            .await?
            .into_keys()
            .next()
            .map(|service| ObjectAt::new(service, path)),
        Place::Having(interface) => subtree(client, "/", interface).await?.into_iter().next(),
    };
    found.ok_or_else(|| CallError::NotFound { what: place.interface().to_owned() })
}

/// All objects below `root` with `interface`, in the order of their paths.
pub(super) async fn subtree(
    client: &Client,
    root: &str,
    interface: &str,
) -> Result<Vec<ObjectAt>, CallError> {
    let tree: mapper::SubTree = match client.sub_tree(root, 0, &[interface]).await {
        Err(CallError::NotFound { .. }) => mapper::SubTree::new(),
        other => other?,
    };
    let objects = tree.into_iter().filter_map(|(path, owners)| {
        let service = owners.into_keys().next()?;
        Some(ObjectAt::new(service, path))
    });
    Ok(objects.collect())
}
