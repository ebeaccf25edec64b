//! Builds the daemon from its parts, and serves through restarts of the bus.

mod families;
mod live;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use accounts::{OpenbmcWriter, StoreKind, UserAdmin, Writer};
use daemon::metrics::{BUS_RECONNECTS, Metrics};
use daemon::{Failure, NoArguments, RateLimit, Setup};
use durable::{Folder, Modes};
use ipmi_proto::Iana;
use openbmc_dbus::bus::{self, NameEnd, OwnNameError};
use openbmc_dbus::execute::{self, Requests};
use openbmc_dbus::recorder::{Recorder, RecorderConfig, object as recorder};
use openbmc_dbus::{configuration, provider};
use tokio::sync::Notify;
use tokio::time;
use tracing::{info, warn};
use zbus::Connection;

use self::families::{Actors, FamilyDeps};
use self::live::LiveConfig;
use crate::background::firmware_monitor::Versions;
use crate::background::platform_events::EventSinks;
use crate::background::sensor_events::log_sensor_events;
use crate::background::{attention, firmware_monitor, sel_monitor};
use crate::commands::app::{AppDeps, PreTimeout};
use crate::commands::messaging::MessagingDeps;
use crate::config::{Config, KEYS, prepare};
use crate::model::ModelStores;
use crate::model::events::HostSide;
use crate::model::live::Live;
use crate::model::message_queue::Messages;
use crate::model::persistent::Persistent;
use crate::platform::I2cDev;
use crate::platform::dbus::{
    Bridges, DbusAccounts, DbusPlatform, EventLog, HostControl, follow_accounts,
};
use crate::request::channels::{Channels, first_bt};
use crate::request::command::{CommandTable, DuplicateCommand, Priority};
use crate::request::dispatch::Dispatcher;
use crate::request::filter::Filter;
use crate::request::filter::firewall::Firewall;
use crate::request::host_interface::HostInterface;
use crate::request::providers::Providers;
use crate::request::providers::bus::Registration;

/// Folder of the settings below the state directory.
const STATE: &str = "ipmid";
/// Retry interval for a bus name that another process owns.
const RETRY: Duration = Duration::from_secs(1);
/// A lasting failure is logged once a minute.
static NOT_SERVING: RateLimit = RateLimit::new(1, Duration::from_secs(60));

/// Runs the daemon until a signal ends it or a command restarts it.
///
/// # Errors
///
/// [`Failure::Fatal`] when the state directory cannot be used.
pub async fn run(setup: Setup<NoArguments>, config: Config) -> Result<(), Failure> {
    run_with(setup, config, Extensions::default()).await
}

/// Adds commands to the table.
pub type AddCommands = Box<dyn FnOnce(&mut CommandTable) + Send>;

/// What a vendor, a board or a site adds to the daemon; `examples/site.rs` is a complete example.
#[derive(Default)]
pub struct Extensions {
    /// Adds commands, or replaces the specification's at a higher priority.
    pub commands: Option<AddCommands>,
    /// Checked before any command runs.
    pub filters: Vec<Box<dyn Filter>>,
}

