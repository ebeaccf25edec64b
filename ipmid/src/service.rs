//! Putting the parts together, and serving through restarts of the bus.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use accounts::{OpenbmcWriter, StoreKind, UserAdmin, Writer};
use daemon::{Failure, NoArguments, RateLimit, Setup};
use durable::{Folder, Modes};
use ipmi_proto::Iana;
use openbmc_dbus::{bus, execute};
use tokio::sync::Notify;
use tokio::time;
use tracing::{info, warn};
use zbus::Connection;

use crate::channels::{Channels, first_bt};
use crate::command::{CommandTable, DuplicateCommand, Priority};
use crate::config::Config;
use crate::dispatch::Dispatcher;
use crate::events::HostSide;
use crate::filter::Filter;
use crate::filter::firewall::Firewall;
use crate::host_interface::HostInterface;
use crate::messages::Messages;
use crate::platform::{
    Bridges, DbusAccounts, DbusPlatform, EventLog, HostControl, I2cDev, follow_accounts,
};
use crate::providers::app::{AppParts, PreTimeout};
use crate::providers::messaging::{self, MessagingParts};
use crate::providers::{self, Actors, Parts, Records};
use crate::state::Persistent;

/// Folder of the settings below the state directory.
const STATE: &str = "ipmid";
/// How long between two attempts to get what another process holds.
const RETRY: Duration = Duration::from_secs(1);
/// A failure that lasts is told once a minute.
static NOT_SERVING: RateLimit = RateLimit::new(1, Duration::from_secs(60));

/// Runs the daemon until it is ended or told to start anew.
///
/// # Errors
///
/// [`Failure::Fatal`] when the state directory cannot be used.
pub async fn run(setup: Setup<NoArguments>, config: Config) -> Result<(), Failure> {
    run_with(setup, config, Extensions::default()).await
}

/// Fills the command table with more.
pub type AddCommands = Box<dyn FnOnce(&mut CommandTable) + Send>;

/// What a vendor, a board or a site adds to the daemon; `examples/site.rs` shows a whole one.
#[derive(Default)]
pub struct Extensions {
    /// Adds commands, or answers the specification's own at a higher priority.
    pub commands: Option<AddCommands>,
    /// Asked before any command runs.
    pub filters: Vec<Box<dyn Filter>>,
}

/// As [`run`], with `extensions`.
///
/// # Errors
///
/// As [`run`], and [`Failure::Config`] for a command that is there twice at one priority.
pub async fn run_with(
    setup: Setup<NoArguments>,
    config: Config,
    extensions: Extensions,
) -> Result<(), Failure> {
    let folder = Folder::create(&setup.state_dir.join(STATE), Modes::PRIVATE)?;
    let host_side = HostSide::default();
    let HostSide { messages, enables } = &host_side;
    let records = Records::open(&folder, config.sel, host_side.clone());
    let platform = platform(&config, &records);
    let accounts = Accounts::open(&config, &setup.state_dir, &platform)?;
    let restart = Arc::new(Notify::new());
    let at_pre_timeout = Arc::clone(messages);
    let manufacturer = config.device.manufacturer();
    let app = AppParts {
        accounts: Arc::clone(&accounts.admin),
        cipher_suites: config.lan.suite_ids(),
        auth_types: config.lan.auth_type_bits(),
        device: config.device,
        health: Arc::clone(&records.health),
        global_enables: Arc::clone(enables),
        pre_timeout: PreTimeout::new(move || at_pre_timeout.set_pre_timeout()),
        restart: Arc::clone(&restart),
        system_info: Persistent::open(folder.clone(), "system-info.json"),
        updates: Arc::default(),
    };
    let rules = Persistent::open(folder.clone(), "firewall.json");
    let firewall = Arc::new(Firewall::new(rules));
    let messaging = MessagingParts::new(Arc::clone(messages), &config.channels, config.i2c.clone());
    let host_channels = messaging.host_channels.values().cloned().collect();
    let parts = Parts {
        app,
        messaging,
        i2c: I2cDev,
        firewall: Arc::clone(&firewall),
        records: records.clone(),
        folder,
    };
    let mut table = CommandTable::default();
    let base = &mut table.at(Priority::BASE);
    let actors = providers::register(&platform, &config, parts, base);
    if let Some(commands) = extensions.commands {
        commands(&mut table);
    }
    let dispatcher = dispatcher(table, firewall, extensions.filters)?;
    let channels = Channels::new(Arc::new(config.channels), config.ipmid);
    let host = HostInterface::new(Arc::clone(&channels), accounts.admin, dispatcher);
    let service = Service {
        messages: host_side.messages,
        host_channels,
        platform,
        channels,
        host,
        manufacturer,
        followed: accounts.followed,
        records,
        actors,
    };
    let ready = || setup.ready();
    service.run_until(restart.notified(), ready).await;
    Ok(())
}

