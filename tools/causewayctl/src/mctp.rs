//! `mctp`: what mctp-demuxd sees, by the objects that it publishes, and messages to endpoints.

#[cfg(feature = "exchange")]
mod exchange;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use openbmc_dbus::client::{CallError, ManagedObjects, ObjectAt};
use serde::de::value::{self, SeqDeserializer};
use serde::{Deserialize, Serialize};
use zbus::wire::{OwnedVariant, Variant};

use crate::bus::Bus;
use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Report, Style};

/// The bus name of mctp-demuxd, and its interface.
pub(crate) const SERVICE: &str = "xyz.openbmc_project.MCTP.Demux";
pub(crate) const DEMUX: &str = "org.causeway.MCTP.Demux";
pub(crate) const PATH: &str = "/xyz/openbmc_project/mctp";
/// The interface of a binding.
pub(crate) const BINDING: &str = "org.causeway.MCTP.Demux.Binding";
const ENDPOINT: &str = "xyz.openbmc_project.MCTP.Endpoint";
const UUID: &str = "xyz.openbmc_project.Common.UUID";
const CONTROL: &str = "au.com.codeconstruct.MCTP.Endpoint1";

/// Show what mctp-demuxd sees, and exchange messages with endpoints
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the endpoints: this one, and those that are known
    Endpoints,
    /// List the bindings, and what went over each
    Bindings,
    /// List the clients of the socket
    Clients,
    #[cfg(feature = "exchange")]
    Send(exchange::Send),
    #[cfg(feature = "exchange")]
    Ping(exchange::Ping),
}

/// An endpoint, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Endpoint {
    eid: u8,
    is_own: bool,
    connectivity: Option<String>,
    types: Vec<u8>,
    uuid: Option<String>,
}

/// A binding, as JSON.
#[derive(Serialize)]
struct Binding {
    name: String,
    up: bool,
    counters: BTreeMap<String, u64>,
    drops: BTreeMap<String, u64>,
}

/// A client, as JSON.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Client {
    number: u64,
    message_type: u8,
    messages_in: u64,
    bytes_in: u64,
    messages_out: u64,
    bytes_out: u64,
    waits: u64,
    owed: u64,
    queued: u64,
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let bus = Bus::connect(global);
    match &arguments.command {
        Command::Endpoints => endpoints(&bus.await?).await,
        Command::Bindings => bindings(&bus.await?).await,
        Command::Clients => clients(&bus.await?).await,
        // The socket alone is needed.
        #[cfg(feature = "exchange")]
        Command::Send(send) => exchange::send(send),
        #[cfg(feature = "exchange")]
        Command::Ping(ping) => exchange::ping(ping, &bus.await?).await,
    }
}

async fn objects(bus: &Bus) -> Result<ManagedObjects, Error> {
    let root = ObjectAt::new(SERVICE, PATH);
    bus.client().managed_objects(&root).await.map_err(|error| match error {
        CallError::Gone { .. } => not_running(),
        error => Error::failed(format_args!("mctp-demuxd: {error}")),
    })
}

/// What is said where it is not on the bus.
pub(crate) fn not_running() -> Error {
    Error::failed("mctp-demuxd is not on the bus").remedy("systemctl enable --now mctp-demuxd")
}