/// As [`run`], with `extensions`.
///
/// # Errors
///
/// As [`run`], and [`Failure::Config`] for a command that is registered twice at one priority.
pub async fn run_with(
    setup: Setup<NoArguments>,
    config: Config,
    extensions: Extensions,
) -> Result<(), Failure> {
    // Before the state is opened: while another ipmid owns the name, it may be writing the state.
    let requests = first_requests().await?;
    let folder = Folder::create(&setup.state_dir.join(STATE), Modes::PRIVATE)?;
    let host_side = HostSide::default();
    let records = ModelStores::open(&folder, config.sel, host_side.clone());
    let live = LiveConfig::new(&config);
    let platform = platform(&config, &records, &live);
    let accounts = Accounts::open(&config, &setup.state_dir, &platform)?;
    let restart = Arc::new(Notify::new());
    let manufacturer = config.device.manufacturer();
    let app = app_deps(&config, &live, &accounts, &records, &host_side, &folder, &restart);
    let versions = Persistent::open(folder.clone(), "versions.json");
    let rules = Persistent::open(folder.clone(), "firewall.json");
    let firewall = Arc::new(Firewall::new(rules));
    let messaging =
        MessagingDeps::new(Arc::clone(&host_side.messages), &config.channels, live.i2c.clone());
    let own_requests = messaging.own.clone();
    let host_channels = messaging.host_channels.values().cloned().collect();
    let deps = FamilyDeps {
        app,
        messaging,
        i2c: I2cDev,
        firewall: Arc::clone(&firewall),
        records: records.clone(),
        folder,
        live: live.clone(),
    };
    let mut table = CommandTable::default();
    let base = &mut table.at(Priority::BASE);
    let actors = families::register(&platform, &config, deps, base);
    if let Some(commands) = extensions.commands {
        commands(&mut table);
    }
    let (dispatcher, providers) = dispatcher(table, firewall, extensions.filters)?;
    let dispatcher = Arc::new(dispatcher);
    let recorder = recorder_of(config.recorder, &dispatcher);
    own_requests.run_by(&dispatcher);
    let registration = Registration::new(providers, config.ipmid.providers.clone());
    let channels = Channels::new(Arc::new(config.channels), config.ipmid);
    let host = HostInterface::new(Arc::clone(&channels), accounts.admin, dispatcher, &recorder);
    let log_clears = live.log_clears.clone();
    reload(&setup, live, &channels, &registration);
    let service = Service {
        messages: host_side.messages,
        host_channels,
        platform,
        channels,
        host,
        registration,
        recorder,
        manufacturer,
        followed: accounts.followed,
        records,
        versions,
        log_clears,
        actors,
    };
    service.run_until(restart.notified(), requests, || setup.ready()).await;
    Ok(())
}

/// The recorder of requests, which measures the handlers and the state files too.
fn recorder_of(config: RecorderConfig, dispatcher: &Arc<Dispatcher>) -> Recorder {
    let recorder = Recorder::of_ipmid(config);
    let dispatcher = Arc::clone(dispatcher);
    recorder.measure(move |metrics: &mut Metrics| {
        dispatcher.measure(metrics);
        let (writes, bytes) = durable::written();
        let labels = [("daemon", "ipmid")];
        metrics.number("causeway_state_writes_total", &labels, writes);
        metrics.number("causeway_state_written_bytes_total", &labels, bytes);
    });
    recorder
}

/// Reloads the configuration when it is asked for.
fn reload(
    setup: &Setup<NoArguments>,
    live: LiveConfig,
    channels: &Arc<Channels>,
    providers: &Registration,
) {
    let (channels, providers) = (Arc::clone(channels), providers.clone());
    let apply = move |config| live.apply(config, &channels, &providers);
    let reload = setup.reloads(KEYS, prepare, apply);
    tokio::spawn(configuration::serve(reload, None));
}

/// What the application commands use.
fn app_deps(
    config: &Config,
    live: &LiveConfig,
    accounts: &Accounts,
    records: &ModelStores,
    host_side: &HostSide,
    folder: &Folder,
    restart: &Arc<Notify>,
) -> AppDeps {
    let messages = Arc::clone(&host_side.messages);
    AppDeps {
        accounts: Arc::clone(&accounts.admin),
        sessions: live.sessions.clone(),
        device: config.device,
        health: Arc::clone(&records.health),
        global_enables: Arc::clone(&host_side.enables),
        pre_timeout: PreTimeout::new(move || messages.set_pre_timeout()),
        restart: Arc::clone(restart),
        system_info: Persistent::open(folder.clone(), "system-info.json"),
        updates: Arc::default(),
        expiries: Arc::clone(&records.watchdog),
    }
}

/// The first connection for requests, with `ipmid`'s name; `None` when the name cannot be owned yet.
///
/// # Errors
///
/// [`Failure::Fatal`] when another `ipmid` runs on this bus.
async fn first_requests() -> Result<Option<Requests>, Failure> {
    match Requests::at_start(bus::connect().await).await {
        Ok(requests) => Ok(Some(requests)),
        Err(error @ OwnNameError::Taken) => {
            let name = execute::SERVICE;
            Err(Failure::Fatal(format!("cannot own bus name {name}: {error}")))
        }
        Err(error) => {
            log_not_serving(&error);
            time::sleep(RETRY).await;
            Ok(None)
        }
    }
}

