//! The objects that are served: paths, interfaces, values. No bus in here.
//!
//! Every change is recorded, so that the driver can send the signals which clients live on.

use std::collections::BTreeMap;

use openbmc_dbus::interface::{Access, Interface, Property, PropertyValue, Signal};
use openbmc_dbus::mapper::definitions;
use zbus::wire::{Structure, Variant};

use crate::config::Services;
use crate::fault::Fault;

/// The values of one interface, by name.
pub(crate) type Values = BTreeMap<&'static str, Variant<'static>>;

/// All objects, by path.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    objects: BTreeMap<String, Object>,
    changes: Vec<Change>,
    unsaved: bool,
    /// What was kept on disk for objects that may come later.
    kept: Kept,
    /// Which services' objects are left to others.
    services: Services,
}

/// Values that outlive the process: path, then `interface.property`.
pub(crate) type Kept = BTreeMap<String, BTreeMap<String, Variant<'static>>>;

/// One object: what its service is called, and what it shows.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) service: &'static str,
    pub(crate) interfaces: BTreeMap<&'static str, Instance>,
}

/// One interface of one object.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) interface: &'static Interface,
    pub(crate) values: Values,
    keeps: bool,
}

impl Instance {
    /// An interface whose properties have the zero of their type until they are given.
    pub(crate) fn new(interface: &'static Interface) -> Self {
        let values = interface
            .properties
            .iter()
            .filter_map(|property| Some((property.name, zero(&property.signature.to_string())?)))
            .collect();
        Self { interface, values, keeps: false }
    }

    /// The same with a value for one property.
    pub(crate) fn with<T: PropertyValue>(mut self, property: Property<T>, value: T) -> Self {
        self.values.insert(property.name, value.into_variant());
        self
    }

    /// The same, with values that outlive the process.
    pub(crate) fn keeping(mut self) -> Self {
        self.keeps = true;
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

/// What clients must be told.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    /// An object came, with all its interfaces.
    Added { path: String },
    /// An object went.
    Removed { service: &'static str, path: String, interfaces: Vec<&'static str> },
    /// Properties have new values.
    Changed { path: String, interface: &'static str, values: Values },
    /// A signal of an object.
    Signal { path: String, signal: Signal, body: Option<Structure<'static>> },
}

impl Tree {
    /// Starts with what an earlier process kept, and never has objects of services left to others.
    pub(crate) fn new(kept: Kept, services: Services) -> Self {
        Self { kept, services, ..Self::default() }
    }

    /// Adds an object, or interfaces to an object that is there.
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
            .or_insert_with(|| Object { service, interfaces: BTreeMap::new() });
        for mut instance in instances {
            if instance.keeps {
                recall(&mut instance, self.kept.get(path));
            }
            object.interfaces.insert(instance.interface.name, instance);
        }
        let news = Change::Added { path: path.to_owned() };
        // Only an object that was there can be among the changes already; a search for each of a platform's
        // objects would take a time that grows with their number squared.
        if is_new || !self.changes.contains(&news) {
            self.changes.push(news);
        }
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, path: &str) {
        if let Some(object) = self.objects.remove(path) {
            let interfaces = object.interfaces.into_keys().collect();
            let path = path.to_owned();
            self.unsaved |= self.kept.remove(&path).is_some();
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

    /// Gives a property a new value, if it differs, and tells clients.
    pub(crate) fn set<T: PropertyValue>(&mut self, path: &str, property: Property<T>, value: T) {
        self.store(path, property.interface, property.name, value.into_variant());
    }

    /// Gives a property a value that clients learn only by asking, such as a clock's.
    pub(crate) fn set_quietly<T: PropertyValue>(
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

    /// Stores a value of the right type, if it differs, and tells clients.
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
        if instance.keeps {
            let key = format!("{interface}.{name}");
            self.kept.entry(path.to_owned()).or_default().insert(key, value.clone());
            self.unsaved = true;
        }
        self.record(path, interface, name, value);
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, path: &str, signal: Signal, body: Option<Structure<'static>>) {
        self.changes.push(Change::Signal { path: path.to_owned(), signal, body });
    }

    /// Whether an object came or went, or an association, since clients were told last.
    pub(crate) fn reshaped(&self) -> bool {
        self.changes.iter().any(|change| match change {
            Change::Added { .. } | Change::Removed { .. } => true,
            Change::Changed { interface, .. } => *interface == definitions::NAME,
            Change::Signal { .. } => false,
        })
    }

    /// What clients must be told since the last time.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// What is to be written to disk, if it changed since the last time.
    pub(crate) fn take_unsaved(&mut self) -> Option<&Kept> {
        std::mem::take(&mut self.unsaved).then_some(&self.kept)
    }

    /// Keeps a value that no property shows, or changes it.
    pub(crate) fn keep(&mut self, path: &str, name: &str, value: Variant<'static>) {
        let object = self.kept.entry(path.to_owned()).or_default();
        object.insert(name.to_owned(), value);
        self.unsaved = true;
    }

    /// A value that [`keep`](Self::keep) kept.
    pub(crate) fn recall(&self, path: &str, name: &str) -> Option<Variant<'static>> {
        self.kept.get(path)?.get(name).cloned()
    }

    /// What an earlier process kept for objects that this one does not have yet.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    fn slot(&mut self, path: &str, interface: &str, name: &str) -> Option<&mut Variant<'static>> {
        self.objects.get_mut(path)?.interfaces.get_mut(interface)?.values.get_mut(name)
    }

    /// Joins changes of one object to one message, as long as none is lost by that.
    fn record(&mut self, at: &str, of: &'static str, name: &'static str, value: Variant<'static>) {
        if let Some(Change::Changed { path, interface, values }) = self.changes.last_mut()
            && path == at
            && *interface == of
            && !values.contains_key(name)
        {
            values.insert(name, value);
            return;
        }
        let values = Values::from([(name, value)]);
        self.changes.push(Change::Changed { path: at.to_owned(), interface: of, values });
    }
}

/// Takes kept values that the property can still have.
fn recall(instance: &mut Instance, kept: Option<&BTreeMap<String, Variant<'static>>>) {
    let Some(kept) = kept else { return };
    for info in instance.interface.properties {
        if let Some(value) = kept.get(&format!("{}.{}", instance.interface.name, info.name))
            && (info.check)(value.clone()).is_ok()
        {
            instance.values.insert(info.name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
