//! The objects that are served: paths, interfaces, values. No bus in here.
//!
//! Every change is recorded, so that the driver can send the signals that clients follow.

use std::collections::BTreeMap;

use openbmc_dbus::interface::{Access, Interface, Property, PropertyValue, Signal};
use openbmc_dbus::mapper::definitions;
use zbus::wire::{Structure, Variant};

use crate::config::Services;
use crate::fault::Fault;

/// The values of one interface, by name: a list, as interfaces have a few properties, and a platform has thousands of
/// them, of which a map would allocate more than it uses.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Values(Vec<(&'static str, Variant<'static>)>);

impl Values {
    /// The value of a property.
    pub(crate) fn get(&self, name: &str) -> Option<&Variant<'static>> {
        self.iter().find_map(|(of, value)| (of == name).then_some(value))
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Variant<'static>> {
        self.0.iter_mut().find_map(|(of, value)| (*of == name).then_some(value))
    }

    /// Gives a property its value.
    pub(crate) fn insert(&mut self, name: &'static str, value: Variant<'static>) {
        match self.get_mut(name) {
            Some(known) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Variant<'static>)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// As they are sent.
    pub(crate) fn into_sent(self) -> BTreeMap<&'static str, Variant<'static>> {
        self.0.into_iter().collect()
    }
}

/// All objects, by path.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    objects: BTreeMap<String, Object>,
    changes: Vec<Change>,
    unsaved: bool,
    /// Values in the state file, also of objects that do not exist yet.
    saved: SavedValues,
    /// Which services other processes provide.
    services: Services,
}

/// Values that outlive the process: path, then `interface.property`.
pub(crate) type SavedValues = BTreeMap<String, BTreeMap<String, Variant<'static>>>;

/// One object: the name of its service, and its interfaces.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) service: &'static str,
    pub(crate) interfaces: Interfaces,
}

/// The interfaces of an object, in the order of their names; a list for the same reason as [`Values`].
#[derive(Debug, Default)]
pub(crate) struct Interfaces(Vec<Instance>);

impl Interfaces {
    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|instance| instance.interface.name.cmp(name))
    }

    /// The interface of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Instance> {
        self.0.get(self.position(name).ok()?)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Instance> {
        let at = self.position(name).ok()?;
        self.0.get_mut(at)
    }

    /// Whether there is one of this name.
    pub(crate) fn contains_key(&self, name: &str) -> bool {
        self.position(name).is_ok()
    }

    fn insert(&mut self, instance: Instance) {
        match self.position(instance.interface.name) {
            Ok(at) => {
                if let Some(known) = self.0.get_mut(at) {
                    *known = instance;
                }
            }
            Err(at) => self.0.insert(at, instance),
        }
    }

    /// All of them.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Instance> {
        self.0.iter()
    }

    /// Their names.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|instance| instance.interface.name)
    }
}

/// One interface of one object.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) interface: &'static Interface,
    pub(crate) values: Values,
    is_persistent: bool,
}

impl Instance {
    /// An interface whose properties have the zero of their type until they are given.
    pub(crate) fn new(interface: &'static Interface) -> Self {
        let mut values = Vec::with_capacity(interface.properties.len());
        values.extend(
            interface.properties.iter().filter_map(|property| {
                Some((property.name, zero(&property.signature.to_string())?))
            }),
        );
        Self { interface, values: Values(values), is_persistent: false }
    }

    /// The same with a value for one property.
    pub(crate) fn with<T: PropertyValue>(mut self, property: Property<T>, value: T) -> Self {
        self.values.insert(property.name, value.into_variant());
        self
    }

    /// The same, with values that outlive the process.
    pub(crate) fn persistent(mut self) -> Self {
        self.is_persistent = true;
        self
    }
}