fn log_not_serving(error: &dyn std::error::Error) {
    if let Some(pass) = NOT_SERVING.admit() {
        warn!(%error, swallowed = pass.swallowed, "not serving; trying again");
    }
}

/// The D-Bus platform, which also reaches OpenBMC's bridges.
fn platform(config: &Config, records: &ModelStores, live: &LiveConfig) -> Arc<DbusPlatform> {
    let bridges = Bridges {
        bt_channel: first_bt(&config.channels).map(|channel| channel.name.clone()),
        satellites: live.satellites.clone(),
    };
    let sensors = Arc::clone(&records.sensors);
    Arc::new(DbusPlatform::new(sensors, bridges))
}

/// The accounts, and OpenBMC's account services to follow if the accounts are OpenBMC's.
struct Accounts {
    admin: Arc<dyn UserAdmin>,
    followed: Option<Arc<OpenbmcWriter>>,
}

impl Accounts {
    /// Opens the store that the configuration selects.
    fn open(
        config: &Config,
        state_dir: &Path,
        platform: &Arc<DbusPlatform>,
    ) -> Result<Self, Failure> {
        let (access, channels) = (&config.access, config.channels.clone());
        match config.users {
            StoreKind::Own => Ok(Self {
                admin: Arc::new(Writer::open(state_dir, access, channels)?),
                followed: None,
            }),
            StoreKind::Openbmc => {
                let system = Box::new(DbusAccounts::new(platform, &config.openbmc));
                let files = config.openbmc.files();
                let writer = OpenbmcWriter::open(files, channels, state_dir, access, system)?;
                let writer = Arc::new(writer);
                Ok(Self {
                    admin: Arc::clone(&writer) as Arc<dyn UserAdmin>,
                    followed: Some(writer),
                })
            }
        }
    }
}

/// The dispatcher over all commands, behind the firewall and then the other filters, and the providers that it asks.
fn dispatcher(
    table: CommandTable,
    firewall: Arc<Firewall>,
    filters: Vec<Box<dyn Filter>>,
) -> Result<(Dispatcher, Arc<Providers>), Failure> {
    let registry = table.finish().map_err(duplicates)?;
    firewall.learn(registry.iter());
    let providers = Arc::new(Providers::new(&registry, Arc::clone(&firewall)));
    let firewall: Box<dyn Filter> = Box::new(firewall);
    let filters = std::iter::once(firewall).chain(filters).collect();
    let dispatcher = Dispatcher::new(registry, filters).with_providers(Arc::clone(&providers));
    Ok((dispatcher, providers))
}

fn duplicates(duplicates: Vec<DuplicateCommand>) -> Failure {
    let list: Vec<_> = duplicates.iter().map(ToString::to_string).collect();
    Failure::Config(list.join("; "))
}

struct Service {
    messages: Arc<Messages>,
    host_channels: Vec<String>,
    platform: Arc<DbusPlatform>,
    channels: Arc<Channels>,
    host: Arc<HostInterface<dyn UserAdmin>>,
    registration: Registration,
    recorder: Recorder,
    manufacturer: Iana,
    followed: Option<Arc<OpenbmcWriter>>,
    records: ModelStores,
    versions: Persistent<Versions>,
    log_clears: Live<bool>,
    actors: Actors<DbusPlatform>,
}

impl Service {
    /// Serves until a command restarts the daemon.
    async fn run_until(
        &self,
        restart: impl Future<Output = ()>,
        requests: Option<Requests>,
        ready: impl Fn(),
    ) {
        tokio::select! {
            never = self.run(requests, ready) => match never {},
            () = restart => info!("restarting"),
        }
    }

