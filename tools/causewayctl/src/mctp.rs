//! `mctp`: what mctp-demuxd sees, by the objects that it publishes.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use openbmc_dbus::client::{CallError, ManagedObjects, ObjectAt};
use serde::Serialize;
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

/// Show what mctp-demuxd sees: endpoints, bindings and clients
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
#[derive(Serialize)]
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
    let bus = Bus::connect(global).await?;
    match &arguments.command {
        Command::Endpoints => endpoints(&bus).await,
        Command::Bindings => bindings(&bus).await,
        Command::Clients => clients(&bus).await,
    }
}

async fn objects(bus: &Bus) -> Result<ManagedObjects, Error> {
    let root = ObjectAt::new(SERVICE, PATH);
    bus.client().managed_objects(&root).await.map_err(|error| match error {
        CallError::Gone { .. } => Error::failed("mctp-demuxd is not on the bus")
            .remedy("systemctl enable --now mctp-demuxd"),
        error => Error::failed(format_args!("mctp-demuxd: {error}")),
    })
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
    type Entry = (u64, u8, u64, u64, u64, u64, u64, u64, u64);
    // So that its absence is said in the same way.
    objects(bus).await?;
    let value = bus.property(&ObjectAt::new(SERVICE, PATH), DEMUX, "Clients").await?;
    let entries: Vec<Entry> = match value {
        Some(value) => value.try_into().map_err(Error::failed)?,
        None => Vec::new(),
    };
    let clients: Vec<_> = entries
        .into_iter()
        .map(
            |(
                number,
                message_type,
                messages_in,
                bytes_in,
                messages_out,
                bytes_out,
                waits,
                owed,
                queued,
            )| Client {
                number,
                message_type,
                messages_in,
                bytes_in,
                messages_out,
                bytes_out,
                waits,
                owed,
                queued,
            },
        )
        .collect();
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
