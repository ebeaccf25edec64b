//! Who may call what, over all that is served.

use std::collections::BTreeSet;
use std::time::Duration;

use openbmc_dbus::interface::Access;

use super::*;
use crate::config::Platform;
use crate::fault::Fault;
use crate::host;
use crate::tree::SavedValues;

const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";

/// A platform with every kind of object.
const PLATFORM: &str = concat!(
    include_str!("../../examples/demo.toml"),
    "\n[[user]]\nname = \"admin\"\n[[fru]]\nname = \"Board2\"\nbus = 9\naddress = 87\n",
);

const NOW: Now = Now { uptime: Duration::from_secs(5), epoch: Duration::from_secs(1_800_000_000) };

fn simulation() -> Simulation {
    let config = Platform::parse("test.toml", PLATFORM).unwrap();
    let mut simulation =
        Simulation::start(&config, host::simulated(&config, false), SavedValues::new(), false, NOW);
    simulation.take_changes();
    simulation.take_unsaved();
    simulation
}

fn ask(simulation: &mut Simulation, call: &Call) -> Result<Returned, Fault> {
    dispatch(simulation, &Foreign::default(), NOW, call)
}

/// A value of each type of a signature, as far as our interfaces have them.
fn arguments(signature: &str) -> Vec<Variant<'static>> {
    let value = |one: &str| match one {
        "s" => Variant::from(""),
        "o" => Variant::from(ObjectPath::try_from("/").unwrap()),
        "b" => Variant::from(false),
        "y" => Variant::from(0_u8),
        "q" => Variant::from(0_u16),
        "i" => Variant::from(0_i32),
        "u" => Variant::from(0_u32),
        "t" => Variant::from(0_u64),
        "as" => Variant::from(Vec::<String>::new()),
        "ay" => Variant::from(Vec::<u8>::new()),
        "a{ss}" => Variant::from(BTreeMap::<String, String>::new()),
        other => panic!("{other}"),
    };
    introspect::complete_types(signature).into_iter().map(value).collect()
}

/// All calls that can change something: every method and every writable property of every object, by each
/// way in which they can be called.
fn changing_calls() -> Vec<Call> {
    let mut simulation = simulation();
    let mut calls = Vec::new();
    for (path, object) in simulation.tree(NOW).objects() {
        let mut add = |service, interface: Option<&str>, member: &str, arguments| {
            calls.push(Call {
                service,
                path: path.to_owned(),
                interface: interface.map(str::to_owned),
                member: member.to_owned(),
                arguments,
                is_accepted: false,
            });
        };
        for instance in object.interfaces.values() {
            let interface = instance.interface;
            if interface.name == mapper_interface::NAME {
                continue;
            }
            for service in [Some(object.service.to_owned()), None] {
                for method in interface.methods {
                    for named in [Some(interface.name), None] {
                        add(service.clone(), named, method.name, arguments(method.input));
                    }
                }
                let writable = |access| access != Access::Read;
                for property in interface.properties.iter().filter(|info| writable(info.access)) {
                    let value = instance.values.get(property.name).cloned();
                    let Some(value) = value else { continue };
                    let value = Variant::Variant(Box::new(value));
                    let set = vec![interface.name.into(), property.name.into(), value];
                    add(service.clone(), Some(PROPERTIES), "Set", set);
                }
            }
        }
    }
    calls
}

#[test]
fn a_sender_that_is_not_accepted_changes_nothing() {
    let calls = changing_calls();
    let mut simulation = simulation();
    for call in &calls {
        let fault = ask(&mut simulation, call).unwrap_err();
        assert_eq!(fault.name, DENIED, "{call:?}");
        assert_eq!(simulation.take_changes(), [], "{call:?}");
        assert_eq!(simulation.poll_effect(), None, "{call:?}");
        assert_eq!(simulation.take_unsaved(), None, "{call:?}");
    }
    // What there is to try: power, accounts, log, clock, network, inventory, and more.
    let members: BTreeSet<&str> = calls.iter().map(|call| call.member.as_str()).collect();
    for member in
        ["CreateUser", "Delete", "Create", "SetNTP", "IP", "WriteFru", "simPress", "NMI", "Set"]
    {
        assert!(members.contains(member), "{member} of {members:?}");
    }
}