    /// All tasks of the daemon.
    async fn run(&self, requests: Option<Requests>, ready: impl Fn()) -> Infallible {
        let log = EventLog {
            sel: Arc::clone(&self.records.sel),
            events: Arc::clone(&self.records.events),
            sensors: Arc::clone(&self.records.sensors),
            clock: Arc::clone(&self.records.clock),
        };
        let host_control =
            HostControl { messages: Arc::clone(&self.messages), manufacturer: self.manufacturer };
        tokio::select! {
            never = log.serve() => never,
            never = host_control.serve() => never,
            never = self.serve(requests, ready) => never,
            never = self.register_providers() => never,
            never = self.serve_recorder() => never,
            never = self.platform.follow_signals() => never,
            never = self.actors.pef.run() => never,
            never = self.actors.dcmi.watch_power_limit() => never,
            never = log_sensor_events(&self.records.sensors, &self.records.events) => never,
            never = self.watch_sel() => never,
            never = self.watch_versions() => never,
            never = self.log_platform_events() => never,
            never = self.follow_accounts() => never,
        }
    }

    /// Takes the registrations of providers.
    async fn register_providers(&self) -> Infallible {
        let publish =
            async move |connection: Connection| self.registration.publish(&connection).await;
        bus::serve_owned(provider::SERVICE, publish).await
    }

    /// Serves what operators read of requests.
    async fn serve_recorder(&self) -> Infallible {
        let publish = async move |connection: Connection| {
            self.recorder.publish(&connection, recorder::IPMID_PATH).await
        };
        bus::serve_owned(recorder::IPMID_SERVICE, publish).await
    }

    async fn maintain_attention(&self) {
        let arrival = || self.channels.arrival();
        let (messages, channels) = (&self.messages, &self.host_channels);
        attention::follow_flags(&*self.platform, messages, channels, arrival).await;
    }

    async fn watch_sel(&self) -> Infallible {
        let ModelStores { sel, events, .. } = &self.records;
        sel_monitor::watch(sel, events, &self.log_clears).await
    }

    async fn watch_versions(&self) -> Infallible {
        let events = &self.records.events;
        firmware_monitor::watch(&*self.platform, events, &self.versions).await
    }

    async fn log_platform_events(&self) -> Infallible {
        let sinks = EventSinks {
            events: &self.records.events,
            updates: &self.actors.updates,
            expiries: &self.records.watchdog,
        };
        sinks.follow(&*self.platform).await
    }

    /// Writes changes at OpenBMC's account services to OpenBMC's files, if the accounts are OpenBMC's.
    async fn follow_accounts(&self) -> Infallible {
        match &self.followed {
            Some(accounts) => follow_accounts(Arc::clone(accounts)).await,
            None => std::future::pending().await,
        }
    }

    /// Serves as long as the process runs, through restarts of the bus.
    async fn serve(&self, mut first: Option<Requests>, ready: impl Fn()) -> Infallible {
        loop {
            let services = bus::connect().await;
            if let Err(error) = self.serve_on(first.take(), &services, &ready).await {
                log_not_serving(&error);
                time::sleep(RETRY).await;
            }
            self.platform.detach();
            BUS_RECONNECTS.add(1);
        }
    }

    /// Serves until the bus closes the connection or another process owns the name.
    async fn serve_on(
        &self,
        first: Option<Requests>,
        services: &Connection,
        ready: &impl Fn(),
    ) -> zbus::Result<()> {
        self.platform.attach(services).await?;
        // A connection for requests only, so that signals and other calls do not delay them.
        let requests = match first {
            Some(requests) => requests,
            None => Requests::again(bus::connect().await).await?,
        };
        info!("serving");
        ready();
        let end = tokio::select! {
            end = execute::serve(requests, Arc::clone(&self.host)) => end,
            () = self.maintain_attention() => NameEnd::BusClosed,
            () = services.closed() => NameEnd::BusClosed,
        };
        match end {
            NameEnd::BusClosed => warn!("the bus closed the connection; connecting again"),
            NameEnd::Lost => {
                warn!(name = execute::SERVICE, "lost the bus name; connecting again");
            }
        }
        Ok(())
    }
}