/// The machine, with what has to be known of OpenBMC's bridges.
fn platform(config: &Config, records: &Records) -> Arc<DbusPlatform> {
    let bridges = Bridges {
        bt_channel: first_bt(&config.channels).map(|channel| channel.name.clone()),
        satellites: config.ipmb.channel_bytes(),
    };
    let sensors = Arc::clone(&records.sensors);
    Arc::new(DbusPlatform::new(sensors, bridges))
}

/// The accounts, and what of them has to be followed.
struct Accounts {
    admin: Arc<dyn UserAdmin>,
    followed: Option<Arc<OpenbmcWriter>>,
}

impl Accounts {
    /// Opens the store that the configuration says.
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

/// The dispatcher over all commands, behind the firewall and then the other filters.
fn dispatcher(
    table: CommandTable,
    firewall: Arc<Firewall>,
    filters: Vec<Box<dyn Filter>>,
) -> Result<Dispatcher, Failure> {
    let registry = table.finish().map_err(duplicates)?;
    firewall.learn(registry.iter());
    let firewall: Box<dyn Filter> = Box::new(firewall);
    let filters = std::iter::once(firewall).chain(filters).collect();
    Ok(Dispatcher::new(registry, filters))
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
    manufacturer: Iana,
    followed: Option<Arc<OpenbmcWriter>>,
    records: Records,
    actors: Actors<DbusPlatform>,
}

impl Service {
    /// Serves until it is told to start anew.
    async fn run_until(&self, restart: impl Future<Output = ()>, ready: impl Fn()) {
        tokio::select! {
            never = self.run(ready) => match never {},
            () = restart => info!("starting anew"),
        }
    }

    /// All that goes on in the daemon.
    async fn run(&self, ready: impl Fn()) -> Infallible {
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
            never = self.serve(ready) => never,
            never = self.platform.follow_sensors() => never,
            never = self.actors.pef.run() => never,
            never = self.actors.dcmi.watch_power_limit() => never,
            never = self.records.log_events() => never,
            never = self.records.watch_log() => never,
            never = self.watch_versions() => never,
            never = self.take_happenings() => never,
            never = self.follow_accounts() => never,
        }
    }

    async fn keep_attention(&self) {
        let arrival = || self.channels.arrival();
        let (messages, channels) = (&self.messages, &self.host_channels);
        messaging::keep_attention(&*self.platform, messages, channels, arrival).await;
    }

    async fn watch_versions(&self) -> Infallible {
        let events = &self.records.events;
        providers::watch_versions(&*self.platform, events, &self.records.versions).await
    }

    async fn take_happenings(&self) -> Infallible {
        let (events, updates) = (&self.records.events, &self.actors.updates);
        providers::take_happenings(&*self.platform, events, updates).await
    }

    /// Keeps OpenBMC's files as its services have the accounts, if those are the accounts.
    async fn follow_accounts(&self) -> Infallible {
        match &self.followed {
            Some(accounts) => follow_accounts(Arc::clone(accounts)).await,
            None => std::future::pending().await,
        }
    }

    /// Serves as long as the process lives, whatever the bus does.
    async fn serve(&self, ready: impl Fn()) -> Infallible {
        loop {
            // Requests on a connection of their own: nothing else's messages are in their way.
            let requests = bus::connect().await;
            let services = bus::connect().await;
            if let Err(error) = self.serve_on(&requests, &services, &ready).await {
                if let Some(pass) = NOT_SERVING.admit() {
                    warn!(%error, swallowed = pass.swallowed, "not serving; trying again");
                }
                time::sleep(RETRY).await;
            }
            self.platform.detach();
        }
    }

    /// Serves until the bus goes.
    async fn serve_on(
        &self,
        requests: &Connection,
        services: &Connection,
        ready: &impl Fn(),
    ) -> zbus::Result<()> {
        self.platform.attach(services).await?;
        self.channels.attach(services).await?;
        let host = &self.host;
        let own_name = async {
            requests.request_name(execute::SERVICE).await?;
            info!("serving");
            ready();
            services.closed().await;
            Ok::<(), zbus::Error>(())
        };
        tokio::select! {
            () = execute::serve(requests, Arc::clone(host)) => {}
            () = self.keep_attention() => {}
            result = own_name => result?,
        }
        warn!("the bus went away");
        Ok(())
    }
}