/// The zero of a type; `None` for types that have none.
fn zero(signature: &str) -> Option<Variant<'static>> {
    Some(match signature {
        "b" => Variant::from(false),
        "y" => Variant::from(0_u8),
        "q" => Variant::from(0_u16),
        "u" => Variant::from(0_u32),
        "t" => Variant::from(0_u64),
        "i" => Variant::from(0_i32),
        "x" => Variant::from(0_i64),
        "d" => Variant::from(0.0_f64),
        "s" => Variant::from(""),
        "as" => Variant::from(Vec::<String>::new()),
        "ay" => Variant::from(Vec::<u8>::new()),
        "a(sss)" => Vec::<(String, String, String)>::new().into_variant(),
        "a{ss}" => Variant::from(BTreeMap::<String, String>::new()),
        "(ayay)" => (Vec::<u8>::new(), Vec::<u8>::new()).into_variant(),
        _ => return None,
    })
}

/// A change that clients are notified of by a signal.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    /// An object was added, with all its interfaces.
    Added { path: String },
    /// An object was removed.
    Removed { service: &'static str, path: String, interfaces: Vec<&'static str> },
    /// Properties have new values.
    Changed { path: String, interface: &'static str, values: Values },
    /// A signal of an object.
    Signal { path: String, signal: Signal, body: Option<Structure<'static>> },
}

impl Tree {
    /// A tree with the values that an earlier process saved; it ignores objects of services that other
    /// processes provide.
    pub(crate) fn new(saved: SavedValues, services: Services) -> Self {
        Self { saved, services, ..Self::default() }
    }

    /// Adds an object, or interfaces to an object that exists.
    pub(crate) fn add(
        &mut self,
        service: &'static str,
        path: &str,
        instances: impl IntoIterator<Item = Instance>,
    ) {
        if self.services.leaves(service) {
            return;
        }
        let is_new = !self.objects.contains_key(path);
        let object = self
            .objects
            .entry(path.to_owned())
            .or_insert_with(|| Object { service, interfaces: Interfaces::default() });
        for mut instance in instances {
            if instance.is_persistent {
                recall(&mut instance, self.saved.get(path));
            }
            object.interfaces.insert(instance);
        }
        let added = Change::Added { path: path.to_owned() };
        // Only an object that existed before can be among the changes already; a search for each of a platform's
        // objects would take a time that grows with their number squared.
        if is_new || !self.changes.contains(&added) {
            self.changes.push(added);
        }
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, path: &str) {
        if let Some(object) = self.objects.remove(path) {
            let interfaces = object.interfaces.keys().collect();
            let path = path.to_owned();
            self.unsaved |= self.saved.remove(&path).is_some();
            self.changes.push(Change::Removed { service: object.service, path, interfaces });
        }
    }

    /// One object.
    pub(crate) fn object(&self, path: &str) -> Option<&Object> {
        self.objects.get(path)
    }

    /// All objects, in the order of their paths.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&str, &Object)> {
        self.objects.iter().map(|(path, object)| (path.as_str(), object))
    }

    /// All objects at and below `root`.
    pub(crate) fn below(&self, root: &str) -> impl Iterator<Item = (&str, &Object)> {
        let prefix = if root == "/" { String::new() } else { root.to_owned() };
        let start = prefix.clone();
        self.objects
            .range(start..)
            .take_while({
                let prefix = prefix.clone();
                move |(path, _)| path.starts_with(&prefix)
            })
            .filter(move |(path, _)| {
                let rest = path.get(prefix.len()..).unwrap_or_default();
                rest.is_empty() || rest.starts_with('/')
            })
            .map(|(path, object)| (path.as_str(), object))
    }

    /// The value of a property; `None` when there is none or it is not a `T`.
    pub(crate) fn get<T: PropertyValue>(&self, path: &str, property: Property<T>) -> Option<T> {
        let instance = self.objects.get(path)?.interfaces.get(property.interface)?;
        T::from_variant(instance.values.get(property.name)?.clone()).ok()
    }

    /// Gives a property a new value, if it differs, and notifies clients.
    pub(crate) fn set<T: PropertyValue>(&mut self, path: &str, property: Property<T>, value: T) {
        self.store(path, property.interface, property.name, value.into_variant());
    }

    /// Gives a property a value without a signal, such as a clock's, which clients have to read.
    pub(crate) fn set_without_signal<T: PropertyValue>(
        &mut self,
        path: &str,
        property: Property<T>,
        value: T,
    ) {
        if let Some(slot) = self.slot(path, property.interface, property.name) {
            *slot = value.into_variant();
        }
    }

    /// Checks what a client wants to set.
    pub(crate) fn check(
        &self,
        path: &str,
        interface: &str,
        property: &str,
        value: &Variant<'static>,
    ) -> Result<&'static str, Fault> {
        let object = self.objects.get(path).ok_or_else(|| Fault::unknown_object(path))?;
        let instance = object
            .interfaces
            .get(interface)
            .ok_or_else(|| Fault::unknown_interface(path, interface))?;
        let info = instance
            .interface
            .property(property)
            .ok_or_else(|| Fault::unknown_property(interface, property))?;
        if info.access == Access::Read {
            return Err(Fault::read_only(interface, property));
        }
        (info.check)(value.clone())?;
        Ok(info.name)
    }

    /// Stores a value of the right type, if it differs, and notifies clients.
    pub(crate) fn store(
        &mut self,
        path: &str,
        interface: &str,
        name: &'static str,
        value: Variant<'static>,
    ) {
        let Some(instance) =
            self.objects.get_mut(path).and_then(|object| object.interfaces.get_mut(interface))
        else {
            return;
        };
        let same = |old: &Variant<'_>| old.cmp(&value).is_eq();
        if instance.values.get(name).is_some_and(same) {
            return;
        }
        instance.values.insert(name, value.clone());
        let interface = instance.interface.name;
        if instance.is_persistent {
            let key = format!("{interface}.{name}");
            self.saved.entry(path.to_owned()).or_default().insert(key, value.clone());
            self.unsaved = true;
        }
        self.record(path, interface, name, value);
    }

    /// Queues a signal.
    pub(crate) fn signal(&mut self, path: &str, signal: Signal, body: Option<Structure<'static>>) {
        self.changes.push(Change::Signal { path: path.to_owned(), signal, body });
    }

    /// Whether an object or an association was added or removed since the last [`take_changes`](Self::take_changes).
    pub(crate) fn has_new_shape(&self) -> bool {
        self.changes.iter().any(|change| match change {
            Change::Added { .. } | Change::Removed { .. } => true,
            Change::Changed { interface, .. } => *interface == definitions::NAME,
            Change::Signal { .. } => false,
        })
    }

    /// The changes since the last call, to be sent as signals.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The values to be written to disk, if any changed since the last call.
    pub(crate) fn take_unsaved(&mut self) -> Option<&SavedValues> {
        std::mem::take(&mut self.unsaved).then_some(&self.saved)
    }

    /// Saves a value that is not a property's, or changes it.
    pub(crate) fn save_value(&mut self, path: &str, name: &str, value: Variant<'static>) {
        let object = self.saved.entry(path.to_owned()).or_default();
        object.insert(name.to_owned(), value);
        self.unsaved = true;
    }

    /// A value saved with [`save_value`](Self::save_value).
    pub(crate) fn recall(&self, path: &str, name: &str) -> Option<Variant<'static>> {
        self.saved.get(path)?.get(name).cloned()
    }

    /// All saved values, also of objects that do not exist yet.
    pub(crate) fn saved(&self) -> &SavedValues {
        &self.saved
    }

    fn slot(&mut self, path: &str, interface: &str, name: &str) -> Option<&mut Variant<'static>> {
        self.objects.get_mut(path)?.interfaces.get_mut(interface)?.values.get_mut(name)
    }

    /// Merges changes of one interface into one message, unless a property changed twice: clients get both
    /// values.
    fn record(&mut self, at: &str, of: &'static str, name: &'static str, value: Variant<'static>) {
        if let Some(Change::Changed { path, interface, values }) = self.changes.last_mut()
            && path == at
            && *interface == of
            && values.get(name).is_none()
        {
            values.insert(name, value);
            return;
        }
        let values = Values(vec![(name, value)]);
        self.changes.push(Change::Changed { path: at.to_owned(), interface: of, values });
    }
}

/// Restores the saved values that are still valid for their property.
fn recall(instance: &mut Instance, saved: Option<&BTreeMap<String, Variant<'static>>>) {
    let Some(saved) = saved else { return };
    for info in instance.interface.properties {
        if let Some(value) = saved.get(&format!("{}.{}", instance.interface.name, info.name))
            && (info.check)(value.clone()).is_ok()
        {
            instance.values.insert(info.name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
