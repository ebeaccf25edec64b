//! Answers method calls: the standard interfaces, the mapper's, and those of the parts.
//!
//! Pure: a call comes in as values and goes out as values.

use std::collections::{BTreeMap, HashMap};

use openbmc_dbus::mapper as mapper_interface;
use zbus::wire::{ObjectPath, Variant};

use crate::fault::Fault;
use crate::mapper::{self, Foreign, ObjectQuery};
use crate::part::{Invocation, Now, Read, Returned};
use crate::simulation::Simulation;
use crate::tree::{Instance, Object, Tree};
use crate::{introspect, services};

/// A method call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The well-known name that was called; `None` for our unique name, which has all objects.
    pub(crate) service: Option<String>,
    pub(crate) path: String,
    pub(crate) interface: Option<String>,
    pub(crate) member: String,
    pub(crate) arguments: Vec<Variant<'static>>,
    /// Whether the sender may change something.
    pub(crate) is_accepted: bool,
}

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// The properties of one interface, as they are sent.
type Properties = BTreeMap<String, Variant<'static>>;

/// Answers `call`; every change by a client passes through here, and a sender that is not accepted changes
/// nothing.
pub(crate) fn dispatch(
    simulation: &mut Simulation,
    foreign: &Foreign,
    now: Now,
    call: &Call,
) -> Result<Returned, Fault> {
    if !call.is_accepted && !call.only_reads() {
        return Err(Fault::access_denied());
    }
    match call.interface.as_deref() {
        Some(PROPERTIES) => properties(simulation, now, call),
        Some(INTROSPECTABLE) => {
            let tree = simulation.tree(now);
            let known = |object: &Object| call.sees(object);
            introspect::describe(tree, &call.path, known).map(|xml| vec![Variant::from(xml)])
        }
        Some(PEER) => peer(call),
        Some(OBJECT_MANAGER) => {
            let tree = simulation.read(now, Read::Below(&call.path));
            managed_objects(tree, call).map(|objects| vec![objects])
        }
        Some(mapper_interface::NAME) if call.asks_mapper() => {
            let method = mapper_interface::INTERFACE
                .method(&call.member)
                .ok_or_else(|| Fault::unknown_method(mapper_interface::NAME, &call.member))?;
            check_arguments(call, method.input)?;
            let query = ObjectQuery { tree: simulation.tree(now), foreign };
            mapper::call(query, method, &call.arguments)
        }
        _ => own_method(simulation, now, call),
    }
}

impl Call {
    /// Whether the call can change nothing. Every sender that the bus policy allows may make such a call:
    /// properties hold no secrets, and `netipmid`, which is not trusted with more, reads it.
    pub(crate) fn only_reads(&self) -> bool {
        match self.interface.as_deref() {
            Some(INTROSPECTABLE | PEER | OBJECT_MANAGER) => true,
            Some(PROPERTIES) => matches!(self.member.as_str(), "Get" | "GetAll"),
            Some(mapper_interface::NAME) => self.asks_mapper(),
            _ => false,
        }
    }

    fn asks_mapper(&self) -> bool {
        let by_name = self.service.as_deref().is_none_or(|name| name == mapper_interface::SERVICE);
        by_name && self.path == mapper_interface::PATH
    }

    /// Whether the service which was called has the object.
    fn sees(&self, object: &Object) -> bool {
        self.service.as_deref().is_none_or(|service| service == object.service)
    }

    fn object<'t>(&self, tree: &'t Tree) -> Result<&'t Object, Fault> {
        tree.object(&self.path)
            .filter(|object| self.sees(object))
            .ok_or_else(|| Fault::unknown_object(&self.path))
    }

    fn text(&self, index: usize) -> Result<&str, Fault> {
        match self.arguments.get(index) {
            Some(Variant::Str(text)) => Ok(text.as_str()),
            _ => Err(Fault::arguments("s")),
        }
    }
}

