//! `trace`: requests and responses of every bridge, decoded, as they are recorded or as they happen; and MCTP packets.

mod capture;
mod packets;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use openbmc_dbus::bus::{OwnerChange, watch_owners};
use openbmc_dbus::recorder::Exchange;
use openbmc_dbus::recorder::object::{EXCHANGED, IPMID_SERVICE, RECORDER, SUBSCRIBE};
use serde::Serialize;
use tokio::time;
use zbus::{Message, MessageStream};

use self::capture::Capture;
use crate::bus::Bus;
use crate::cli::Global;
use crate::decode::{self, Layer};
use crate::error::Error;
use crate::output::{Page, Report};
use crate::record::{self, Recorded, Source, Which};

/// The names of all bridges.
const BRIDGES: &str = "xyz.openbmc_project.Ipmi.Channel";

/// Messages that may wait while this connection calls others.
const QUEUE: NonZeroUsize = NonZeroUsize::new(1 << 14).unwrap();

/// A bridge that has just come to the bus is asked so often, with this pause, for its recorder.
const TRIES: u8 = 20;
const RETRY: Duration = Duration::from_millis(100);

/// Print requests and responses, decoded; with --follow those that happen from now on
///
/// Without --follow: what 'record' has, decoded. With it, each request when it is answered, until the program is
/// interrupted, of bridges that are started later too; it costs the bridges nothing when nobody follows. Those of a LAN
/// are decrypted. Passwords, keys and community strings are masked.
///
/// A capture (--write) has the link type IPMI_HPM_2. Wireshark names the commands if its setting "Dissect bus
/// commands" of the protocol IPMI is on (-o ipmi.dissect_bus_commands:TRUE).
///
/// With --mctp: packets of mctp-demuxd from now on, each with the message that it completes. They are shown whole. A capture has the
/// link type LINUX_SLL2. What goes over a kernel's own MCTP stack is not in it.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// MCTP packets as they pass, in place of requests
    #[arg(long, conflicts_with_all = ["channel", "ipmid"])]
    mctp: bool,
    /// Show requests as they happen
    #[arg(long)]
    follow: bool,
    /// Write a capture for Wireshark to this file, and print nothing
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// End after so many requests, or packets
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// An exchange with what its bytes mean, as JSON.
#[derive(Serialize)]
struct Traced<'a> {
    exchange: Recorded,
    layers: &'a [Layer],
}

/// What was written, as JSON.
#[derive(Serialize)]
struct Written {
    file: String,
    exchanges: u64,
    lost: u64,
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let bus = Bus::connect(global).await?;
    if arguments.mctp {
        return packets::run(arguments, &bus, global.output.json).await;
    }
    let mut output = Output::open(arguments, global.output.json)?;
    if arguments.follow {
        Follower::start(&bus, &arguments.which).await?.run(&mut output).await?;
    } else {
        for exchange in arguments.which.recorded(&bus).await? {
            if !output.put(&exchange)? {
                break;
            }
        }
    }
    Ok(output.finish())
}

/// Where exchanges go.
struct Output<'a> {
    arguments: &'a Arguments,
    capture: Option<Capture>,
    json: bool,
    count: u64,
    lost: u64,
}

impl<'a> Output<'a> {
    fn open(arguments: &'a Arguments, json: bool) -> Result<Self, Error> {
        let capture = arguments.write.as_deref().map(Capture::create).transpose()?;
        Ok(Self { arguments, capture, json, count: 0, lost: 0 })
    }

    /// Prints or writes an exchange; `false` if it was the last one.
    fn put(&mut self, exchange: &Exchange) -> Result<bool, Error> {
        self.count += 1;
        let is_open = match &mut self.capture {
            Some(capture) => capture.write(exchange).map(|()| true)?,
            None => show(exchange).write(self.json).map_err(Error::failed)?,
        };
        Ok(is_open && self.arguments.count.is_none_or(|most| self.count < most))
    }

    fn finish(self) -> Report {
        let Some(file) = &self.arguments.write else { return Report::nothing() };
        let (file, exchanges, lost) = (file.display().to_string(), self.count, self.lost);
        let written = Written { file, exchanges, lost };
        Report::new(&written, |page| {
            let Written { file, exchanges, lost } = &written;
            page.line(format!("{exchanges} requests written to {file}, {lost} lost"));
        })
    }
}