async fn endpoints(bus: &Bus) -> Result<Report, Error> {
    let objects = objects(bus).await?;
    let own = bus.property(&ObjectAt::new(SERVICE, PATH), DEMUX, "EID").await?;
    let own = own.as_deref().and_then(byte);
    let mut endpoints = Vec::new();
    for interfaces in objects.values() {
        let text = |interface: &str, name: &str| match &**interfaces.get(interface)?.get(name)? {
            Variant::Str(text) if !text.is_empty() => Some(text.to_string()),
            _ => None,
        };
        let Some(endpoint) = interfaces.get(ENDPOINT) else { continue };
        let Some(eid) = endpoint.get("EID").and_then(|eid| byte(eid)) else { continue };
        endpoints.push(Endpoint {
            eid,
            is_own: Some(eid) == own,
            connectivity: text(CONTROL, "Connectivity"),
            types: endpoint.get("SupportedMessageTypes").map(bytes).unwrap_or_default(),
            uuid: text(UUID, "UUID"),
        });
    }
    endpoints.sort_by_key(|endpoint| endpoint.eid);
    Ok(Report::new(&endpoints, |page| {
        let row = |endpoint: &Endpoint| {
            let types: Vec<_> = endpoint.types.iter().map(|kind| format!("{kind:02x}")).collect();
            let whose = if endpoint.is_own { "own" } else { "" };
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            vec![
                Cell::from(endpoint.eid.to_string()),
                whose.into(),
                or_dash(&endpoint.connectivity).into(),
                or_dash(&(!types.is_empty()).then(|| types.join(","))).into(),
                or_dash(&endpoint.uuid).into(),
            ]
        };
        let head = ["EID", "", "CONNECTIVITY", "TYPES", "UUID"];
        page.table(&head, endpoints.iter().map(row).collect());
    }))
}

/// The names of the bindings whose device cannot be opened.
#[cfg(feature = "doctor")]
pub(crate) async fn bindings_that_are_down(bus: &Bus) -> Result<Vec<String>, Error> {
    let bindings = read_bindings(bus).await?;
    Ok(bindings.into_iter().filter(|binding| !binding.up).map(|binding| binding.name).collect())
}

/// The names of the bindings, by their numbers.
#[cfg(feature = "trace")]
pub(crate) async fn binding_names(bus: &Bus) -> Result<BTreeMap<u8, String>, Error> {
    let objects = objects(bus).await?;
    let names = objects.iter().filter_map(|(path, interfaces)| {
        let (_, number) = path.as_str().rsplit_once("/interfaces/")?;
        match &**interfaces.get(BINDING)?.get("Name")? {
            Variant::Str(name) => Some((number.parse().ok()?, name.to_string())),
            _ => None,
        }
    });
    Ok(names.collect())
}

async fn read_bindings(bus: &Bus) -> Result<Vec<Binding>, Error> {
    let mut bindings = Vec::new();
    for interfaces in objects(bus).await?.values() {
        let Some(properties) = interfaces.get(BINDING) else { continue };
        let counts = |name: &str| properties.get(name).and_then(counts).unwrap_or_default();
        let name = match properties.get("Name").map(|name| &**name) {
            Some(Variant::Str(name)) => name.to_string(),
            _ => continue,
        };
        let up = matches!(properties.get("Up").map(|up| &**up), Some(Variant::Bool(true)));
        bindings.push(Binding { name, up, counters: counts("Counters"), drops: counts("Drops") });
    }
    Ok(bindings)
}

async fn bindings(bus: &Bus) -> Result<Report, Error> {
    let bindings = read_bindings(bus).await?;
    let is_down = bindings.iter().any(|binding| !binding.up);
    let report = Report::new(&bindings, |page| {
        let row = |binding: &Binding| {
            let state = match binding.up {
                true => Cell::new("up", Style::Good),
                false => Cell::new("down", Style::Bad),
            };
            let count = |name| binding.counters.get(name).copied().unwrap_or_default().to_string();
            let dropped: u64 = binding.drops.values().sum();
            vec![
                Cell::from(binding.name.clone()),
                state,
                count("packets-in").into(),
                count("packets-out").into(),
                count("messages-in").into(),
                count("messages-out").into(),
                dropped.to_string().into(),
            ]
        };
        let head = ["BINDING", "STATE", "PACKETS IN", "OUT", "MESSAGES IN", "OUT", "DROPPED"];
        page.table(&head, bindings.iter().map(row).collect());
    });
    Ok(report.failed_if(is_down))
}