#[test]
fn an_accepted_sender_is_refused_for_no_such_reason() {
    for call in changing_calls() {
        let call = Call { is_accepted: true, ..call };
        let answer = ask(&mut simulation(), &call);
        assert!(answer.as_ref().err().is_none_or(|fault| fault.name != DENIED), "{call:?}");
    }
}

#[test]
fn what_is_neither_known_nor_read_is_denied_too() {
    let mut simulation = simulation();
    for (interface, member) in [
        (None, "Set"),
        (None, "Get"),
        (Some(PROPERTIES), "Sett"),
        (Some("xyz.openbmc_project.Absent"), "Get"),
        (Some(mapper_interface::NAME), "GetObject"),
    ] {
        for path in ["/", "/absent", "/xyz/openbmc_project/state/host0"] {
            let call = Call {
                service: None,
                path: path.to_owned(),
                interface: interface.map(str::to_owned),
                member: member.to_owned(),
                arguments: Vec::new(),
                is_accepted: false,
            };
            assert_eq!(ask(&mut simulation, &call).unwrap_err().name, DENIED, "{call:?}");
        }
    }
}

#[test]
fn everybody_may_read_and_by_that_changes_nothing() {
    let mut simulation = simulation();
    let read = |path: &str, interface: &str, member: &str, arguments| Call {
        service: None,
        path: path.to_owned(),
        interface: Some(interface.to_owned()),
        member: member.to_owned(),
        arguments,
        is_accepted: false,
    };
    let paths: Vec<_> = simulation.tree(NOW).objects().map(|(path, _)| path.to_owned()).collect();
    for path in &paths {
        for call in [
            read(path, PROPERTIES, "GetAll", vec!["".into()]),
            read(path, INTROSPECTABLE, "Introspect", Vec::new()),
            read(path, PEER, "Ping", Vec::new()),
        ] {
            ask(&mut simulation, &call).unwrap();
        }
    }
    ask(&mut simulation, &read("/", OBJECT_MANAGER, "GetManagedObjects", Vec::new())).unwrap();
    let look_up = vec!["/".into(), 0.into(), Variant::from(Vec::<String>::new())];
    let mapper = mapper_interface::NAME;
    let call = read(mapper_interface::PATH, mapper, "GetSubTreePaths", look_up);
    ask(&mut simulation, &call).unwrap();
    assert_eq!(simulation.take_changes(), []);
    assert_eq!(simulation.take_unsaved(), None);
}

#[test]
fn a_name_of_its_own_leads_to_its_own_objects_only() {
    let mut simulation = simulation();
    let clock = "org.freedesktop.timedate1";
    let objects: Vec<_> = simulation
        .tree(NOW)
        .objects()
        .map(|(path, object)| (path.to_owned(), object.service))
        .collect();
    for (path, service) in objects {
        let call = Call {
            service: Some(clock.to_owned()),
            path: path.clone(),
            interface: Some(PROPERTIES.to_owned()),
            member: "GetAll".to_owned(),
            arguments: vec!["".into()],
            is_accepted: true,
        };
        assert_eq!(ask(&mut simulation, &call).is_ok(), service == clock, "{path}");
    }
    let call = Call {
        service: Some(clock.to_owned()),
        path: mapper_interface::PATH.to_owned(),
        interface: Some(mapper_interface::NAME.to_owned()),
        member: "GetObject".to_owned(),
        arguments: vec!["/".into(), Variant::from(Vec::<String>::new())],
        is_accepted: true,
    };
    assert!(ask(&mut simulation, &call).is_err());
}