/// An exchange with what its bytes mean.
fn show(exchange: &Exchange) -> Report {
    let layers = record::messages(exchange).map(|(request, response)| {
        [
            decode::request(&request),
            response.map(|bytes| decode::response(&bytes)).unwrap_or_default(),
        ]
        .concat()
    });
    let layers = layers.unwrap_or_default();
    let exchange = Recorded::from(exchange);
    let summary = exchange.summary();
    Report::new(&Traced { exchange, layers: &layers }, |page: &mut Page| {
        page.table(&[], vec![summary.into()]);
        layers.iter().for_each(|layer| decode::show(layer, page));
        page.line("");
    })
}

/// Subscriptions to exchanges.
struct Follower<'a> {
    bus: &'a Bus,
    which: &'a Which,
    /// The sources, by the unique names of their connections.
    sources: HashMap<String, Source>,
    /// Those that have just come to the bus, and may not serve their recorder yet; with the tries that are left.
    arrivals: Vec<(Source, u8)>,
    /// What the bus sends to this connection.
    messages: MessageStream,
    /// Bridges, and `ipmid`, that come and go.
    owners: SelectAll<MessageStream>,
}

impl<'a> Follower<'a> {
    async fn start(bus: &'a Bus, which: &'a Which) -> Result<Self, Error> {
        let failed = |error: zbus::Error| Error::failed(format_args!("cannot follow: {error}"));
        let connection = bus.connection();
        let messages = {
            let mut connection = connection.clone();
            connection.set_max_queued(QUEUE);
            MessageStream::from(connection)
        };
        let mut owners = SelectAll::new();
        for namespace in [BRIDGES, IPMID_SERVICE] {
            owners.push(watch_owners(connection, namespace).await.map_err(failed)?);
        }
        let sources = HashMap::new();
        let arrivals = Vec::new();
        let mut follower = Self { bus, which, sources, arrivals, messages, owners };
        for source in which.sources(bus).await? {
            follower.subscribe(source).await?;
        }
        Ok(follower)
    }

    /// Subscribes to the exchanges of a source; `false` if it does not record any, or not yet.
    async fn subscribe(&mut self, source: Source) -> Result<bool, Error> {
        let body = (self.which.channel(),);
        let Source { service, path } = &source;
        let call = self.bus.call_if_there::<_, ()>(service, path, RECORDER, SUBSCRIBE, &body);
        if call.await?.is_some()
            && let Some(owner) = self.bus.owner_of(service).await
        {
            self.sources.insert(owner, source);
            return Ok(true);
        }
        Ok(false)
    }

    /// Tries again to subscribe to those that have just come.
    async fn subscribe_to_arrivals(&mut self) -> Result<(), Error> {
        for (source, tries) in std::mem::take(&mut self.arrivals) {
            if !self.subscribe(source.clone()).await? && tries > 1 {
                self.arrivals.push((source, tries - 1));
            }
        }
        Ok(())
    }

    /// Passes exchanges to `output` until it is full or the program is interrupted.
    async fn run(mut self, output: &mut Output<'_>) -> Result<(), Error> {
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            tokio::select! {
                message = self.messages.next() => {
                    let closed = || Error::failed("the bus closed the connection");
                    let message = message.ok_or_else(closed)?.map_err(|_| closed())?;
                    if let Some((lost, exchange)) = self.read(&message) {
                        output.lost += lost;
                        if !output.put(&exchange)? {
                            return Ok(());
                        }
                    }
                }
                Some(change) = self.owners.next() => {
                    let change = change.ok().as_ref().and_then(OwnerChange::parse);
                    self.on_change(change);
                }
                () = time::sleep(RETRY), if !self.arrivals.is_empty() => {
                    self.subscribe_to_arrivals().await?;
                }
                _ = &mut interrupted => return Ok(()),
            }
        }
    }

    fn on_change(&mut self, change: Option<OwnerChange>) {
        let Some(OwnerChange { name, old, new }) = change else { return };
        if let Some(old) = old {
            self.sources.remove(&old);
        }
        let source = self.which.source(&name).filter(|_| new.is_some());
        self.arrivals.extend(source.map(|source| (source, TRIES)));
    }

    /// An exchange of one of the sources: anybody can send a signal to us alone.
    fn read(&self, message: &Message) -> Option<(u64, Exchange)> {
        let header = message.header();
        let is_exchange = header.interface()?.as_str() == RECORDER
            && header.member()?.as_str() == EXCHANGED
            && self.sources.contains_key(header.sender()?.as_str());
        is_exchange.then(|| message.body().deserialize().ok())?
    }
}