async fn clients(bus: &Bus) -> Result<Report, Error> {
    // So that its absence is said in the same way.
    objects(bus).await?;
    let value = bus.property(&ObjectAt::new(SERVICE, PATH), DEMUX, "Clients").await?;
    let clients = value.as_deref().map(read_clients).transpose()?.unwrap_or_default();
    Ok(Report::new(&clients, |page| {
        let row = |client: &Client| {
            let number = |number: u64| Cell::from(number.to_string());
            vec![
                number(client.number),
                format!("{:02x}", client.message_type).into(),
                number(client.messages_in),
                number(client.messages_out),
                number(client.waits),
                number(client.owed),
                number(client.queued),
            ]
        };
        let head = ["CLIENT", "TYPE", "MESSAGES FROM", "TO", "WAITS", "OWES", "QUEUED"];
        page.table(&head, clients.iter().map(row).collect());
    }))
}

/// The clients of the property `Clients`, whose numbers are in the order of the fields of [`Client`].
fn read_clients(value: &Variant<'_>) -> Result<Vec<Client>, Error> {
    let Variant::Array(entries) = value else {
        return Err(Error::failed("mctp-demuxd: the clients are no list"));
    };
    let number = |field: &Variant<'_>| match field {
        Variant::U64(number) => Some(*number),
        field => byte(field).map(u64::from),
    };
    let client = |entry: &Variant<'_>| {
        let Variant::Structure(entry) = entry else { return None };
        let numbers: Option<Vec<u64>> = entry.fields().iter().map(number).collect();
        let numbers = SeqDeserializer::<_, value::Error>::new(numbers?.into_iter());
        Client::deserialize(numbers).ok()
    };
    let clients: Option<_> = entries.iter().map(client).collect();
    clients.ok_or_else(|| Error::failed("mctp-demuxd: a client is not described as expected"))
}

fn byte(value: &Variant<'_>) -> Option<u8> {
    match value {
        Variant::U8(byte) => Some(*byte),
        _ => None,
    }
}

fn bytes(value: &OwnedVariant) -> Vec<u8> {
    match &**value {
        Variant::Array(array) => array.iter().filter_map(byte).collect(),
        _ => Vec::new(),
    }
}

/// A dictionary of numbers by message type, as 0x01; FFh stands for all types without a counter of their own.
pub(crate) fn counts_by_type(value: &OwnedVariant) -> Option<BTreeMap<String, u64>> {
    let Variant::Dict(dictionary) = &**value else { return None };
    let entry = |(kind, value): (&Variant<'_>, &Variant<'_>)| match (kind, value) {
        (Variant::U8(0xff), Variant::U64(value)) => Some(("other".to_owned(), *value)),
        (Variant::U8(kind), Variant::U64(value)) => Some((format!("0x{kind:02x}"), *value)),
        _ => None,
    };
    dictionary.iter().map(entry).collect()
}

/// A dictionary of numbers by name.
pub(crate) fn counts(value: &OwnedVariant) -> Option<BTreeMap<String, u64>> {
    let Variant::Dict(dictionary) = &**value else { return None };
    let entry = |(name, value): (&Variant<'_>, &Variant<'_>)| match (name, value) {
        (Variant::Str(name), Variant::U64(value)) => Some((name.to_string(), *value)),
        (Variant::Str(name), Variant::U32(value)) => Some((name.to_string(), u64::from(*value))),
        _ => None,
    };
    dictionary.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_the_numbers_in_their_order() {
        let entry = (7_u64, 0x7e_u8, 1_u64, 2_u64, 3_u64, 4_u64, 5_u64, 6_u64, 8_u64);
        let expected = Client {
            number: 7,
            message_type: 0x7e,
            messages_in: 1,
            bytes_in: 2,
            messages_out: 3,
            bytes_out: 4,
            waits: 5,
            owed: 6,
            queued: 8,
        };
        assert_eq!(read_clients(&Variant::from(vec![entry])).unwrap(), [expected]);
        assert!(read_clients(&Variant::from(vec![(1_u64, 2_u64)])).is_err());
        assert!(read_clients(&Variant::from("none")).is_err());
    }
}