fn properties(simulation: &mut Simulation, now: Now, call: &Call) -> Result<Returned, Fault> {
    match call.member.as_str() {
        "Get" => {
            let (interface, property) = (call.text(0)?, call.text(1)?);
            let read = Read::Object { path: &call.path, interface: Some(interface) };
            let instance = instance(simulation.read(now, read), call, interface)?;
            let value = instance
                .values
                .get(property)
                .ok_or_else(|| Fault::unknown_property(interface, property))?;
            Ok(vec![Variant::Variant(Box::new(value.clone()))])
        }
        "GetAll" => {
            let interface = call.text(0)?;
            let of = (!interface.is_empty()).then_some(interface);
            let tree = simulation.read(now, Read::Object { path: &call.path, interface: of });
            let object = call.object(tree)?;
            let properties = if interface.is_empty() {
                object.interfaces.values().flat_map(values).collect()
            } else if mapper::COMMON_INTERFACES.contains(&interface) {
                Properties::new()
            } else {
                values(instance(tree, call, interface)?).collect()
            };
            Ok(vec![Variant::from(properties)])
        }
        "Set" => {
            let (interface, property) = (call.text(0)?, call.text(1)?);
            let Some(Variant::Variant(value)) = call.arguments.get(2) else {
                return Err(Fault::arguments("ssv"));
            };
            call.object(simulation.tree(now))?;
            simulation.set(now, &call.path, interface, property, Variant::clone(value))?;
            Ok(Vec::new())
        }
        member => Err(Fault::unknown_method(PROPERTIES, member)),
    }
}

fn instance<'t>(tree: &'t Tree, call: &Call, interface: &str) -> Result<&'t Instance, Fault> {
    call.object(tree)?
        .interfaces
        .get(interface)
        .ok_or_else(|| Fault::unknown_interface(&call.path, interface))
}

fn values(instance: &Instance) -> impl Iterator<Item = (String, Variant<'static>)> {
    instance.values.iter().map(|(name, value)| (name.to_owned(), value.clone()))
}

fn peer(call: &Call) -> Result<Returned, Fault> {
    match call.member.as_str() {
        "Ping" => Ok(Vec::new()),
        "GetMachineId" => {
            let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
            let id = if id.trim().is_empty() { "0".repeat(32) } else { id.trim().to_owned() };
            Ok(vec![Variant::from(id)])
        }
        member => Err(Fault::unknown_method(PEER, member)),
    }
}

/// All objects below an object manager of the called service.
fn managed_objects(tree: &Tree, call: &Call) -> Result<Variant<'static>, Fault> {
    if call.member != "GetManagedObjects" {
        return Err(Fault::unknown_method(OBJECT_MANAGER, &call.member));
    }
    let mut objects = HashMap::<ObjectPath<'static>, BTreeMap<String, Properties>>::new();
    for (path, object) in tree.below(&call.path).filter(|(_, object)| call.sees(object)) {
        if path == call.path {
            continue;
        }
        let Ok(path) = ObjectPath::try_from(path.to_owned()) else {
            continue;
        };
        objects.insert(path, described(object));
    }
    if objects.is_empty() && !services::is_manager(&call.path) {
        return Err(Fault::unknown_object(&call.path));
    }
    Ok(Variant::from(objects))
}

/// An object's interfaces with their properties, as `GetManagedObjects` and `InterfacesAdded` contain them.
pub(crate) fn described(object: &Object) -> BTreeMap<String, Properties> {
    let common = mapper::COMMON_INTERFACES.map(|name| (name.to_owned(), Properties::new()));
    let own = object
        .interfaces
        .values()
        .map(|instance| (instance.interface.name.to_owned(), values(instance).collect()));
    common.into_iter().chain(own).collect()
}

fn own_method(simulation: &mut Simulation, now: Now, call: &Call) -> Result<Returned, Fault> {
    let object = call.object(simulation.tree(now))?;
    let interfaces = object.interfaces.values().map(|instance| instance.interface);
    let named = |name: &str| call.interface.as_deref().is_none_or(|wanted| wanted == name);
    let method = interfaces
        .filter(|interface| named(interface.name))
        .find_map(|interface| interface.method(&call.member))
        .ok_or_else(|| {
            Fault::unknown_method(call.interface.as_deref().unwrap_or(&call.path), &call.member)
        })?;
    check_arguments(call, method.input)?;
    let path = call.path.as_str();
    simulation.call(now, &Invocation { path, method, arguments: &call.arguments })
}

/// Refuses arguments of other types than the method has.
fn check_arguments(call: &Call, want: &str) -> Result<(), Fault> {
    let have: String =
        call.arguments.iter().map(|argument| argument.value_signature().to_string()).collect();
    if have == want { Ok(()) } else { Err(Fault::arguments(want)) }
}

#[cfg(test)]
mod tests;
